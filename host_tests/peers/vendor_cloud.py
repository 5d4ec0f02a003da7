"""The vendor's SDK knows the cloud's host names and ports only. Here they lead to the local hub,
as they would by a hosts file and a redirected port; all above the address is the SDK's own."""

import socket
from collections.abc import Callable

_DOMAIN = ".tencentdevices.com"
_resolve = socket.getaddrinfo


def leads_here(port_of: Callable[[int], int]) -> None:
    """From now on, the cloud's port is that port of this machine. Before the SDK is imported."""

    def resolve(host, port, *options, **named):
        if host.endswith(_DOMAIN):
            host, port = "127.0.0.1", port_of(port)
        return _resolve(host, port, *options, **named)

    socket.getaddrinfo = resolve
