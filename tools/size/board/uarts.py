# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""The board's UARTs in the place of its network. Their buffers are there from the beginning; those
of a real network are not on the heap."""

import io
import select
import sys

import machine

_POLL = 3  # MP_STREAM_POLL
_ports = []
_uarts = {}


def use(*ports):
    """At the end of UART 0 is the server of the first port, at that of UART 1 of the second."""
    for number, port in enumerate(ports):
        _ports.append(port)
        _open(number)


def _open(number):
    if number in _uarts:
        _uarts[number].deinit()
    _uarts[number] = machine.UART(number, 921600, rxbuf=4096)
    return _uarts[number]


class Line(io.IOBase):
    """A socket; it ends when the next one connects, as the UART is opened anew."""

    def __init__(self, *_family_and_type):
        self._uart = None

    def setblocking(self, _is_blocking):
        pass

    def setsockopt(self, *_option):
        pass

    def connect(self, address):
        self._uart = _open(_ports.index(address[1]))

    def readinto(self, buf):
        return self._uart.readinto(buf)

    def write(self, buf, *size):
        return self._uart.write(buf, *size)

    def ioctl(self, request, argument):
        if request != _POLL:
            return 0
        return argument & (select.POLLOUT | (select.POLLIN if self._uart.any() else 0))

    def close(self):
        pass


class _Sockets:
    SOCK_STREAM = 1
    socket = Line

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


# What the library imports from the firmware below it.
sys.modules["socket"] = _Sockets
sys.modules["network"] = _Network
