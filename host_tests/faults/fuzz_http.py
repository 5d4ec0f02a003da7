"""Mutation fuzz of what comes over HTTP: responses, addresses to be redirected to, the gateway's
answers.

    PYTHONPATH=.:firmware/lib python host_tests/faults/fuzz_http.py --seed 1 --cases 1000

A case is some responses that are almost right, which end in a typed error or in the body that a
second reading finds, within their bounds and without standing still; then one that is right, which
is read to the byte. And addresses and answers of the gateway, of which none may raise anything
else than it says. CPython and MicroPython come to the same digest of the responses. `--subject
NAME` runs a known-bad reader: status 1.
"""

import binascii
import sys

from iothub.codec import http
from iothub.codec.url import split_url
from iothub.errors import BadInput, LinkError, ProtocolError, ServiceRefused
from iothub.services import register, signed

from host_tests.faults import fuzz_run
from host_tests.faults.fuzz_dice import Dice, mutate
from host_tests.faults.fuzz_run import FuzzFailure

INPUTS_A_CASE = 4  # responses; as many answers and addresses come with them
MAX_LINE = 4096
MAX_STEPS = 20000
MAX_REASON = 130
STATUS_LINES = (
    b"HTTP/1.1 200 OK", b"HTTP/1.1 206 Partial Content", b"HTTP/1.0 200 OK", b"HTTP/1.1 404",
    b"HTTP/1.1 204 No Content", b"HTTP/1.1 100 Continue", b"HTTP/1.1 416 No", b"HTTP/1.1 99 x",
    b"HTTP/2 200", b"", b"HTTP/1.1 101 Switching", b"ICY 200 OK", b"HTTP/1.1 +20 x",
)  # fmt: skip
FIELDS = (
    b"Content-Length: 5", b"Content-Length: 0", b"content-length: 300", b"Content-Length: -1",
    b"Content-Length: 99999999999", b"Content-Length: 5, 5", b"Content-Length: 1_0",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"TRANSFER-ENCODING: chunked",
    b"Connection: close", b"Connection: keep-alive", b'ETag: "x"', b"X: " + b"y" * 5000,
    b": nothing", b" folded", b"NoColon", b"Space : x", b"Content-Length:5", b"A: b\rC: d",
)  # fmt: skip
CHUNKS = (
    b"5\r\nhello\r\n", b"0\r\n\r\n", b"1;x=y\r\n!\r\n", b"00a\r\n0123456789\r\n", b"\r\n",
    b"fffffff\r\nx", b"-1\r\n", b"0x5\r\nhello\r\n", b"5\r\nhello!\r\n", b"0\r\nT: 1\r\n\r\n",
    b"1" * 100 + b"\r\n", b"12345678\r\n",
)  # fmt: skip
GOOD = (
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 206 x\r\nContent-Length: 2\r\n\r\nab", b"ab"),
)
URLS = (
    b"https://host.example:8443/path/file.bin?sign=a%20b&t=1#x", b"http://1.2.3.4/",
    b"https://h", b"/only/a/path", b"http://user@h/", b"http://h:99999/",
)  # fmt: skip
PAYLOAD = b'{"encryptionType":2,"psk":"lDZ6Uqt+I9E0wW7rvDUs7Q=="}'
CERTIFICATE_PAYLOAD = (
    b'{"encryptionType":1,"clientCert":"-----BEGIN CERTIFICATE-----\\nMAAwAA==\\n-----END x",'
    b'"clientKey":"-----BEGIN KEY-----\\nMAAwAA==\\n-----END x"}'
)
ANSWERS = (
    b'{"Response":{"RequestId":"x","State":1,"Len":53,"Payload":"%s"}}',
    b'{"Response":{"Error":{"Code":"AuthFailure.SignatureFailure","Message":"no"}}}',
    b'{"Response":{"Error":"x"}}', b'{"Response":[]}', b"[" * 400 + b"]" * 400, b"<html></html>",
)  # fmt: skip


class RaisesUntyped(http.Response):
    """Lets int() decide what a number is."""

    def _take_field(self, line):
        if line.lower().startswith(b"content-length:"):
            self.length = int(line.partition(b":")[2])
            return
        http.Response._take_field(self, line)


class KeepsLongLines(http.Response):
    """Counts no line."""

    def received(self, buf, at, end):
        self._room = MAX_LINE
        return http.Response.received(self, buf, at, end)


class StandsStill(http.Response):
    """Takes nothing between two chunks."""

    def received(self, buf, at, end):
        if self.state == http.CHUNK_END:
            return at
        return http.Response.received(self, buf, at, end)


class ForgetsChunkEnds(http.Response):
    """Takes what follows a chunk for the next one's size, if it looks like it."""

    def _take_line(self, line):
        if self.state == http.CHUNK_END:
            line = b""
        http.Response._take_line(self, line)


class BelievesBothLengths(http.Response):
    """Takes chunks and a Content-Length together, as smugglers like it."""

    def _head_ends(self):
        if self._is_chunked:
            self.length = None
        http.Response._head_ends(self)


READERS = {
    "real": http.Response,
    "RaisesUntyped": RaisesUntyped,
    "KeepsLongLines": KeepsLongLines,
    "StandsStill": StandsStill,
    "ForgetsChunkEnds": ForgetsChunkEnds,
    "BelievesBothLengths": BelievesBothLengths,
}


def _response(dice):
    """Bytes that are almost a response, or a few."""
    out = b""
    for _ in range(1 + dice.below(2)):
        lines = [STATUS_LINES[0] if dice.hits(70) else dice.pick(STATUS_LINES)]
        lines += [dice.pick(FIELDS) for _ in range(dice.pick((0, 0, 1, 3)))]
        if dice.hits(2):
            lines += [b"Field: value"] * 400
        in_chunks = dice.hits(45)
        if in_chunks:
            lines.append(b"Transfer-Encoding: chunked")
        size = dice.pick((0, 1, 5, 300))
        if not in_chunks and dice.hits(70):
            lines.append(b"Content-Length: %d" % size)
        end = b"\r\n" if dice.hits(90) else b"\n"
        lines += [b"", b""]
        out += end.join(lines)
        if in_chunks:
            common = CHUNKS[:4]
            for _ in range(dice.below(5)):
                out += dice.pick(common if dice.hits(80) else CHUNKS)
            if dice.hits(70):
                out += b"0\r\n\r\n"
        else:
            out += b"b" * size
    return bytes(mutate(dice, out, dice.pick((0, 0, 1, 1, 2, 4))))


def read(response, dice, data):
    """As the driver reads: the body, or the typed error."""
    body = 0
    at = 0
    steps = 0
    small = dice.hits(30)
    while at < len(data) and response.state != http.DONE:
        end = min(len(data), at + (1 + dice.below(20) if small else 512))
        while at < end and response.state != http.DONE:
            steps += 1
            if steps > MAX_STEPS:
                raise FuzzFailure("it stands still")
            if response.left:
                count = min(response.left, end - at)
                at += count
                body += count
                response.took(count)
            else:
                at = response.received(data, at, end)
            if len(response._line) > MAX_LINE:
                raise FuzzFailure(f"a line of {len(response._line)} bytes is kept")
            for value in response.fields.values():
                if len(value) > MAX_LINE:
                    raise FuzzFailure("a long field is kept")
    if response.state != http.DONE:
        response.ended()
    if not response.status:
        raise FuzzFailure("done without a status")
    return body


def _hostile(reader, dice, tally):
    response = reader((b"etag", b"location", b"x"))
    data = _response(dice)
    try:
        body = read(response, dice, data)
        if body != _body_bytes(data):
            raise FuzzFailure(f"a body of {body} bytes out of {data[:300]!r}")
        outcome = f"body, {'chunks' if response._is_chunked else 'whole'}"
        tally.mix(f"{response.status} {body} {response.keeps_open}")
    except LinkError as e:
        outcome = type(e).__name__
        tally.mix(f"{outcome} {e.reason}")
    tally.count(outcome)


def _line(data, at):
    """(a line without its end, where the next begins), found another way than the reader's."""
    end = data.find(b"\n", at)
    line = data[at:end]
    return (line[:-1] if line.endswith(b"\r") else line), end + 1


def _body_bytes(data):
    """How long the body is of a response that was read without complaint: a second reading, of the
    whole at once. None: it should have complained."""
    status = at = 0
    while status < 200:
        line, at = _line(data, at)
        status = int(line[9:12])
        length = None
        in_chunks = False
        while line:
            line, at = _line(data, at)
            name, _, value = line.lower().partition(b":")
            if name == b"content-length":
                length = int(value)
            in_chunks = in_chunks or name == b"transfer-encoding"
    if in_chunks and length is not None:
        return None
    if status in (204, 304):
        return 0
    if not in_chunks:
        return len(data) - at if length is None else length
    total = 0
    while True:
        line, at = _line(data, at)
        size = int(line.partition(b";")[0].strip(), 16)
        if not size:
            return total
        total += size
        line, at = _line(data, at + size)
        if line:
            return None


def _honest(reader, dice):
    data, expected = dice.pick(GOOD)
    response = reader()
    if read(response, dice, data + b"HTTP/1.1 next") != len(expected):
        raise FuzzFailure("a good response was read wrongly")
    if not response.keeps_open or response.state != http.DONE:
        raise FuzzFailure("a good connection was given up")


def _address(dice, tally):
    data = bytes(mutate(dice, dice.pick(URLS), dice.pick((0, 1, 2, 4))))
    try:
        url = data.decode()
    except ValueError:
        return
    try:
        _, host, port, path = split_url(url)
    except BadInput:
        tally.count("address refused")
        return
    tally.count("address taken")
    head = http.request_head("GET", path, host)
    if head.count(b"\n") != 3 or not 0 <= port < 100000:
        raise FuzzFailure(f"an address breaks out: {url!r}")


def _answer(dice, tally):
    text = dice.pick(ANSWERS)
    if b"%s" in text:
        payload = bytes(
            mutate(dice, dice.pick((PAYLOAD, CERTIFICATE_PAYLOAD)), dice.pick((0, 0, 1, 2)))
        )
        payload += bytes(-len(payload) % 16)
        text = text.replace(b"%s", binascii.b2a_base64(payload)[:-1])
    text = bytes(mutate(dice, text, dice.pick((0, 0, 1, 2, 4))))
    is_short = True
    try:
        found = signed.answer(dice.pick((200, 200, 200, 404, 500)), text, "register")
        tally.count("answer")
        given = register.credentials(found, b"s" * 24, lambda key, iv, data: data, dice.hits(10))
        tally.count("credentials")
    except (ServiceRefused, ProtocolError) as e:
        tally.count(type(e).__name__ + " of the gateway")
        is_short = len(e.reason) <= MAX_REASON
        given = {}
    if not is_short:
        raise FuzzFailure("a long reason")
    for name in given:
        if name not in ("device_secret", "certificate", "private_key") or not given[name]:
            raise FuzzFailure(f"credentials {given!r}")


def make_run_case(reader):
    """The run_case of fuzz_run.run() for a reader of responses."""

    def run_case(seed, case, tally):
        dice = Dice(seed, case)
        for _ in range(INPUTS_A_CASE):
            _hostile(reader, dice, tally)
        _honest(reader, dice)
        for _ in range(INPUTS_A_CASE):
            _address(dice, tally)
            _answer(dice, tally)

    return run_case


if __name__ == "__main__":
    sys.exit(fuzz_run.main("fuzz_http", READERS, make_run_case))
