"""The round trip of one QoS 1 publish, by a client that does nothing else."""

import socket
import statistics
import time

from tools.bench.paho_client import PAYLOAD, TOPIC

_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05probe"
_CONNACK = b"\x20\x02\x00\x00"
_DISCONNECT = b"\xe0\x00"
_TIMEOUT_S = 10.0


class RoundTripError(Exception):
    """The server answered something else."""


def measure_s(host: str, port: int, count: int) -> float:
    """The median of so many round trips, each a PUBLISH of the bench's size and its PUBACK."""
    topic = TOPIC.encode()
    trips_s = []
    with socket.create_connection((host, port), _TIMEOUT_S) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(_CONNECT)
        _expect(link, _CONNACK)
        for packet_id in range(1, count + 1):
            number = packet_id.to_bytes(2, "big")
            body = len(topic).to_bytes(2, "big") + topic + number + PAYLOAD
            publish = bytes((0x32, len(body))) + body
            started_s = time.perf_counter()
            link.sendall(publish)
            _expect(link, b"\x40\x02" + number)
            trips_s.append(time.perf_counter() - started_s)
        link.sendall(_DISCONNECT)
    return statistics.median(trips_s)


def _expect(link: socket.socket, answer: bytes) -> None:
    received = b""
    while len(received) < len(answer):
        piece = link.recv(len(answer) - len(received))
        if not piece:
            raise RoundTripError("the server closed the connection")
        received += piece
    if received != answer:
        raise RoundTripError(f"expected {answer.hex(' ')}, received {received.hex(' ')}")
