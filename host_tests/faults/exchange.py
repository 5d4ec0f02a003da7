"""One exchange between a device under MicroPython and a cloud, over a link with faults, judged.

The device connects with a kept session, subscribes, publishes five QoS 1 messages, and the cloud
answers each with another. Only the first link is faulty; the device must come back by itself.
"""

import asyncio
from collections import Counter

from host_tests.e2e.device_program import DeviceProgram, Event
from host_tests.e2e.scenario import until
from host_tests.faults import wire
from host_tests.faults.clouds import Cloud, Login
from tools.faults import FaultProxy, Faults, Link

MESSAGES = 5
DEADLINE_MS = 10000
_RECORD_BYTES = 16384


class Exchanges:
    """`device` is a running exchange_program.py; run() may be called as often as wanted."""

    def __init__(self, device: DeviceProgram, cloud: Cloud, keepalive_s: int = 60) -> None:
        self._device = device
        self._cloud = cloud
        self._keepalive_s = keepalive_s
        self._count = 0

    async def run(self, faults: Faults) -> Link:
        """Raises AssertionError unless the exchange came out right. Returns the first link."""
        cloud = self._cloud
        self._count += 1
        run = f"{self._count:05}"
        await _forget_session(cloud.plain_port, cloud.plain_login)
        cloud.begin(run)
        target = "127.0.0.1", cloud.port
        async with FaultProxy(target, record_bytes=_RECORD_BYTES) as proxy:
            proxy.next_faults = faults
            self._device.order(
                run=run,
                port=proxy.port,
                up=cloud.up,
                down=cloud.down,
                keepalive_s=self._keepalive_s,
                deadline_ms=DEADLINE_MS,
                **cloud.login._asdict(),
                **cloud.layers,
            )
            result = await self._device.expect("exchanged", 2 * DEADLINE_MS / 1000)
            # The goodbye may still be on its way through the proxy.
            await until(lambda: all(link.over for link in proxy.links))
            sent = [f"{run}-{i}".encode() for i in range(MESSAGES)]
            judge_result(result, sent, cloud.heard)
            await self._judge_packets(result, proxy.links, sent)
            return proxy.links[0]

    async def _judge_packets(self, _result: Event, links: list[Link], sent: list[bytes]) -> None:
        judge_wire(links, self._cloud, sent)


def judge_result(result: Event, sent: list[bytes], heard: list[bytes]) -> None:
    """What both sides believe: nothing lost, nothing foreign, nothing out of order."""
    assert result["failure"] is None, result
    assert list(dict.fromkeys(heard)) == sent, heard
    assert list(dict.fromkeys(result["answers"])) == [payload.decode() for payload in sent], result
    assert result["handler_errors"] == 0 and result["surprises"] == 0, result
    for loss in result["losses"]:
        assert loss["typed"] and loss["phase"] and loss["reason"], loss


def judge_wire(links: list[Link], cloud: Cloud, sent: list[bytes]) -> None:
    """What passed: a message that was sent before comes again with DUP and its packet id."""
    for topic, logs in (
        (cloud.up, [link.up.log for link in links]),
        (cloud.down, [link.down.log for link in links]),
    ):
        packet_ids: dict[bytes, int] = {}
        for log in logs:
            in_this_link: Counter[bytes] = Counter()
            for publish in wire.publishes(log):
                assert publish.topic == topic and publish.qos == 1, publish
                assert publish.payload in sent, publish
                in_this_link[publish.payload] += 1
                if publish.payload in packet_ids:
                    assert publish.dup, f"sent again without DUP: {publish}"
                    assert publish.packet_id == packet_ids[publish.payload], publish
                packet_ids[publish.payload] = publish.packet_id
            assert all(times == 1 for times in in_this_link.values()), in_this_link


async def _forget_session(port: int, login: Login) -> None:
    """Logs in once with a clean session, so that the next exchange begins from nothing."""
    fields = b"".join(len(text or "").to_bytes(2, "big") + (text or "").encode() for text in login)
    body = b"\x00\x04MQTT\x04\xc2\x00\x3c" + fields
    length = bytes((len(body) & 0x7F | 0x80, len(body) >> 7))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"\x10" + length + body)
        connack = await reader.readexactly(4)
        assert connack == b"\x20\x02\x00\x00", connack
        writer.write(b"\xe0\x00")
        writer.write_eof()
        await reader.read()
    finally:
        writer.close()
