# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""TLS with the hub, each way: context, trust anchor and own certificate included."""

import time

import machine
from iothub.loading import for_now
from peak import Peak, heap_in_use

_GARBAGE_BYTES = 8192  # C gives back its own, and nothing else makes any
_PINGREQ = b"\xc0\x00"
_TIMEOUT_MS = 30_000  # simulated


def run(moment):
    machine.RTC().datetime(moment)
    _shake_hands(False)  # what stays for good is there then
    return [
        ("TLS handshake, EC, server verified", _shake_hands(False)),
        ("TLS handshake, EC, mutual", _shake_hands(True)),
    ]


def _shake_hands(is_mutual):
    line = machine.UART(1, 921600, rxbuf=4096)  # opened anew: a new connection
    start_bytes = heap_in_use()
    own = ("/crt.der", "/key.der") if is_mutual else ()
    context = for_now("iothub.net.tls").by_certificates("/trust", *own)
    # Looks whether there is room first, by taking it: no look at that.
    stream = for_now("iothub.net.transport").secured(line, context, "127.0.0.1")
    with Peak(_GARBAGE_BYTES, start_bytes, within_c=True) as peak:
        start_ms = time.ticks_ms()
        while stream.write(_PINGREQ) is None:
            if time.ticks_diff(time.ticks_ms(), start_ms) > _TIMEOUT_MS:
                raise OSError("the hub ended the handshake, which a UART cannot tell")
            time.sleep_ms(1)
    return peak
