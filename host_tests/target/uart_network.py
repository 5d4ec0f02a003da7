"""What programs of the emulated board begin with when both its UARTs are their network: each has a
server at its other end, and heap is looked at whenever a stream is used."""

# `ports` says which UART leads to which port; opening one anew begins the next connection. TLS
# calls a stream from within its handshake: there the heap is seen.
UART_NETWORK = """
import gc, io, machine, select, sys

def heap():
    gc.collect()
    return gc.mem_alloc()

def uart(number):
    return machine.UART(number, 921600, rxbuf=RXBUF_BYTES)

boot_bytes = heap()
uarts = [uart(0), uart(1)]
uarts_bytes = heap() - boot_bytes

class Line(io.IOBase):
    ports = ()
    peak = 0

    def __init__(self, *_):
        pass
    def setblocking(self, _):
        pass
    def setsockopt(self, *_):
        pass
    def connect(self, address):
        self._number = number = self.ports.index(address[1])
        if uarts[number] is None:
            uarts[number] = uart(number)
    def readinto(self, buf):
        self._look()
        return uarts[self._number].readinto(buf)
    def write(self, buf, *size):
        self._look()
        return uarts[self._number].write(buf, *size)
    def ioctl(self, request, argument):
        if request == 3:  # poll
            ready = select.POLLIN if uarts[self._number].any() else 0
            return argument & (select.POLLOUT | ready)
        if request == 4:  # close, as TLS does
            self.close()
        return 0
    def close(self):
        if uarts[self._number] is not None:
            uarts[self._number].deinit()
            uarts[self._number] = None
    def _look(self):
        if gc.mem_alloc() > Line.peak:
            Line.peak = max(Line.peak, heap())

class Sockets:
    SOCK_STREAM = 1
    socket = Line
    @staticmethod
    def getaddrinfo(host, port, *_):
        return [(2, 1, 0, "", (host, port))]

class Wlan:
    def __init__(self, _):
        pass
    def isconnected(self):
        return True

class Radio:
    STA_IF = 0
    WLAN = Wlan

# For what the library imports from the firmware below it.
sys.modules["socket"] = Sockets
sys.modules["network"] = Radio
"""


def uart_network(rxbuf_bytes: int) -> str:
    """The text, for UARTs that keep so many bytes that were not read yet."""
    return UART_NETWORK.replace("RXBUF_BYTES", str(rxbuf_bytes))
