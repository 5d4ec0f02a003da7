"""The HTTP/1.1 codec: what requests look like, and every way a response may come."""

from iothub.codec import http
from iothub.codec.http import BODY, CHUNK, CHUNK_END, CHUNK_SIZE, DONE, TRAILER, request_head
from iothub.codec.url import split_url
from iothub.errors import BadInput, LinkError, ProtocolError

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.state_table import steps, watched

# For each state, from HEAD on, those that may follow.
NEXT_STATES = (
    (BODY, CHUNK_SIZE, DONE),
    (DONE,),
    (CHUNK, TRAILER),
    (CHUNK_END,),
    (CHUNK_SIZE,),
    (DONE,),
    (),
)
met: set = set()
Response = watched(http.Response, NEXT_STATES, met)

OK = b"HTTP/1.1 200 OK\r\n"
# name, bytes of a response, whether the stream ends after it: status, body, keeps_open
RESPONSES = (
    ("length", OK + b"Content-Length: 5\r\n\r\nhello", 0, 200, b"hello", True),
    ("empty", OK + b"Content-Length: 0\r\n\r\n", 0, 200, b"", True),
    ("said twice", OK + b"Content-Length: 2\r\ncontent-length: 2\r\n\r\nab", 0, 200, b"ab", True),
    ("line feeds only", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nab", 0, 200, b"ab", True),
    ("no reason", b"HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno", 0, 404, b"no", True),
    ("close", OK + b"Connection: close\r\nContent-Length: 1\r\n\r\nx", 0, 200, b"x", False),
    ("1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 0, 200, b"x", False),
    (
        "1.0 kept",
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx",
        0, 200, b"x", True,
    ),
    ("until the end", OK + b"\r\nall there is", 1, 200, b"all there is", False),
    ("204", b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", 0, 204, b"", True),
    ("304", b"HTTP/1.1 304 Not Modified\r\n\r\n", 0, 304, b"", True),
    (
        "chunks",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n",
        0, 200, b"hello!", True,
    ),
    (
        "chunks and a trailer",
        OK + b"transfer-encoding: Chunked\r\n\r\n00A \r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n",
        0, 200, b"0123456789", True,
    ),
    (
        "an interim response before",
        b"HTTP/1.1 103 Early\r\nContent-Length: 7\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx",
        0, 200, b"x", True,
    ),
    ("partial", b"HTTP/1.1 206 Partial\r\nContent-Length: 3\r\n\r\nabc", 0, 206, b"abc", True),
)  # fmt: skip
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BROKEN = (
    b"\r\n",
    b"SSH-2.0-OpenSSH_9\r\n",
    b"HTTP/2 200\r\n",
    b"HTTP/1.1 99 x\r\n",
    b"HTTP/1.1 600 x\r\n",
    b"HTTP/1.1 2x0 x\r\n",
    b"HTTP/1.1 2000 x\r\n",
    b"HTTP/1.1  200 x\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    OK + b"no colon\r\n",
    OK + b": no name\r\n",
    OK + b"Content-Length : 5\r\n",
    OK + b"A: b\r\n folded\r\n",
    OK + b"A: b\rC: d\r\n",
    OK + b"Content-Length: -1\r\n",
    OK + b"Content-Length: +5\r\n",
    OK + b"Content-Length: 1_0\r\n",
    OK + b"Content-Length: 0x10\r\n",
    OK + b"Content-Length: 5, 5\r\n",
    OK + b"Content-Length:\r\n",
    OK + b"Content-Length: 5\r\nContent-Length: 6\r\n",
    OK + b"Content-Length: 10000000000\r\n",
    OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK + b"Transfer-Encoding: gzip, chunked\r\n",
    OK + b"Transfer-Encoding: identity\r\n",
    OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    OK + b"A: " + b"x" * 5000 + b"\r\n",
    OK + b"A: bcdefgh\r\n" * 400,
    OK + b"\r" * 5000,
    b"HTTP/1.1 100 Continue\r\n\r\n" * 400,
    CHUNKED + b"\r\n",
    CHUNKED + b"x\r\n",
    CHUNKED + b"-1\r\n",
    CHUNKED + b"0x5\r\n",
    CHUNKED + b"5 5\r\n",
    CHUNKED + b"12345678\r\n",
    CHUNKED + b"1;" + b"e" * 5000 + b"\r\n",
    CHUNKED + b"1\r\nab\r\n",
    CHUNKED + b"0\r\n" + b"T: x\r\n" * 1000,
)


def receive(response, data, piece, ends=False):
    """Feeds `data` in pieces of so many bytes, as a driver does; the body, and what was left."""
    body = b""
    at = 0
    while at < len(data) and response.state != http.DONE:
        end = min(len(data), at + piece)
        while at < end and response.state != http.DONE:
            if response.left:
                count = min(response.left, end - at)
                body += data[at : at + count]
                at += count
                response.took(count)
            else:
                at = response.received(data, at, end)
    if ends and response.state != http.DONE:
        response.ended()
    return body, data[at:]


def test_a_response_comes_in_pieces_of_any_size():
    for name, data, ends, status, body, keeps_open in RESPONSES:
        for piece in (1, 2, 3, 7, 1000):
            response = Response()
            after = b"" if ends else b"HTTP/1.1 the next"
            found, left = receive(response, data + after, piece, ends)
            assert response.state == http.DONE, name
            assert (response.status, found, left) == (status, body, after), name
            assert response.keeps_open == keeps_open, name


def test_a_stream_that_ends_early_is_an_error_at_every_byte():
    for name, data, ends, _, body, _ in RESPONSES:
        for size in range(len(data)):
            response = Response()
            if ends and data[:size].endswith(b"\r\n\r\n" + body[: size - len(OK) - 2]):
                if size >= len(OK) + 2:
                    continue  # the end of the stream is the end of this body
            error = raises(LinkError, receive, response, data[:size], 5, True)
            assert not isinstance(error, ProtocolError), (name, size)
            assert error.phase == "receive" and error.code == 104, (name, size)


def test_a_broken_response_is_refused():
    for data in BROKEN:
        for piece in (1, 5000):
            assert raises(ProtocolError, receive, Response(), data, piece).phase == "receive", data


def test_only_the_fields_asked_for_are_kept_whatever_their_case():
    data = (
        OK
        + b'ETag:  "x" \r\nX-Other: 1\r\nCONTENT-RANGE: bytes 1-2/3\r\nContent-Length: 0\r\n\r\n'
    )
    response = Response((b"etag", b"content-range", b"content-length", b"location"))
    receive(response, data, 4)
    assert response.fields == {
        b"etag": b'"x"',
        b"content-range": b"bytes 1-2/3",
        b"content-length": b"0",
    }
    assert response.length == 0


def test_every_step_of_the_table_is_met_and_no_other():
    met.clear()
    for _, data, ends, _, _, _ in RESPONSES:
        receive(Response(), data, 9, ends)
    assert met == steps(NEXT_STATES)


def test_a_long_head_leaves_room_for_chunks():
    long_head = OK + b"A: " + b"x" * 4000 + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"3;" + b"e" * 3000 + b"\r\nabc\r\n0\r\nT: " + b"x" * 3000 + b"\r\n\r\n"
    for times in (1, 3):
        body = chunks[:3009] * times + chunks[3009:]
        assert receive(Response(), long_head + body, 512) == (b"abc" * times, b"")


def test_a_request():
    head = request_head("POST", "/a?b=c", "example.org:8080", (("X-A", "1"), ("X-B", "")), 12)
    assert head == (
        b"POST /a?b=c HTTP/1.1\r\nHost: example.org:8080\r\nX-A: 1\r\nX-B: \r\n"
        b"Content-Length: 12\r\n\r\n"
    )
    assert b"Content-Length" not in request_head("GET", "/", "h")
    assert b"Content-Length: 0\r\n" in request_head("POST", "/", "h", (), 0)


def test_a_request_cannot_be_broken_out_of():
    raises(BadInput, request_head, "GET", "/a\r\nX: y", "h")
    raises(BadInput, request_head, "GET", "/a b", "h")
    raises(BadInput, request_head, "GET", "a", "h")
    raises(BadInput, request_head, "GET", "/", "h\n")
    raises(BadInput, request_head, "GET", "/", "h", (("A", "b\r\n\r\nGET / HTTP/1.1"),))
    raises(BadInput, request_head, "GET", "/温", "h")


def test_urls():
    for url, expected in (
        ("http://h", (False, "h", 80, "/")),
        ("https://h/", (True, "h", 443, "/")),
        ("HTTPS://h:8443/a/b?c=d:e@f/g", (True, "h", 8443, "/a/b?c=d:e@f/g")),
        ("http://1.2.3.4:81?x", (False, "1.2.3.4", 81, "/?x")),
        ("http://h/a#fragment", (False, "h", 80, "/a")),
    ):
        assert split_url(url) == expected, url
    for url in (
        "", "h/a", "ftp://h/", "http:/h", "http://", "http:///a", "http://:80/", "http://h:x/",
        "http://h:/", "http://user@h/", "http://h:123456/", "http://h/a b", "http://h/\r\n",
        "http://h/温", "http://h/" + "x" * 3000,
    ):  # fmt: skip
        assert raises(BadInput, split_url, url).field == "url", url
