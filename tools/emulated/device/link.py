# On the emulated board, before anything else: its network is UART0, whose other end is the hub.
# The library meets `socket` and `network` as on a board with Wi-Fi.
import io
import sys

import machine

_POLL = 3  # MP_STREAM_POLL, and what is polled for
_READABLE = 1
_WRITABLE = 4


class UartSocket(io.IOBase):
    """One connection at a time: opening the UART anew begins the next."""

    def __init__(self, *_family_and_type):
        self._uart = None

    def setblocking(self, _is_blocking):
        pass

    def setsockopt(self, *_option):
        pass

    def connect(self, _address):
        self._uart = machine.UART(0, 921600, rxbuf=4096, txbuf=4096, timeout=0)

    def readinto(self, buf, size=-1):
        if not self._uart.any():
            return None
        return self._uart.readinto(buf) if size < 0 else self._uart.readinto(buf, size)

    def read(self, size=-1):
        return self._uart.read(size) if self._uart.any() else None

    def write(self, buf, size=-1):
        return self._uart.write(buf) if size < 0 else self._uart.write(buf, size)

    def ioctl(self, request, argument):
        if request != _POLL or self._uart is None:
            return 0
        return argument & (_WRITABLE | (_READABLE if self._uart.any() else 0))

    def close(self):
        if self._uart is not None:
            self._uart.deinit()
            self._uart = None


class _Sockets:
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


sys.modules["socket"] = _Sockets
sys.modules["network"] = _Network
