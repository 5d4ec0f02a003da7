"""Opens byte streams to a server. A stream is what MicroPython's sockets are: readinto(buf[, n]),
write(buf, n), close(), pollable, non-blocking."""

import errno
import select
import socket
from time import ticks_diff, ticks_ms

from iothub.errors import NETWORK, DeadlineError, LinkError
from iothub.timeouts import TCP_CONNECT_MS

_IPPROTO_TCP = 6
_TCP_NODELAY = 1


def resolve(host, port):
    """The socket address of a host, as getaddrinfo gives it. Blocks in DNS: MicroPython has no
    other. Raises LinkError."""
    try:
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    except (OSError, IndexError):
        raise LinkError("no address for " + host, NETWORK, -2)


class TcpOpening:
    """A TCP connection on its way, so that both the asyncio and the blocking driver can wait in
    their own manner."""

    def __init__(self, address):
        self._started_ms = ticks_ms()
        self._sock = sock = socket.socket(address[0], socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            # A packet is one write; without this the second small one waits for the ACK of the
            # first, 40 ms on Linux servers.
            sock.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        except OSError:
            pass  # a port without it works, only slower
        try:
            sock.connect(address[-1])
        except OSError as e:
            if e.errno != errno.EINPROGRESS:
                sock.close()
                raise LinkError("cannot connect", NETWORK, e.errno)
        self._poller = select.poll()
        self._poller.register(sock, select.POLLOUT)

    def step(self, wait_ms=0):
        """The connected socket, or None when it takes longer than `wait_ms`. Raises LinkError."""
        for _, flags in self._poller.poll(wait_ms):
            if flags & (select.POLLERR | select.POLLHUP):
                code = self._error_code()
                self._sock.close()
                raise LinkError(
                    "connection refused" if code == 111 else "cannot connect", NETWORK, code
                )
            return self._sock
        if ticks_diff(ticks_ms(), self._started_ms) > TCP_CONNECT_MS:
            self._sock.close()
            raise DeadlineError("no connection in time", NETWORK)
        return None

    def _error_code(self):
        # There is no getsockopt; the pending error comes with the next read.
        try:
            self._sock.read(1)
        except OSError as e:
            return e.errno
        return errno.ECONNRESET

    def close(self):
        self._sock.close()
