"""The fault proxy itself: a fault that is not what it claims would make every sweep a lie."""

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.faults import Cut, FaultProxy, Faults, Flow
from tools.faults.flow import Shaper

DEADLINE_S = 10.0


class Server:
    """Remembers every read of every connection apart, and how the connection ended."""

    def __init__(self, answer: bytes | None = None) -> None:
        self.reads: list[list[bytes]] = []
        self.ends: list[str] = []
        self._answer = answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reads: list[bytes] = []
        self.reads.append(reads)
        try:
            while data := await reader.read(65536):
                reads.append(data)
                writer.write(data if self._answer is None else self._answer)
            self.ends.append("eof")
        except ConnectionResetError:
            self.ends.append("reset")
        finally:
            writer.close()

    @property
    def received(self) -> bytes:
        return b"".join(b"".join(reads) for reads in self.reads)


@contextlib.asynccontextmanager
async def listening(server: Server) -> AsyncIterator[tuple[str, int]]:
    listener = await asyncio.start_server(server, "127.0.0.1", 0)
    try:
        yield "127.0.0.1", listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await scenario()

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def read_to_end(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    data = b""
    try:
        while piece := await reader.read(65536):
            data += piece
    except ConnectionResetError:
        return data, "reset"
    return data, "eof"


def test_passes_bytes_on_unchanged_in_both_directions_and_records_them():
    async def scenario() -> None:
        blob = bytes(range(256)) * 8192  # 2 MiB, more than any buffer on the way
        async with (
            listening(Server()) as target,
            FaultProxy(target, record_bytes=1000) as proxy,
        ):
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            writer.write(blob)
            assert await reader.readexactly(len(blob)) == blob
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            (link,) = proxy.links
            assert link.up.passed_bytes == link.down.passed_bytes == len(blob)
            assert link.up.log == link.down.log == blob[:1000]

    run(scenario)


@pytest.mark.parametrize(("cut", "end"), [(Cut.RST, "reset"), (Cut.FIN, "eof")])
@pytest.mark.parametrize("cut_after_bytes", [0, 1, 7, 19, 20])
def test_cuts_upwards_after_exactly_n_bytes(cut, end, cut_after_bytes):
    async def scenario() -> None:
        server = Server()
        flow = Flow(cut_after_bytes=cut_after_bytes, cut=cut)
        async with listening(server) as target, FaultProxy(target, Faults(up=flow)) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            for i in range(20):
                writer.write(b"%c" % (65 + i))
                await asyncio.sleep(0)
            received, seen = await read_to_end(reader)
            assert seen == end
            await until(lambda: server.ends == [end])
            assert server.received == b"ABCDEFGHIJKLMNOPQRST"[:cut_after_bytes]
            assert b"ABCDEFGHIJKLMNOPQRST".startswith(received)
            writer.close()

    run(scenario)


@pytest.mark.parametrize(("cut", "end"), [(Cut.RST, "reset"), (Cut.FIN, "eof")])
@pytest.mark.parametrize("cut_after_bytes", [0, 1, 9, 10])
def test_cuts_downwards_after_exactly_n_bytes(cut, end, cut_after_bytes):
    async def scenario() -> None:
        server = Server(b"0123456789")
        flow = Flow(cut_after_bytes=cut_after_bytes, cut=cut)
        async with listening(server) as target, FaultProxy(target, Faults(down=flow)) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            writer.write(b"x")
            assert await read_to_end(reader) == (b"0123456789"[:cut_after_bytes], end)
            await until(lambda: server.ends == [end])
            writer.close()

    run(scenario)


def test_a_stall_passes_n_bytes_and_tells_nobody():
    async def scenario() -> None:
        server = Server()
        flow = Flow(cut_after_bytes=3, cut=Cut.STALL)
        async with listening(server) as target, FaultProxy(target, Faults(up=flow)) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            writer.write(b"abcdef")
            await until(lambda: server.received == b"abc")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.readexactly(4)
            assert server.ends == []
            writer.close()

    run(scenario)


def test_next_faults_hold_for_one_link_only():
    async def scenario() -> None:
        async with listening(Server()) as target, FaultProxy(target) as proxy:
            proxy.next_faults = Faults(up=Flow(cut_after_bytes=0))
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            assert await read_to_end(reader) == (b"", "reset")
            writer.close()
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writer.close()

    run(scenario)


@pytest.mark.parametrize(("cut", "end"), [(Cut.RST, "reset"), (Cut.FIN, "eof")])
def test_cut_drops_links_and_refuses_new_ones_until_healed(cut, end):
    async def scenario() -> None:
        async with listening(Server()) as target, FaultProxy(target) as proxy:
            for _ in range(3):
                reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
                proxy.cut(cut)
                assert await read_to_end(reader) == (b"", end)
                writer.close()
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection(proxy.host, proxy.port)
                proxy.heal()

    run(scenario)


def test_a_stalled_network_swallows_new_links_until_healed():
    async def scenario() -> None:
        async with listening(Server()) as target, FaultProxy(target) as proxy:
            proxy.cut(Cut.STALL)
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            writer.write(b"x")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.readexactly(1)
            proxy.heal()
            reader, other = await asyncio.open_connection(proxy.host, proxy.port)
            other.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writer.close()
            other.close()

    run(scenario)


def test_a_dead_target_resets_the_client():
    async def scenario() -> None:
        async with listening(Server()) as target:
            pass
        async with FaultProxy(target) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            assert await read_to_end(reader) == (b"", "reset")
            writer.close()

    run(scenario)


def test_splits_every_byte():
    async def scenario() -> None:
        server = Server()
        flow = Flow(piece_bytes=1, gap_ms=5)
        async with listening(server) as target, FaultProxy(target, Faults(up=flow)) as proxy:
            _, writer = await asyncio.open_connection(proxy.host, proxy.port)
            writer.write(b"abcdefghij")
            await until(lambda: len(server.received) == 10)
            # A busy machine may let two bytes meet at the receiver; not many.
            assert len(server.reads[0]) >= 8
            writer.close()

    run(scenario)


def test_splits_at_one_byte_and_gathers_the_rest():
    async def scenario() -> None:
        server = Server()
        flow = Flow(split_at=4, gap_ms=20, gather_bytes=10, gather_ms=5000)
        async with listening(server) as target, FaultProxy(target, Faults(up=flow)) as proxy:
            _, writer = await asyncio.open_connection(proxy.host, proxy.port)
            for letter in b"abcdefghij":
                writer.write(bytes((letter,)))
                await asyncio.sleep(0.002)
            await until(lambda: len(server.received) == 10)
            assert server.reads[0] == [b"abcd", b"efghij"]
            writer.close()

    run(scenario)


def test_delays_each_way():
    async def scenario() -> None:
        flow = Flow(delay_ms=10)
        async with listening(Server()) as target, FaultProxy(target, Faults(flow, flow)) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            trips_ms = []
            for _ in range(20):
                started_s = time.perf_counter()
                writer.write(b"x")
                await reader.readexactly(1)
                trips_ms.append((time.perf_counter() - started_s) * 1000)
            assert min(trips_ms) >= 20
            assert statistics.median(trips_ms) < 30
            writer.close()

    run(scenario)


def test_limits_the_rate():
    async def scenario() -> None:
        flow = Flow(bytes_per_s=100_000)
        async with listening(Server()) as target, FaultProxy(target, Faults(up=flow)) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            started_s = time.perf_counter()
            writer.write(bytes(20_000))
            await reader.readexactly(20_000)
            assert 0.18 < time.perf_counter() - started_s < 0.6
            writer.close()

    run(scenario)


def test_runs_as_a_program_that_takes_commands():
    async def scenario() -> None:
        async with listening(Server()) as (host, port):
            program = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tools.faults", "--target", f"{host}:{port}"),
                *("--cut-up-after-bytes", "100"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert program.stdin is not None and program.stdout is not None
            listens = (await program.stdout.readline()).decode().strip().split(":")
            reader, writer = await asyncio.open_connection(*listens)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            program.stdin.write(b"cut fin\n")
            assert await read_to_end(reader) == (b"", "eof")
            writer.close()
            program.stdin.write(b"heal\n")
            while True:
                try:
                    reader, writer = await asyncio.open_connection(*listens)
                    break
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
            writer.write(bytes(200))
            received, end = await read_to_end(reader)
            assert end == "reset" and len(received) <= 100
            writer.close()
            program.stdin.write(b"quit\n")
            assert await program.wait() == 0

    run(scenario)


# The shaper alone: whatever it does, it is the same stream up to the cut.

flows = st.builds(
    Flow,
    delay_ms=st.sampled_from([0, 10]),
    bytes_per_s=st.sampled_from([None, 50, 1e6]),
    piece_bytes=st.sampled_from([None, 1, 3]),
    split_at=st.none() | st.integers(0, 60),
    gather_bytes=st.sampled_from([None, 1, 5, 1000]),
    cut_after_bytes=st.none() | st.integers(0, 60),
)


@given(flows, st.lists(st.tuples(st.binary(max_size=20), st.floats(0, 0.05)), max_size=8))
def test_shaper_keeps_bytes_order_and_time(flow, writes):
    shaper = Shaper(flow)
    now_s = 100.0
    sent = b""
    out: list[tuple[float, bytes]] = []
    for data, pause_s in writes:
        shaper.add(data, now_s)
        sent += data
        out += [(now_s, piece) for piece in shaper.take(now_s)]
        now_s += pause_s
    while (due_s := shaper.next_due_s()) is not None:
        now_s = max(now_s, due_s)
        out += [(now_s, piece) for piece in shaper.take(now_s)]
    passed = b"".join(piece for _, piece in out)
    assert passed == sent[: flow.cut_after_bytes]
    assert shaper.cut_reached == (flow.cut_after_bytes == len(passed))
    assert shaper.cut_reached or shaper.waiting_bytes == 0
    if flow.piece_bytes:
        assert all(len(piece) <= flow.piece_bytes for _, piece in out)
    if flow.split_at:
        ends, at = set(), 0
        for _, piece in out:
            at += len(piece)
            ends.add(at)
        assert flow.split_at in ends or len(passed) < flow.split_at
