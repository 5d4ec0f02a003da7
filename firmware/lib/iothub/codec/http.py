"""HTTP/1.1 (RFC 9110, RFC 9112), the client's side, on bytes: requests out, responses in. Pure.

HEAD --empty line--> BODY, CHUNK_SIZE or DONE
BODY --its last byte, or the stream's end where that delimits it--> DONE
CHUNK_SIZE --"n"--> CHUNK --its last byte--> CHUNK_END --empty line--> CHUNK_SIZE
CHUNK_SIZE --"0"--> TRAILER --empty line--> DONE
"""

from iothub.compat import const
from iothub.errors import RECEIVE, BadInput, LinkError, ProtocolError

HEAD = const(0)
BODY = const(1)
CHUNK_SIZE = const(2)
CHUNK = const(3)
CHUNK_END = const(4)
TRAILER = const(5)
DONE = const(6)

# Status line, fields and interim responses together; the line of a chunk's size; all trailers.
MAX_HEAD_BYTES = const(4096)
_MAX_LENGTH_DIGITS = const(9)  # of a Content-Length: below 1 GB
_MAX_CHUNK_DIGITS = const(7)  # hexadecimal: below 256 MB
# What may still come of a body that only the end of the stream ends.
_UNTIL_EOF_BYTES = const(0x3FFFFFFF)


def request_head(method, path, host, fields=(), body_bytes=None):
    """The head of a request (bytes) in one piece. `method`, `path`, `host` (with ":port" unless it
    is the usual one) and the pairs of `fields` are str; `body_bytes` is None without a body.
    Raises BadInput for what would break out of its line."""
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: " + host]
    for name, value in fields:
        lines.append(name + ": " + value)
    if body_bytes is not None:
        lines.append("Content-Length: %d" % body_bytes)
    if " " in path or not path.startswith("/"):
        raise BadInput("path", "must begin with / and have no spaces")
    for c in "".join(lines):
        if not " " <= c <= "~":
            raise BadInput("request", "printable ASCII only in path and header")
    return "\r\n".join(lines + ["", ""]).encode()


class Response:
    """One response to a GET or POST, as its bytes come. `wanted`: names (bytes, lower case) of the
    fields to keep in `fields`. Then `status` (0 before it is known), `keeps_open` (the connection
    may be used again once `state` is DONE), `left` (bytes of body that come next; received() must
    not see them), `length` (of the whole body, None if not told)."""

    def __init__(self, wanted=()):
        self.state = HEAD
        self.status = 0
        self.fields = {}
        self.keeps_open = True
        self.left = 0
        self.length = None
        self._wanted = wanted
        self._is_chunked = False
        self._line = bytearray()
        self._room = MAX_HEAD_BYTES

    def received(self, buf, at, end):
        """Takes what is not body out of buf[at:end] and returns where it stopped: at the body, at
        the end of the response, or at `end`. Raises ProtocolError."""
        while at < end and not self.left and self.state != DONE:
            byte = buf[at]
            at += 1
            self._room -= 1
            if self._room < 0:
                raise _broken("what comes before a body is over %d bytes" % MAX_HEAD_BYTES)
            if byte != 10:
                self._line.append(byte)
                continue
            line = bytes(self._line)
            self._line = bytearray()
            self._take_line(line[:-1] if line.endswith(b"\r") else line)
        return at

    def took(self, count):
        """So many bytes of the `left` ones were taken off the stream by the caller."""
        if self.left != _UNTIL_EOF_BYTES:
            self.left -= count
            if not self.left:
                self.state = CHUNK_END if self._is_chunked else DONE

    def ended(self):
        """The stream came to its end: that is the end of the body, or raises LinkError."""
        if self.left != _UNTIL_EOF_BYTES:
            raise LinkError("http: the server hung up before the end of its response", RECEIVE)
        self.left = 0
        self.state = DONE

    def _take_line(self, line):
        state = self.state
        if state == HEAD:
            if not self.status:
                self._take_status(line)
            elif line:
                self._take_field(line)
            else:
                self._head_ends()
        elif state == CHUNK_SIZE:
            digits = line.partition(b";")[0].strip()
            size = self.left = _number(digits, _MAX_CHUNK_DIGITS, 16)
            self.state = CHUNK if size else TRAILER
            self._room = MAX_HEAD_BYTES
        elif state == CHUNK_END:
            if line:
                raise _broken("a chunk is longer than it said")
            self.state = CHUNK_SIZE
        elif not line:  # of the trailers none is of use here
            self.state = DONE

    def _take_status(self, line):
        status = 0
        if line[:7] + line[8:9] + line[12:13] in (b"HTTP/1. ", b"HTTP/1.  "):
            status = self.status = _number(line[9:12], 3, 10)
        if not 100 <= status < 600:
            raise _broken("not an answer of HTTP/1: %r" % line[:60])
        self.keeps_open = line[7:8] != b"0"

    def _take_field(self, line):
        name, colon, value = line.partition(b":")
        # A space before the colon, or at the front (a folded line), has been used to smuggle.
        if not colon or not name or b" " in name or b"\t" in name or b"\r" in line:
            raise _broken("not a header field: %r" % line[:60])
        name = name.lower()
        value = value.strip()
        said = value.lower()
        if name == b"content-length":
            length = _number(value, _MAX_LENGTH_DIGITS, 10)
            if self.length not in (None, length):
                raise _broken("two lengths")
            self.length = length
        elif name == b"transfer-encoding":
            if said != b"chunked" or self._is_chunked:
                raise _broken("Transfer-Encoding %r" % value[:60])
            self._is_chunked = True
        elif name == b"connection":
            self.keeps_open = said == b"keep-alive" or (self.keeps_open and b"close" not in said)
        if name in self._wanted:
            self.fields[name] = value

    def _head_ends(self):
        status = self.status
        if status < 200:
            # An interim response; the real one follows.
            if status == 101:
                raise _broken("the server changes the protocol")
            self.status = 0
            self.fields = {}
            self.length = None
            self._is_chunked = False
            return
        if self._is_chunked and self.length is not None:
            raise _broken("Content-Length and chunks")
        state = BODY
        if status == 204 or status == 304 or self.length == 0:
            state = DONE
        elif self._is_chunked:
            state = CHUNK_SIZE
            self._room = MAX_HEAD_BYTES
        elif self.length:
            self.left = self.length
        else:
            self.keeps_open = False
            self.left = _UNTIL_EOF_BYTES
        self.state = state


def _number(text, max_digits, base):
    """The int of digits (bytes). Raises ProtocolError. int() would take signs, spaces and
    underscores too."""
    digits = b"0123456789abcdef"[:base]
    if not 0 < len(text) <= max_digits or text.lower().strip(digits):
        raise _broken("not a number, or too large: %r" % text[:60])
    return int(text, base)


def _broken(what):
    return ProtocolError("http: " + what)
