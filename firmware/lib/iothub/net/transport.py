"""Opens byte streams to a server. Loaded for as long as that takes (net/endpoint.py).

A stream is what MicroPython's sockets are: readinto(buf), write(buf[, n]), close(), non-blocking.
Layers above TCP are streams over streams."""

import asyncio
import errno
import gc
import select
import socket
import sys
from time import sleep_ms, ticks_diff, ticks_ms

from iothub.compat import const
from iothub.errors import NETWORK, DeadlineError, IoTHubError, LinkError
from iothub.loading import load
from iothub.net.endpoint import Endpoint
from iothub.timeouts import TCP_CONNECT_MS

_IPPROTO_TCP = 6
_TCP_NODELAY = 1
_POLL_MS = const(10)
# What a handshake takes until the server is verified: the record buffer for what comes in, in one
# block, and the rest; on an RP2040 16,736 and 11,776 bytes (test_tls_uart.py). What the signature
# of an RSA key takes afterwards is not in it: Mbed TLS tells truly when memory ends there.
_RECORD_BYTES = const(17000)
_REST_BYTES = const(12000)


def begin(endpoint):
    """See Endpoint."""
    # DNS blocks everything else, so an address that worked is used until it fails.
    if endpoint._address is None:
        endpoint._address = resolve(endpoint.host, endpoint.port)
    opening = Opening(
        endpoint._address, endpoint.host, endpoint.port, endpoint.security, endpoint.path
    )
    if endpoint.security is not None:
        endpoint._raw = opening.raw
    return opening


async def open_stream(endpoint):
    """See Endpoint.open()."""
    if endpoint.network is not None:
        try:
            await endpoint.network.up()
        except OSError as e:
            if isinstance(e, IoTHubError):
                raise
            raise LinkError("network: %s" % e, NETWORK, e.errno)
    if endpoint.security is not None:
        handshake = _handshake_lock()
        await handshake.acquire()
        endpoint._held_handshake = handshake
    opening = None
    try:
        opening = begin(endpoint)
        while not opening.step():
            await asyncio.sleep_ms(_POLL_MS)
        if endpoint.path is not None:
            endpoint.handshake_over()
        return opening.stream, opening.pollable
    except BaseException as e:
        endpoint._address = None
        error = e
        if isinstance(e, (OSError, ValueError)):
            error = endpoint.explain(e)
        endpoint.handshake_over()
        if opening is not None:
            opening.close()
        raise error


def _handshake_lock():
    """The one of the present event loop: after a Ctrl-C and asyncio.new_event_loop() nobody is
    left to release the last one's."""
    lock = Endpoint._handshake
    loop = asyncio.core._io_queue  # type: ignore[attr-defined]  # private
    if lock is None or lock.loop is not loop:  # type: ignore[attr-defined]
        Endpoint._handshake = lock = asyncio.Lock()
        lock.loop = loop  # type: ignore[attr-defined]
    return lock


def resolve(host, port):
    """The socket address of a host, as getaddrinfo gives it. Blocks in DNS: MicroPython has no
    other. Raises LinkError."""
    try:
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    except (OSError, IndexError):
        raise LinkError("no address for " + host, NETWORK, -2)


def secured(sock, context, host):
    """The TLS stream over a connected non-blocking socket; its handshake goes on with the first
    reads and writes. Raises what Endpoint.explain() takes."""
    gc.collect()
    try:
        # First all of it: where memory ends within the handshake, Mbed TLS may say that a
        # signature is wrong. (Not on ESP32, where TLS has a heap of its own, of which a growing
        # Python heap would take.)
        if sys.platform != "esp32":
            room = bytearray(_RECORD_BYTES), bytearray(_REST_BYTES)
            del room
            gc.collect()
        return context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except MemoryError:
        raise OSError(errno.ENOMEM)


class Opening:
    """A connection on its way up: TCP, then TLS (`security`, an SSLContext), then WebSocket
    (`path`), each where it is wanted. The asyncio and the blocking driver call step() and wait in
    their own manner; then `stream` is the stream, and `pollable` what to poll for it. `raw` is the
    TCP socket below them."""

    def __init__(self, address, host, port, security=None, path=None):
        self._host = host
        self._port = port
        self._security = security
        self._path = path
        self._started_ms = ticks_ms()
        sock = socket.socket(address[0], socket.SOCK_STREAM)
        self.raw = self.pollable = self.stream = sock
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
        """Goes on; True when the stream is ready, false when it takes longer than `wait_ms`.
        Raises LinkError, or what Endpoint.explain() takes."""
        if self._poller is not None:
            if not self._connected(wait_ms):
                return False
            self._poller = None
            if self._security is not None:
                self.pollable = self.stream = secured(self.stream, self._security, self._host)
            if self._path is not None:
                websocket = load("iothub.net.websocket")
                self.stream = websocket.WebSocketStream(
                    self.stream, self._host, self._port, self._path
                )
        if self._path is None or self.stream.step():  # type: ignore[attr-defined]
            return True
        sleep_ms(wait_ms)
        return False

    def _connected(self, wait_ms):
        for _, flags in self._poller.poll(wait_ms):
            if flags & (select.POLLERR | select.POLLHUP):
                code = self._error_code()
                refused = code == errno.ECONNREFUSED
                raise LinkError("refused" if refused else "cannot connect", NETWORK, code)
            return True
        if ticks_diff(ticks_ms(), self._started_ms) > TCP_CONNECT_MS:
            raise DeadlineError("no connection in time", NETWORK)
        return False

    def _error_code(self):
        # There is no getsockopt; the pending error comes with the next read.
        try:
            self.stream.read(1)
        except OSError as e:
            return e.errno
        return errno.ECONNRESET

    def close(self):
        self.stream.close()
