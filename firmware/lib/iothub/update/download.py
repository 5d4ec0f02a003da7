"""What to ask a file server for next, and what its answer means; RFC 9110. Pure: numbers and
header fields in, decisions out. All behaviour is in the table BEHAVIOUR."""

from iothub.compat import const
from iothub.errors import ProtocolError, UpdateError
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
_MAX_ETAG_BYTES = const(128)  # a longer one is not kept
WANTED = (b"content-range", b"etag")  # the fields of an answer that are looked at


class Download:
    """One file of `size` bytes. Who keeps what comes says came_to(), and sets `has_tail`: the last
    `tail` bytes, which are asked for first; and forgets both when `restarts` has grown. `etag`
    (str) is the server's mark of the file, "" if unknown."""

    def __init__(self, size, tail, offset=0, etag="", has_tail=False):
        self.size = size
        self.offset = offset
        self.etag = etag
        self.has_tail = has_tail
        self._tail = tail
        self._tail_first = not offset
        self._tries = 0
        self.restarts = 0
        self._with_range = True

    @property
    def wants_tail(self):
        return self._tail_first and not self.has_tail

    def fields(self):
        """The header fields (pairs of str) of the next request."""
        if not self._with_range:
            return ()
        if self.wants_tail:
            return (("Range", "bytes=-%d" % self._tail),)
        last = str(self.size - self._tail - 1) if self.has_tail else ""
        wanted = ("Range", "bytes=%d-%s" % (self.offset, last))
        # A weak mark does not vouch for the bytes, so no server compares it.
        if not self.etag or self.etag.startswith("W/"):
            return (wanted,)
        return wanted, ("If-Range", self.etag)

    def answer(self, status, fields, length):
        """What to do after the head of an answer: TAKE its body, which is the tail if that is
        wanted, else goes on at `offset`; or as happened()."""
        etag = fields.get(b"etag", b"")
        event = self._judge(status, fields, length, etag)
        if event == WHOLE:
            self._tail_first = False
            if self.offset or (self.etag and etag != self.etag.encode()):
                self._start_over()
                self._count(event)
        behaviour = self.happened(event)
        if behaviour == TAKE:
            self.etag = "" if len(etag) > _MAX_ETAG_BYTES else str(etag, "utf-8")
        return behaviour

    def happened(self, event):
        """What to do after an event. Raises UpdateError when it was once too often."""
        behaviour = BEHAVIOUR[event][0]
        if behaviour == ASK:
            self._start_over()
            if event == CHANGED:
                self._tail_first = True
            else:  # it is the Range that is bad
                self._tail_first = self._with_range = False
        if behaviour != TAKE:
            self._count(event)
        return behaviour

    def failed(self, error):
        """The same for a LinkError."""
        is_broken = isinstance(error, ProtocolError) or error.phase == "tls"
        return self.happened(BROKEN if is_broken else CUT_OFF)

    def came_to(self, offset):
        """So many bytes from the beginning are here now."""
        if offset > self.offset:
            self.offset = offset
            self._tries = 0

    def _start_over(self):
        self.restarts += 1
        self.offset = 0
        self.etag = ""
        self.has_tail = False

    def _count(self, event):
        self._tries += 1
        behaviour, code, reason = BEHAVIOUR[event]
        if behaviour == GIVE_UP or self._tries > _MAX_TRIES or self.restarts > _MAX_RESTARTS:
            raise UpdateError(reason, None, code)

    def _judge(self, status, fields, length, etag):
        if status == 206:
            first, last, size = _content_range(fields.get(b"content-range", b""))
            if size not in (None, self.size):
                return WRONG_SIZE
            wanted = self.size - self._tail if self.wants_tail else self.offset
            if first != wanted or not first <= last < self.size:
                return WRONG_RANGE
            if length not in (None, last - first + 1):
                return WRONG_RANGE
            return CHANGED if self.etag and etag and etag != self.etag.encode() else PART
        if status == 200:
            return WHOLE if length in (None, self.size) else WRONG_SIZE
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
