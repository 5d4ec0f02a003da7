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
# To which others each state may go.
NEXT_STATES = (
    (BODY, CHUNK_SIZE, DONE),
    (DONE,),
    (CHUNK, TRAILER),
    (CHUNK_END,),
    (CHUNK_SIZE,),
    (DONE,),
    (),
)

MAX_HEAD_BYTES = const(4096)  # status line, fields, trailers and interim responses together
_MAX_LINE_BYTES = const(2048)  # signed addresses to be redirected to are long
_MAX_CHUNK_LINE_BYTES = const(64)
_MAX_LENGTH_DIGITS = const(9)  # of a Content-Length: below 1 GB
_MAX_CHUNK_DIGITS = const(7)  # hexadecimal: below 256 MB
_MAX_URL_BYTES = const(2048)
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
    for line in lines:
        for c in line:
            if not " " <= c <= "~":
                raise BadInput("request", "printable ASCII only in path and header")
    return "\r\n".join(lines + ["", ""]).encode()


def split_url(url):
    """(whether it is https, host, port, path with query) of an absolute URL (str). Raises
    BadInput."""
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower()
    if not found or scheme not in ("http", "https"):
        raise BadInput("url", "must begin with http:// or https://")
    if len(url) > _MAX_URL_BYTES:
        raise BadInput("url", "over %d characters" % _MAX_URL_BYTES)
    for c in url:
        if not "!" <= c <= "~":
            raise BadInput("url", "has spaces, or characters that are not ASCII")
    rest = rest.partition("#")[0]
    at = 0
    while at < len(rest) and rest[at] not in "/?":
        at += 1
    host, colon, port = rest[:at].partition(":")
    path = rest[at:]
    is_tls = scheme == "https"
    if not host or "@" in rest[:at] or (colon and not _is_number(port, 5)):
        raise BadInput("url", "has no host, or a user, or a wrong port")
    if not path.startswith("/"):
        path = "/" + path
    return is_tls, host, int(port) if port else (443 if is_tls else 80), path


class Response:
    """One response, as its bytes come. `wanted`: names (bytes, lower case) of the fields to keep
    in `fields`. `has_no_body`: it answers HEAD. Then `status` (0 before it is known), `keeps_open`
    (the connection may be used again once `state` is DONE), `left` (bytes of body that come next;
    received() must not see them), `length` (of the whole body, None if not told)."""

    def __init__(self, wanted=(), has_no_body=False):
        self.state = HEAD
        self.status = 0
        self.fields = {}
        self.keeps_open = True
        self.left = 0
        self.length = None
        self._wanted = wanted
        self._has_no_body = has_no_body
        self._is_chunked = False
        self._ends_with_stream = False
        self._line = bytearray()
        self._head_bytes = 0

    def received(self, buf, at, end):
        """Takes what is not body out of buf[at:end] and returns where it stopped: at the body, at
        the end of the response, or at `end`. Raises ProtocolError."""
        while at < end and not self.left and self.state != DONE:
            byte = buf[at]
            at += 1
            if byte == 10:
                line = self._line
                if line and line[-1] == 13:
                    line = line[:-1]
                self._line = bytearray()
                self._take_line(bytes(line))
                continue
            self._line.append(byte)
            cap = _MAX_LINE_BYTES
            if self.state == HEAD or self.state == TRAILER:
                self._head_bytes += 1
                if self._head_bytes > MAX_HEAD_BYTES:
                    raise _broken("the head is over %d bytes" % MAX_HEAD_BYTES)
            else:
                cap = _MAX_CHUNK_LINE_BYTES
            if len(self._line) > cap:
                raise _broken("a line is over %d bytes" % cap)
        return at

    def took(self, count):
        """So many bytes of the `left` ones were taken off the stream by the caller."""
        if self._ends_with_stream:
            return
        self.left -= count
        if not self.left:
            self._enter(CHUNK_END if self.state == CHUNK else DONE)

    def ended(self):
        """The stream came to its end: that is the end of the body, or raises LinkError."""
        if not self._ends_with_stream:
            raise LinkError("http: the server hung up before the end of its response", RECEIVE)
        self.left = 0
        self._enter(DONE)
        self._ends_with_stream = False

    def _enter(self, state):
        if state not in NEXT_STATES[self.state]:
            raise RuntimeError("http state %d to %d" % (self.state, state))
        self.state = state

    def _take_line(self, line):
        state = self.state
        if state == HEAD:
            self._head_bytes += 2  # so that empty lines are not for free
            if not self.status:
                self._take_status(line)
            elif line:
                self._take_field(line)
            else:
                self._head_ends()
        elif state == CHUNK_SIZE:
            digits = line.partition(b";")[0].strip()
            size = _number(digits, _MAX_CHUNK_DIGITS, b"0123456789abcdef", 16)
            if size is None:
                raise _broken("not the size of a chunk: " + _printable(line))
            self.left = size
            self._enter(CHUNK if size else TRAILER)
        elif state == CHUNK_END:
            if line:
                raise _broken("a chunk is longer than it said")
            self._enter(CHUNK_SIZE)
        elif line:  # a trailer; none is of use here
            self._head_bytes += 2
        else:
            self._enter(DONE)

    def _take_status(self, line):
        status = _number(line[9:12], 3, b"0123456789", 10)
        if not line.startswith(b"HTTP/1.") or line[8:9] != b" " or not 100 <= (status or 0) < 600:
            raise _broken("not an answer of HTTP/1: " + _printable(line))
        if line[12:13] not in (b"", b" "):
            raise _broken("not an answer of HTTP/1: " + _printable(line))
        self.status = status
        self.keeps_open = line[7:8] != b"0"

    def _take_field(self, line):
        name, colon, value = line.partition(b":")
        # A space before the colon, or at the front (a folded line), has been used to smuggle.
        if not colon or not name or b" " in name or b"\t" in name or b"\r" in line:
            raise _broken("not a header field: " + _printable(line))
        name = name.lower()
        value = value.strip()
        if name == b"content-length":
            length = _number(value, _MAX_LENGTH_DIGITS, b"0123456789", 10)
            if length is None or self.length not in (None, length):
                raise _broken("Content-Length " + _printable(value))
            self.length = length
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked" or self._is_chunked:
                raise _broken("Transfer-Encoding " + _printable(value))
            self._is_chunked = True
        elif name == b"connection":
            self.keeps_open = value.lower() == b"keep-alive" or (
                self.keeps_open and b"close" not in value.lower()
            )
        if name in self._wanted:
            self.fields[name] = value

    def _head_ends(self):
        if self.status < 200:
            # An interim response; the real one follows.
            if self.status == 101:
                raise _broken("the server changes the protocol")
            self.status = 0
            self.fields = {}
            self.length = None
            self._is_chunked = False
            return
        if self._is_chunked and self.length is not None:
            raise _broken("Content-Length and chunks")
        if self._has_no_body or self.status in (204, 304):
            self._enter(DONE)
        elif self._is_chunked:
            self._enter(CHUNK_SIZE)
        elif self.length is None:
            self.keeps_open = False
            self._ends_with_stream = True
            self.left = _UNTIL_EOF_BYTES
            self._enter(BODY)
        elif self.length:
            self.left = self.length
            self._enter(BODY)
        else:
            self._enter(DONE)


def _number(text, digits, alphabet, base):
    """The int of digits (bytes), or None. int() would take signs, spaces and underscores too."""
    text = text.lower()
    if not 0 < len(text) <= digits:
        return None
    for c in text:
        if c not in alphabet:
            return None
    return int(text, base)


def _is_number(text, digits):
    return _number(text.encode(), digits, b"0123456789", 10) is not None


def _printable(data):
    return "".join([chr(c) if 32 <= c < 127 else "?" for c in data[:60]])


def _broken(what):
    return ProtocolError("http: " + what)
