"""What to ask a file server for next, and what its answer means; RFC 9110. Pure: numbers and
header fields in, decisions out. All behaviour is in the table BEHAVIOUR. Loaded for each request
and let go of (iothub.loading), so these are functions of an asked.Asked."""

from iothub.compat import const
from iothub.errors import ProtocolError, UpdateError
from iothub.loading import NO_CODE
from iothub.update_codes import EXPIRED, MISSING, NOT_UPDATED, TIMED_OUT, WRONG_MD5

# What to do.
TAKE = const(0)  # the body of this answer
ASK = const(1)  # at once, from the beginning of the file
RENEW = const(2)  # ask the cloud for a new URL
RETRY = const(3)  # ask again, after a pause
GIVE_UP = const(4)

# What came.
PART = const(0)  # 206
WHOLE = const(1)  # 200: nothing is here yet, the server knows no Range, or the file changed
BEYOND = const(2)  # 416
FORBIDDEN = const(3)  # 403
ABSENT = const(4)  # 404, 410
BUSY = const(5)  # 408, 429, 5xx
REFUSED = const(6)  # any other status; a redirect that is not followed
WRONG_RANGE = const(7)  # 206 with other bytes than asked for
WRONG_SIZE = const(8)  # 200 or 206 of a file of another size than the cloud said
CHANGED = const(9)  # 206 of a file with another ETag than before
CUT_OFF = const(10)  # no connection, a stall, or an end before that of the file
BROKEN = const(11)  # not HTTP, or a server that TLS does not accept
# For each: what to do, and the result_code and words when it was once too often.
BEHAVIOUR = (
    (TAKE, 0, ""),
    (TAKE, TIMED_OUT, "the file began anew too often"),
    (ASK, NOT_UPDATED, "416: the file ends before"),
    (RENEW, EXPIRED, "403: the address has expired"),
    (GIVE_UP, MISSING, "there is no such file"),
    (RETRY, TIMED_OUT, "the file server is busy"),
    (GIVE_UP, NOT_UPDATED, "the file server refuses"),
    (ASK, NOT_UPDATED, "not the range asked for"),
    (RETRY, WRONG_MD5, "the file has another size"),
    (ASK, WRONG_MD5, "the file changes"),
    (RETRY, TIMED_OUT, "time_out"),
    (RETRY, NOT_UPDATED, "the file server is not trusted"),
)
_MAX_TRIES = const(10)  # in a row, without a byte of the file
_MAX_RESTARTS = const(8)  # from the beginning: each wears the flash
_MAX_ETAG_BYTES = const(128)  # a longer one is not kept, nor one that is no ASCII


def fields(asked):
    """The header fields (pairs of str) of the next request for an asked.Asked."""
    if not asked.with_range:
        return ()
    if asked.wants_tail:
        return (("Range", "bytes=-%d" % asked.tail),)
    last = str(asked.size - asked.tail - 1) if asked.has_tail else ""
    wanted = ("Range", "bytes=%d-%s" % (asked.offset, last))
    # A weak mark does not vouch for the bytes, so no server compares it.
    if not asked.etag or asked.etag.startswith("W/"):
        return (wanted,)
    return wanted, ("If-Range", asked.etag)


def answer(asked, response):
    """What to do after the head of an answer (`status`, `fields`, `length`): TAKE its body, which
    is the tail if that is wanted, else goes on at `offset`; or as happened()."""
    etag = response.fields.get(b"etag", b"")
    event = _judge(asked, response, etag)
    if event == WHOLE:
        asked.tail_first = False
        if asked.offset or (asked.etag and etag != asked.etag.encode()):
            asked.start_over()
            _count(asked, event)
    behaviour = happened(asked, event)
    if behaviour == TAKE:
        is_kept = len(etag) <= _MAX_ETAG_BYTES and max(etag + b" ") < 127
        asked.etag = str(etag, "utf-8") if is_kept else ""
    return behaviour


def happened(asked, event):
    """What to do after an event. Raises UpdateError when it was once too often."""
    behaviour = BEHAVIOUR[event][0]
    if behaviour == ASK:
        asked.start_over()
        if event == CHANGED:
            asked.tail_first = True
        else:  # it is the Range that is bad
            asked.tail_first = asked.with_range = False
    if behaviour != TAKE:
        _count(asked, event)
    return behaviour


def failed(asked, error):
    """The same for a LinkError. Raises it when it is none of the server's: code to connect that
    cannot be loaded, which no other try would change."""
    if error.code == NO_CODE:
        raise error
    is_broken = isinstance(error, ProtocolError) or error.phase == "tls"
    return happened(asked, BROKEN if is_broken else CUT_OFF)


def _count(asked, event):
    asked.tries += 1
    behaviour, code, reason = BEHAVIOUR[event]
    if behaviour == GIVE_UP or asked.tries > _MAX_TRIES or asked.restarts > _MAX_RESTARTS:
        raise UpdateError(reason, None, code)


def _judge(asked, response, etag):
    status = response.status
    length = response.length
    if status == 206:
        first, last, size = _content_range(response.fields.get(b"content-range", b""))
        if size not in (None, asked.size):
            return WRONG_SIZE
        wanted = asked.size - asked.tail if asked.wants_tail else asked.offset
        if first != wanted or not first <= last < asked.size:
            return WRONG_RANGE
        if length not in (None, last - first + 1):
            return WRONG_RANGE
        return CHANGED if asked.etag and etag and etag != asked.etag.encode() else PART
    if status == 200:
        return WHOLE if length in (None, asked.size) else WRONG_SIZE
    if status == 416:
        return BEYOND
    if status == 403:
        return FORBIDDEN
    if status in (404, 410):
        return ABSENT
    return BUSY if status in (408, 429) or status >= 500 else REFUSED


def _content_range(value):
    """(first, last, size or None) of a Content-Range; first is -1 if it is none."""
    unit, _, rest = value.partition(b" ")
    ends, _, size = rest.partition(b"/")
    first, _, last = ends.partition(b"-")
    for digits in (first, last, b"0" if size == b"*" else size):
        if not 0 < len(digits) < 10 or not digits.isdigit():
            return -1, -1, None
    if unit.lower() != b"bytes":
        return -1, -1, None
    return int(first), int(last), None if size == b"*" else int(size)
