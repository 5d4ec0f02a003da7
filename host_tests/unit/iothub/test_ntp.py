import json

from iothub.services.ntp import Ntp
from iothub.timeouts import TIME_ANSWER_MS

NOW_MS = 1704363215000

# Payloads that are no time, whatever was asked.
NONSENSE = (
    b"",
    b"{",
    b"null",
    b"5",
    b'"get"',
    b"[]",
    b"{}",
    b'{"type":"get"}',
    b'{"type":"get","time":1704363215,"ntptime1":1704363215000}',
    b'{"type":"get","ntptime1":"1704363215000","ntptime2":"1704363215000"}',
    b'{"type":"get","ntptime1":1704363215000.5,"ntptime2":1704363215001.5}',
    b'{"type":"get","ntptime1":true,"ntptime2":true}',
    b'{"type":"get","ntptime1":null,"ntptime2":null}',
    b'{"type":"get","ntptime1":[],"ntptime2":{}}',
    b'{"type":"get","time":"1704363215"}',
    b'{"type":"get","time":1704363215.5}',
    b'{"type":"get","time":1704363215}}',
    b"\xff\xfe",
    b'{"type":"get\xff","time":1704363215}',
    # Deep, and what would be 16 MB if it were multiplied before it is known to be a number.
    b"[" * 16000,
    b'{"type":"get","time":' + b"[" * 8000 + b"]" * 8000 + b"}",
    b'{"type":"get","time":"' + b"x" * 16000 + b'"}',
)
# Other messages of the topic.
OTHERS = (
    b'{"type":"report","time":1704363215,"ntptime1":1704363215000,"ntptime2":1704363215000}',
    b'{"type":["get"],"time":1704363215}',
    b'{"type":null}',
)
# (ntptime1, ntptime2) that no sane server sends 100 ms after the question.
ABSURD = (
    (0, 0),
    (-NOW_MS, -NOW_MS),
    (1577836799999, 1577836799999),
    (4102444800000, 4102444800000),
    (NOW_MS, NOW_MS + 101),
    (NOW_MS, NOW_MS - 1),
    (NOW_MS, 0),
    (10**30, 10**30),
    (NOW_MS // 1000, NOW_MS // 1000),
)


def _diff(end, start):
    return end - start


def _answer(received_ms, sent_ms, seconds=None):
    fields = {"type": "get", "ntptime1": received_ms, "ntptime2": sent_ms}
    if seconds is not None:
        fields["time"] = seconds
    return json.dumps(fields).encode()


def test_the_request_is_that_of_the_documents():
    ntp = Ntp(_diff)
    assert not ntp.asked
    assert json.loads(ntp.request(0)) == {"type": "get", "resource": ["time"]}
    assert ntp.asked


def test_the_formula_of_the_documents():
    # sent at 100, received at 180; the server had the request at +30 and answered at +40.
    ntp = Ntp(_diff)
    ntp.request(100)
    found = ntp.answer(_answer(NOW_MS + 30, NOW_MS + 40, NOW_MS // 1000), 180)
    assert found == (NOW_MS + 30 + NOW_MS + 40 + 80) // 2 == NOW_MS + 75
    assert ntp.round_trip_ms == 80 and not ntp.asked
    assert type(found) is int


def test_it_is_right_to_half_the_round_trip():
    for there in range(0, 1000, 90):
        for back in range(0, 1000, 90):
            ntp = Ntp(_diff)
            ntp.request(5000)
            received_ms = NOW_MS + there
            sent_ms = received_ms + 3
            found = ntp.answer(_answer(received_ms, sent_ms), 5000 + there + 3 + back)
            truth_ms = sent_ms + back
            assert abs(found - truth_ms) <= (ntp.round_trip_ms + 1) // 2, (there, back)


def test_a_server_that_says_seconds_only_is_believed():
    ntp = Ntp(_diff)
    ntp.request(0)
    assert ntp.answer(b'{"type":"get","time":1704363215}', 100) == NOW_MS + 50


def test_nonsense_is_counted_and_the_request_still_waits():
    ntp = Ntp(_diff)
    ntp.request(0)
    for payload in NONSENSE:
        counted = ntp.absurd
        assert ntp.answer(payload, 10) is None, payload[:60]
        assert ntp.absurd == counted + 1 and ntp.asked, payload[:60]
    assert ntp.answer(_answer(NOW_MS, NOW_MS), 20) == NOW_MS + 10


def test_other_messages_are_passed_over():
    ntp = Ntp(_diff)
    ntp.request(0)
    for payload in OTHERS:
        assert ntp.answer(payload, 10) is None
    assert ntp.absurd == 0 and ntp.asked


def test_absurd_times_are_not_believed_and_the_request_still_waits():
    ntp = Ntp(_diff)
    ntp.request(0)
    for received_ms, sent_ms in ABSURD:
        assert ntp.answer(_answer(received_ms, sent_ms), 100) is None, (received_ms, sent_ms)
    assert ntp.absurd == len(ABSURD) and ntp.asked and ntp.round_trip_ms is None
    assert ntp.answer(_answer(NOW_MS, NOW_MS + 100), 100) == NOW_MS + 100


def test_the_first_and_last_plausible_times_are_believed():
    for now_ms in (1577836800000, 4102444799999):
        ntp = Ntp(_diff)
        ntp.request(0)
        assert ntp.answer(_answer(now_ms, now_ms), 0) == now_ms


def test_an_answer_after_its_time_is_late():
    ntp = Ntp(_diff)
    ntp.request(0)
    assert ntp.answer(_answer(NOW_MS, NOW_MS), TIME_ANSWER_MS + 1) is None
    assert ntp.late == 1 and not ntp.asked
    ntp.request(0)
    assert ntp.answer(_answer(NOW_MS, NOW_MS), TIME_ANSWER_MS) is not None


def test_ticks_that_run_backwards_are_late_too():
    ntp = Ntp(_diff)
    ntp.request(1000)
    assert ntp.answer(_answer(NOW_MS, NOW_MS), 999) is None
    assert ntp.late == 1


def test_answers_nobody_asked_for_are_not_believed():
    ntp = Ntp(_diff)
    assert ntp.answer(_answer(NOW_MS, NOW_MS), 0) is None
    ntp.request(0)
    assert ntp.answer(_answer(NOW_MS, NOW_MS), 10) is not None
    # The same again, a duplicate.
    assert ntp.answer(_answer(NOW_MS, NOW_MS), 20) is None
    ntp.request(30)
    ntp.expire()
    assert ntp.answer(_answer(NOW_MS, NOW_MS), 40) is None
    assert ntp.unasked == 3


def test_a_second_request_forgets_the_first():
    ntp = Ntp(_diff)
    ntp.request(0)
    ntp.request(4000)
    assert ntp.answer(_answer(NOW_MS, NOW_MS), 4100) == NOW_MS + 50
    assert ntp.round_trip_ms == 100
