"""Where the hub is reached: the host a client is told, and a port for each transport."""

import socket
from dataclasses import dataclass, field

_ANY = ("", "0.0.0.0", "::")
# What a client of each transport is told to connect to, as device.json names them.
TRANSPORT_LISTENERS = {"tcp": "tcp", "tls": "tls", "psk": "tls", "ws": "ws", "wss": "wss"}
_NAMED = ("tls", "ws", "wss", "http", "https", "coap", "coap_udp", "cloud")


@dataclass(slots=True)
class Address:
    """`ports` by listener, those that listen only: tcp and those of `_NAMED`."""

    host: str
    ports: dict[str, int] = field(default_factory=dict)

    def named_ports(self) -> dict[str, int | None]:
        """The ports as the ready line, the API and the command line name them."""
        names = {"mqtt_port": "tcp"} | {f"{name}_port": name for name in _NAMED}
        return {name: self.ports.get(listener) for name, listener in names.items()}

    def port(self, transport: str) -> int | None:
        return self.ports.get(TRANSPORT_LISTENERS[transport])


def reachable(host: str) -> str:
    """An address a client can be given: the listening one, or this computer's when that is any."""
    if host not in _ANY:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # A connected UDP socket sends nothing; it only asks the routing table.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
