from iothub.mqtt.backoff import Backoff
from iothub.timeouts import REFUSED_FIRST_MS, REFUSED_LAST_MS


def _highest(n):
    return n - 1


def test_the_ceiling_doubles_to_the_last_and_stays():
    backoff = Backoff(_highest, 1000, 60000)
    waits = [backoff.next_ms() for _ in range(9)]
    assert waits == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]


def test_the_wait_is_any_from_nothing_to_the_ceiling():
    asked = []

    def random_below(n):
        asked.append(n)
        return 0

    backoff = Backoff(random_below, 1000, 3000)
    assert [backoff.next_ms() for _ in range(4)] == [0, 0, 0, 0]
    assert asked == [1001, 2001, 3001, 3001]


def test_reset_starts_from_the_first_again():
    backoff = Backoff(_highest)
    assert [backoff.next_ms() for _ in range(3)] == [1000, 2000, 4000]
    backoff.reset()
    assert backoff.next_ms() == 1000


def test_it_never_gives_up():
    backoff = Backoff(_highest)
    for _ in range(10000):
        wait_ms = backoff.next_ms()
    assert wait_ms == 60000


def test_after_a_refused_login_it_is_slower():
    backoff = Backoff(_highest, REFUSED_FIRST_MS, REFUSED_LAST_MS)
    waits = [backoff.next_ms() for _ in range(8)]
    assert waits == [15000, 30000, 60000, 120000, 240000, 480000, 600000, 600000]
