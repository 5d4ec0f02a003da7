from iothub import timeouts
from iothub.mqtt.engine import ACKNOWLEDGE_MS, CONNACK_MS, PINGRESP_MS


def _waits():
    """{name: milliseconds} of the table."""
    found = {}
    for name in dir(timeouts):
        value = getattr(timeouts, name)
        if name.endswith("_MS"):
            found[name] = value
        elif name.endswith("_S"):
            found[name] = value * 1000
    return found


def test_every_wait_is_positive_and_fits_the_ticks_of_a_port():
    # ticks_diff() holds for half its period, 2 to the 29 ms on 32-bit ports.
    waits = _waits()
    assert len(waits) > 15
    for name in waits:
        value = waits[name]
        assert isinstance(value, int) and 0 < value < 2**29, name


def test_waits_that_contain_others_are_longer():
    assert timeouts.TICK_MS < min(CONNACK_MS, PINGRESP_MS, ACKNOWLEDGE_MS)
    assert timeouts.DELIVERY_MS > ACKNOWLEDGE_MS + timeouts.BACKOFF_LAST_MS
    assert timeouts.BACKOFF_FIRST_MS < timeouts.BACKOFF_LAST_MS < timeouts.REFUSED_LAST_MS
    assert timeouts.BACKOFF_FIRST_MS < timeouts.REFUSED_FIRST_MS < timeouts.REFUSED_LAST_MS
    assert timeouts.TIME_ANSWER_MS < timeouts.TIME_RETRY_MS < timeouts.TIME_REFRESH_MS
