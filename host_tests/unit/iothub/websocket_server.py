"""A WebSocket server's side for the tests, from RFC 6455 alone: it takes frames apart, makes them,
and is the stream below the one under test."""

import binascii
import hashlib

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def unmasked_frames(wire):
    """[(first byte, payload)] of whole masked frames. Fails on anything else."""
    found = []
    at = 0
    while at < len(wire):
        first, size = wire[at], wire[at + 1]
        assert size & 0x80, "a client masks"
        size &= 0x7F
        at += 2
        assert size != 127, "64 KiB at most"
        if size == 126:
            size = int.from_bytes(wire[at : at + 2], "big")
            at += 2
            assert size > 125, "in the fewest bytes"
        mask = wire[at : at + 4]
        at += 4
        assert at + size <= len(wire), "a frame is cut short"
        payload = bytearray(wire[at : at + size])
        for i in range(size):
            payload[i] ^= mask[i & 3]
        found.append((first, bytes(payload)))
        at += size
    return found


def frame(first, payload=b""):
    """A frame as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65536:
        return bytes([first, 126]) + size.to_bytes(2, "big") + payload
    return bytes([first, 127]) + size.to_bytes(8, "big") + payload


def accepting(request):
    """The answer that accepts a client's request."""
    for line in request.split(b"\r\n"):
        if line.startswith(b"Sec-WebSocket-Key: "):
            proof = binascii.b2a_base64(hashlib.sha1(line[19:] + GUID).digest())[:-1]
            return b"\r\n".join(
                [
                    b"HTTP/1.1 101 Switching Protocols",
                    b"Upgrade: websocket",
                    b"Connection: Upgrade",
                    b"Sec-WebSocket-Protocol: mqtt",
                    b"Sec-WebSocket-Accept: " + proof,
                    b"",
                    b"",
                ]
            )
    raise AssertionError("no key in the request")


class Source:
    """A non-blocking stream: gives what was fed, one chunk a read at most, and between two chunks
    nothing once; takes at most `takes` bytes a write, and nothing at every other try."""

    def __init__(self, takes=None):
        self.takes = takes
        self.wire = b""  # what was written and not yet taken()
        self.closed = False
        self.full = False
        self._chunks = []
        self._ended = False
        self._reluctant = False

    def feed(self, data, *cuts):
        """`data` in chunks that end at `cuts`."""
        at = 0
        for cut in list(cuts) + [len(data)]:
            if cut > at:
                if self._chunks:
                    self._chunks.append(None)
                self._chunks.append(data[at:cut])
                at = cut

    @property
    def dry(self):
        """Whether there is nothing to read, not even an end."""
        return not self._chunks and not self._ended

    def end(self):
        self._ended = True

    def taken(self):
        wire = self.wire
        self.wire = b""
        return wire

    def read(self, size):
        buf = bytearray(size)
        count = self.readinto(buf)
        return None if count is None else bytes(buf[:count])

    def readinto(self, buf):
        assert not self.closed
        if not self._chunks:
            return 0 if self._ended else None
        chunk = self._chunks.pop(0)
        if chunk is None:
            return None
        count = min(len(chunk), len(buf))
        buf[:count] = chunk[:count]
        if count < len(chunk):
            self._chunks.insert(0, chunk[count:])
        return count

    def write(self, buf):
        assert not self.closed
        if self.full:
            return None
        if self.takes is not None:
            self._reluctant = not self._reluctant
            if self._reluctant:
                return None
            buf = buf[: self.takes]
        self.wire += bytes(buf)
        return len(buf)

    def close(self):
        self.closed = True
