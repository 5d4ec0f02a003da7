"""The device's HTTP client against nginx: what it fetches, and how it fails."""

import asyncio
import contextlib
import hashlib

import pytest

from host_tests.conftest import requires
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run
from host_tests.peers.http_servers import CONTENT, SLOW_BYTES_PER_S, SMALL, nginx
from host_tests.peers.tls_servers import HOST, Place
from tools.faults import Cut, FaultProxy, Faults, Flow

pytestmark = requires("nginx")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Desk:
    """A server and a device that fetches from it."""

    def __init__(self, server, device):
        self.server = server
        self.device = device

    def url(self, path, tls=False, port=None):
        scheme, usual = ("https", self.server.tls_port) if tls else ("http", self.server.port)
        return f"{scheme}://{HOST}:{port or usual}{path}"

    async def fetch(self, path, tls=False, port=None, timeout_s=15.0, **order):
        self.device.order(url=self.url(path, tls, port), **order)
        return await self.device.expect("done", timeout_s)


@pytest.fixture
def server(tmp_path):
    place = Place.make(tmp_path)
    with nginx(place) as server:
        yield server


@contextlib.asynccontextmanager
async def desk(server, *waits):
    trust = server.folder.parent / "trust"
    async with DeviceProgram("http_program.py", trust, *waits) as device:
        yield Desk(server, device)


def is_content(done, data=CONTENT, status=200):
    assert "reason" not in done, done
    assert (done["status"], done["size"], done["sha256"]) == (status, len(data), sha256(data))


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_bodies_of_every_kind(server, tls):
    async def scenario():
        async with desk(server) as d:
            is_content(await d.fetch("/file.bin", tls))
            is_content(await d.fetch("/file.bin", tls, buffer=100))
            is_content(await d.fetch("/small.html", tls, read=100), SMALL)
            is_content(await d.fetch("/empty.bin", tls, read=0), b"")
            done = await d.fetch("/chunked/file.bin", tls)
            assert done["length"] is None
            is_content(done)
            done = await d.fetch("/ending/file.bin", tls)
            assert done["length"] is None
            is_content(done)
            is_content(await d.fetch("/closing/file.bin", tls))
            is_content(await d.fetch("/nothing", tls), b"", 204)
            posted = b"16000 " + d.url("", tls).partition("://")[2].encode()
            is_content(
                await d.fetch("/length", tls, method="POST", body="x" * 16000, read=100), posted
            )
            assert (await d.fetch("/missing", tls))["status"] == 404
            assert (await d.fetch("/length", tls, method="POST", body="x" * 30000))[
                "status"
            ] == 413

    run(scenario)


def test_parts_by_range(server):
    async def scenario():
        async with desk(server) as d:
            whole = len(CONTENT)
            wanted = ["content-range", "etag", "Nothing"]

            async def part(path, value, **more):
                fields = [("Range", f"bytes={value}"), *more.get("fields", ())]
                return await d.fetch(path, fields=fields, wanted=wanted)

            done = await part("/file.bin", "199000-")
            is_content(done, CONTENT[199000:], 206)
            assert done["fields"]["content-range"] == f"bytes 199000-199999/{whole}"
            etag = done["fields"]["etag"]
            is_content(await part("/file.bin", "-300"), CONTENT[-300:], 206)
            is_content(await part("/file.bin", "10-19"), CONTENT[10:20], 206)
            same = [("If-Range", etag)]
            is_content(await part("/file.bin", "199990-", fields=same), CONTENT[199990:], 206)
            other = [("If-Range", '"another"')]
            is_content(await part("/file.bin", "199990-", fields=other), CONTENT, 200)
            is_content(await part("/norange/file.bin", "199990-"), CONTENT, 200)
            done = await part("/file.bin", f"{whole}-")
            assert done["status"] == 416
            assert done["fields"]["content-range"] == f"bytes */{whole}"

    run(scenario)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_connection_is_kept_while_the_server_keeps_it(server, tls):
    async def scenario():
        async with desk(server) as d:
            for _ in range(7):
                is_content(await d.fetch("/small.html", tls, read=100), SMALL)
            # What was not read to its end is no connection for the next request.
            assert (await d.fetch("/file.bin", tls, leave=True))["status"] == 200
            is_content(await d.fetch("/small.html", tls, read=100), SMALL)
            numbers = [int(request[1]) for request in server.requests()]
            # nginx takes five on a connection, and says so in the fifth.
            assert numbers[:7] == [1, 2, 3, 4, 5, 1, 2]
            assert numbers[-1] == 1

    run(scenario)


def test_a_connection_that_died_while_idle_is_noticed(server):
    async def scenario():
        async with (
            desk(server) as d,
            FaultProxy((HOST, server.port)) as proxy,
        ):
            for how in (Cut.RST, Cut.FIN):
                is_content(await d.fetch("/small.html", port=proxy.port, read=100), SMALL)
                proxy.links[-1].end(how)
                await asyncio.sleep(0.1)  # or it crosses the next request
                is_content(await d.fetch("/small.html", port=proxy.port, read=100), SMALL)
            assert len(proxy.links) == 3  # the second of each pair serves the next pair too

    run(scenario)


def test_redirects_are_followed_only_when_asked_and_never_down(server):
    async def scenario():
        async with desk(server) as d:
            assert (await d.fetch("/hop", leave=True))["status"] == 302
            assert (await d.fetch("/hop", max_redirects=0))["status"] == 302
            is_content(await d.fetch("/hop", max_redirects=1), SMALL)
            is_content(await d.fetch("/up", max_redirects=1), SMALL)
            is_content(await d.fetch("/hop", tls=True, max_redirects=1), SMALL)
            done = await d.fetch("/down", tls=True, max_redirects=3)
            assert "https to http" in done["reason"]
            assert (await d.fetch("/loop", max_redirects=4))["status"] == 307
            loops = [r for r in server.requests() if r[4] == "/loop"]
            assert len(loops) == 5
            done = await d.fetch("/astray", max_redirects=1)
            assert "redirected to nowhere" in done["reason"]

    run(scenario)


def test_sizes_have_caps(server):
    async def scenario():
        async with desk(server) as d:
            done = await d.fetch("/longhead")
            assert "what comes before a body is over 4096 bytes" in done["reason"]
            assert done["code"] == 71
            done = await d.fetch("/file.bin", read=1000)
            assert "the body is over 1000 bytes" in done["reason"]
            done = await d.fetch("/chunked/file.bin", read=1000)
            assert "the body is over 1000 bytes" in done["reason"]
            is_content(await d.fetch("/small.html", read=len(SMALL)), SMALL)

    run(scenario)


def test_a_slow_server_is_waited_for_and_a_silent_one_is_not(server):
    async def scenario():
        async with (
            desk(server, "HTTP_RESPONSE_MS=400", "HTTP_STALL_MS=1500", "HTTP_BODY_MS=900") as d,
            FaultProxy((HOST, server.port)) as proxy,
        ):
            part = [("Range", f"bytes=0-{2 * SLOW_BYTES_PER_S}")]
            slow = await d.fetch("/slow/file.bin", fields=part)
            is_content(slow, CONTENT[: 2 * SLOW_BYTES_PER_S + 1], 206)
            done = await d.fetch("/slow/file.bin", fields=part, read=9000)
            assert done["code"] == 110 and 900 <= done["took_ms"] < 3000, done
            for offset, least_ms in ((0, 400), (100, 400), (5000, 1500)):
                proxy.next_faults = Faults(down=Flow(cut_after_bytes=offset, cut=Cut.STALL))
                done = await d.fetch("/file.bin", port=proxy.port)
                assert done["code"] == 110, (offset, done)
                assert least_ms <= done["took_ms"] < least_ms + 1500, (offset, done)

    run(scenario, 60)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("how", [Cut.RST, Cut.FIN], ids=["reset", "closed"])
@pytest.mark.parametrize("path", ["/small.html", "/chunked/small.html", "/ending/small.html"])
def test_a_response_cut_anywhere_is_an_error(server, tls, how, path, sweep_full):
    target = HOST, server.tls_port if tls else server.port

    async def scenario():
        async with desk(server) as d, FaultProxy(target) as proxy:
            is_content(await d.fetch(path, tls, proxy.port, close=True), SMALL)
            size_bytes = proxy.links[-1].down.passed_bytes
            # https: the goodbye of TLS comes after the response, and may be cut off.
            last = size_bytes - (50 if tls else 1)
            if path.startswith("/ending") and not tls:
                last = size_bytes - len(SMALL) - 1  # from there on nobody can tell
            step = 1 if sweep_full else max(1, last // 12)
            for offset in [*range(0, last, step), last]:
                proxy.next_faults = Faults(down=Flow(cut_after_bytes=offset, cut=how))
                done = await d.fetch(path, tls, proxy.port)
                assert done.get("typed"), (offset, done)
                assert done["hint"] and done["phase"], (offset, done)
            is_content(await d.fetch(path, tls, proxy.port), SMALL)

    run(scenario, 300)


def test_the_wrong_server_is_told(server):
    async def scenario():
        async with desk(server) as d:
            done = await d.fetch("/small.html", tls=True, port=server.port)
            assert done["code"] == 2007, done
            # A TLS port that is asked in plain text says so in HTTP.
            assert (await d.fetch("/small.html", port=server.tls_port))["status"] == 400

    run(scenario)
