"""What programs of the emulated board begin with when both its UARTs are their network: each has a
server at its other end, and heap is looked at whenever a stream is used."""

from tools.emulated.flash import LINK

# `Line.ports` says which UART leads to which port. TLS calls a stream from within its handshake:
# there the heap is seen.
_LOOKING = """
import gc

def heap():
    gc.collect()
    return gc.mem_alloc()

class Line(UartSocket):
    peak = 0

    def readinto(self, buf, size=-1):
        self._look()
        return super().readinto(buf, size)

    def write(self, buf, size=-1):
        self._look()
        return super().write(buf, size)

    def _look(self):
        if gc.mem_alloc() > Line.peak:
            Line.peak = max(Line.peak, heap())

Sockets.socket = Line
UartSocket.rxbuf_bytes = RXBUF_BYTES
boot_bytes = heap()
use(None, None)
uarts_bytes = heap() - boot_bytes
"""


def uart_network(rxbuf_bytes: int) -> str:
    """The text, for UARTs that keep so many bytes that were not read yet."""
    return LINK.read_text("utf-8") + _LOOKING.replace("RXBUF_BYTES", str(rxbuf_bytes))
