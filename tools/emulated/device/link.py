# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""On the emulated board, before anything else: its network is its UARTs, whose other ends are
servers. The library meets `socket` and `network` as on a board with Wi-Fi."""

import io
import sys

import machine

_POLL = 3  # MP_STREAM_POLL, and what is polled for
_READABLE = 1
_WRITABLE = 4
_CLOSE = 4  # MP_STREAM_CLOSE, as TLS says it

_ready = {}  # UARTs that are open, with a connection that nobody has used yet


def uart(number):
    """Opens it: its connection begins. Its buffers are of the heap, where a real network has none
    there."""
    return machine.UART(
        number, 921600, rxbuf=UartSocket.rxbuf_bytes, txbuf=UartSocket.txbuf_bytes, timeout=0
    )


def use(*ports):
    """At the end of UART 0 is the server of the first port, at that of UART 1 of the second. Both
    are opened: their buffers are there from now on."""
    UartSocket.ports = ports
    for number in range(len(ports)):
        _ready[number] = uart(number)


class UartSocket(io.IOBase):
    """One connection at a time: opening the UART anew begins the next."""

    ports = ()  # see use(); without, all servers are that of UART 0
    rxbuf_bytes = 4096
    txbuf_bytes = 4096
    keeps_buffers = False  # close() leaves the UART as it is, until the next connection

    def __init__(self, *_family_and_type):
        self._uart = None

    def setblocking(self, _is_blocking):
        pass

    def setsockopt(self, *_option):
        pass

    def connect(self, address):
        number = self.ports.index(address[1]) if self.ports else 0
        self._uart = _ready.pop(number, None) or uart(number)

    def readinto(self, buf, size=-1):
        if not self._uart.any():
            return None
        return self._uart.readinto(buf) if size < 0 else self._uart.readinto(buf, size)

    def read(self, size=-1):
        return self._uart.read(size) if self._uart.any() else None

    def write(self, buf, size=-1):
        return self._uart.write(buf) if size < 0 else self._uart.write(buf, size)

    def ioctl(self, request, argument):
        if request == _CLOSE:
            self.close()
        if request != _POLL or self._uart is None:
            return 0
        return argument & (_WRITABLE | (_READABLE if self._uart.any() else 0))

    def close(self):
        if self._uart is not None and not self.keeps_buffers:
            self._uart.deinit()
            self._uart = None


class Sockets:
    SOCK_STREAM = 1
    socket = UartSocket

    @staticmethod
    def getaddrinfo(host, port, *_hints):
        return [(2, 1, 0, "", (host, port))]


class _Wlan:
    def __init__(self, _interface):
        pass

    def isconnected(self):
        return True


class _Network:
    STA_IF = 0
    WLAN = _Wlan


sys.modules["socket"] = Sockets
sys.modules["network"] = _Network
