"""The chip's watchdog: once it watches, nothing stops it, and it resets the chip if not fed."""

from iothub.errors import BadInput

_wdt = None


def watch(timeout_ms):
    """From now on the chip is reset when it is not fed for so long. Raises BadInput for more than
    the chip can count: 8,388 ms on an RP2040."""
    global _wdt
    from machine import WDT

    try:
        if timeout_ms < 1:
            raise ValueError("timeout below 1 ms")
        _wdt = WDT(timeout=timeout_ms)
    except ValueError as e:
        raise BadInput("watchdog", str(e))


def feed():
    """Begins the wait anew; without watch() nothing."""
    if _wdt is not None:
        _wdt.feed()
