from iothub.errors import DeadlineError, LinkError, ProtocolError, TlsError, UpdateError
from iothub.loading import NO_CODE
from iothub.update import download
from iothub.update.asked import Asked
from iothub.update.download import ASK, BEHAVIOUR, GIVE_UP, RENEW, RETRY, TAKE

from host_tests.unit.iothub.expect import raises

SIZE = 100000
TAIL = 512
ETAG = '"abc-1"'


def running(offset=40960, etag=ETAG, has_tail=True):
    return Asked(SIZE, TAIL, offset, etag, has_tail)


class Response:
    """As of codec/http.py."""

    def __init__(self, status, fields, length):
        self.status = status
        self.fields = fields
        self.length = length


def answer(asked, *response):
    return download.answer(asked, Response(*response))


def part(first, last, size=SIZE, etag=ETAG):
    value = "bytes %d-%d/%s" % (first, last, size)
    return {b"content-range": value.encode(), b"etag": etag.encode()}


def test_the_tail_is_asked_for_first_then_the_rest():
    asked = Asked(SIZE, TAIL)
    assert asked.wants_tail
    assert download.fields(asked) == (("Range", "bytes=-512"),)
    assert answer(asked, 206, part(99488, 99999), 512) == TAKE
    asked.has_tail = True
    assert not asked.wants_tail
    assert download.fields(asked) == (("Range", "bytes=0-99487"), ("If-Range", ETAG))
    assert answer(asked, 206, part(0, 99487), 99488) == TAKE
    asked.came_to(99488)
    assert (asked.offset, asked.restarts) == (99488, 0)


def test_what_was_begun_goes_on_at_the_offset():
    assert download.fields(running()) == (("Range", "bytes=40960-99487"), ("If-Range", ETAG))
    without_tail = running(has_tail=False)
    assert not without_tail.wants_tail
    assert download.fields(without_tail) == (("Range", "bytes=40960-"), ("If-Range", ETAG))


def test_the_last_byte_may_come_alone():
    asked = running(offset=99487)
    assert download.fields(asked) == (("Range", "bytes=99487-99487"), ("If-Range", ETAG))
    assert answer(asked, 206, part(99487, 99487), 1) == TAKE


def test_a_weak_etag_or_none_is_not_asked_about():
    for etag in ("", 'W/"abc"'):
        assert download.fields(running(etag=etag)) == (("Range", "bytes=40960-99487"),)


# status, fields, Content-Length: the event, for a download that has 40960 bytes and the tail.
ANSWERS: tuple = (
    (206, part(40960, 99487), 58528, download.PART),
    (206, part(40960, 99999), None, download.PART),
    (206, part(40960, 50000), 9041, download.PART),
    (206, part(40960, 99487, "*"), None, download.PART),
    (206, {b"content-range": b"Bytes 40960-99487/100000"}, None, download.PART),
    (200, {b"etag": b'"new"'}, SIZE, download.WHOLE),
    (200, {}, None, download.WHOLE),
    (416, {b"content-range": b"bytes */100000"}, 0, download.BEYOND),
    (403, {}, 10, download.FORBIDDEN),
    (404, {}, 10, download.ABSENT),
    (410, {}, 10, download.ABSENT),
    (408, {}, 10, download.BUSY),
    (429, {}, 10, download.BUSY),
    (500, {}, 10, download.BUSY),
    (503, {}, 10, download.BUSY),
    (599, {}, 10, download.BUSY),
    (400, {}, 10, download.REFUSED),
    (401, {}, 10, download.REFUSED),
    (204, {}, 0, download.REFUSED),
    (302, {}, 0, download.REFUSED),
    (206, {}, 58528, download.WRONG_RANGE),
    (206, part(0, 99487), None, download.WRONG_RANGE),
    (206, part(40961, 99487), None, download.WRONG_RANGE),
    (206, part(40960, 40959), None, download.WRONG_RANGE),
    (206, part(40960, 100000), None, download.WRONG_RANGE),
    (206, part(40960, 99487), 58527, download.WRONG_RANGE),
    (206, {b"content-range": b"items 40960-99487/100000"}, None, download.WRONG_RANGE),
    (206, {b"content-range": b"bytes 40960-99487"}, None, download.WRONG_RANGE),
    (206, {b"content-range": b"bytes +40960-99487/100000"}, None, download.WRONG_RANGE),
    (206, {b"content-range": b"bytes 40960-9999999999/*"}, None, download.WRONG_RANGE),
    (206, part(40960, 99487, 100001), None, download.WRONG_SIZE),
    (200, {}, SIZE - 1, download.WRONG_SIZE),
    (206, part(40960, 99487, etag='"other"'), None, download.CHANGED),
)


def test_what_every_answer_is():
    for status, fields, length, event in ANSWERS:
        asked = running()
        behaviour, code, reason = BEHAVIOUR[event]
        if behaviour == GIVE_UP:
            error = raises(UpdateError, answer, asked, status, fields, length)
            assert (error.code, error.reason) == (code, reason), status
            continue
        assert answer(asked, status, fields, length) == behaviour, (status, fields)
        begins_anew = event in (
            download.WHOLE,
            download.BEYOND,
            download.WRONG_RANGE,
            download.CHANGED,
        )
        assert (asked.offset == 0) == begins_anew, (status, fields)
        assert asked.restarts == begins_anew


# An error on the way: the event.
ERRORS = (
    (LinkError("reset"), download.CUT_OFF),
    (DeadlineError("stalled"), download.CUT_OFF),
    (ProtocolError("not HTTP"), download.BROKEN),
    (TlsError("unknown CA"), download.BROKEN),
)


def test_what_every_error_is():
    for error, event in ERRORS:
        asked = running()
        for _ in range(10):
            assert download.failed(asked, error) == BEHAVIOUR[event][0] == RETRY
        assert asked.offset == 40960
        # What it was shows when it was once too often.
        ended = raises(UpdateError, download.failed, asked, error)
        assert (ended.code, ended.reason) == BEHAVIOUR[event][1:]


def test_code_that_cannot_be_loaded_is_none_of_the_servers_faults():
    asked = running()
    error = LinkError("iothub.net.follow: no module", None, NO_CODE)
    assert raises(LinkError, download.failed, asked, error) is error
    assert asked.tries == 0


def test_the_tables_have_every_event():
    met = [event for _, _, _, event in ANSWERS] + [event for _, event in ERRORS]
    assert sorted(set(met)) == list(range(len(BEHAVIOUR)))
    used = [behaviour for behaviour, _, _ in BEHAVIOUR]
    assert sorted(set(used)) == [TAKE, ASK, RENEW, RETRY, GIVE_UP]


def test_every_event_ends_when_it_comes_too_often():
    for event, (behaviour, code, reason) in enumerate(BEHAVIOUR):
        if event in (download.PART, download.WHOLE):
            continue
        asked = running()
        count = 0
        while count < 30:
            try:
                assert download.happened(asked, event) == behaviour
            except UpdateError as e:
                assert (e.code, e.reason, e.phase) == (code, reason, "update")
                break
            count += 1
        assert (count == 0) == (behaviour == GIVE_UP), event
        assert count < 12, event


def test_bytes_that_come_keep_it_going():
    asked = running()
    for i in range(1000):
        assert download.happened(asked, download.CUT_OFF) == RETRY
        asked.came_to(40961 + i)
    # The same offset again is no progress.
    for _ in range(10):
        assert download.happened(asked, download.CUT_OFF) == RETRY
        asked.came_to(asked.offset)
    raises(UpdateError, download.happened, asked, download.CUT_OFF)


def test_a_file_that_always_begins_anew_ends_all_the_same():
    # A server without Range on a link that breaks: bytes come, and are never enough.
    asked = running()
    starts = 0
    while starts < 100:
        asked.came_to(50000)
        try:
            assert answer(asked, 200, {}, SIZE) == TAKE
        except UpdateError as e:
            assert e.code == -1
            break
        starts += 1
    assert starts == 8


def test_a_server_without_range_gives_all_at_once():
    asked = Asked(SIZE, TAIL)
    assert answer(asked, 200, {b"etag": ETAG.encode()}, SIZE) == TAKE
    assert not asked.wants_tail
    assert (asked.restarts, asked.etag) == (0, ETAG)


def test_after_a_bad_range_it_asks_without():
    wrong: tuple = (part(0, 5), {})
    for fields in wrong:
        asked = running()
        assert answer(asked, 206, fields, None) == ASK
        assert download.fields(asked) == ()
        assert not asked.wants_tail and not asked.has_tail
        assert answer(asked, 200, {}, SIZE) == TAKE


def test_after_another_etag_the_tail_is_asked_for_again():
    asked = running()
    assert answer(asked, 206, part(40960, 99487, etag='"new"'), None) == ASK
    assert asked.wants_tail and not asked.etag
    assert download.fields(asked) == (("Range", "bytes=-512"),)


def test_a_tail_of_another_file_is_not_kept():
    asked = Asked(SIZE, TAIL)
    assert answer(asked, 206, part(99488, 99999), 512) == TAKE
    asked.has_tail = True
    # If-Range tells the server to send the whole of the file it has now.
    assert answer(asked, 200, {b"etag": b'"new"'}, SIZE) == TAKE
    assert (asked.has_tail, asked.restarts, asked.etag) == (False, 1, '"new"')


def test_an_etag_that_is_no_ascii_is_not_kept():
    for etag in (b'"\xe9"', '"\u4e2d"'.encode()):
        asked = running(offset=0, etag="", has_tail=False)
        assert answer(asked, 200, {b"etag": etag}, SIZE) == TAKE
        assert asked.etag == ""
        assert answer(asked, 200, {b"etag": etag}, SIZE) == TAKE
        assert asked.restarts == 0


def test_an_etag_that_is_too_long_is_not_kept():
    asked = Asked(SIZE, TAIL)
    assert answer(asked, 200, {b"etag": b"x" * 129}, SIZE) == TAKE
    assert asked.etag == ""
