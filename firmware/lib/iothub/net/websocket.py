"""A stream that carries MQTT in WebSocket frames, over TCP or TLS."""

import os

from iothub.codec import websocket as codec
from iothub.compat import const
from iothub.errors import LinkError, ProtocolError
from iothub.loading import for_now

_MASK_BYTES = const(4)


class WebSocketStream:
    """Wraps a connected non-blocking stream. First step() until it says True, then it is a
    stream itself. Poll `source`."""

    def __init__(self, source, host, port, path):
        self.source = source
        opening = for_now("iothub.net.websocket_opening")
        self._opening = opening.Opening(source, host, port, path)
        self._out = memoryview(b"")
        self._out_done = 0
        self._out_payload = 0  # how many bytes of the caller's the frame in _out carries
        self._frame = bytearray(codec.MAX_HEADER_BYTES)
        self._frame_have = 0
        self._left = 0  # payload bytes of the present frame still to come
        self._opcode = -1  # of the present frame; -1 between frames
        self._in_message = False
        self._control = bytearray()
        self._closed = False

    def step(self):
        """Goes on with the opening handshake; True when it is finished. Raises LinkError."""
        if not self._opening.step():
            return False
        self._opening = None  # and with it its code
        return True

    def readinto(self, buf):
        """Fills `buf` with payload. None: nothing now; 0: the server closed."""
        self._flush()
        while not self._left or self._opcode >= codec.CLOSE:
            if self._closed:
                return 0
            if not self._next_frame():
                return None
        view = memoryview(buf)
        count = self.source.readinto(view[: min(len(buf), self._left)])
        if count:
            self._left -= count
            if not self._left:
                self._end_frame()
        return count

    def write(self, buf, size=None):
        """Sends buf[:size] as one frame. None: not yet, call again with the same bytes first."""
        if size is None:
            size = len(buf)
        if not self._flush():
            return None
        if not self._out_payload:
            self._send_frame(codec.BINARY, buf, size)
            self._out_payload = size
            if not self._flush():
                return None
        done = self._out_payload
        self._out_payload = 0
        return done

    def close(self):
        if not self._closed:
            self._closed = True
            try:
                # Before the handshake is over the other side may speak plain HTTP.
                if self._opening is None and self._flush():
                    self._send_frame(codec.CLOSE, b"\x03\xe8", 2)  # 1000, normal closure
                    self._flush()
            except OSError:
                pass  # it is gone anyway
        self.source.close()

    def _send_frame(self, opcode, payload, size):
        out = bytearray(size + codec.MAX_HEADER_BYTES)
        length = codec.put_frame(out, opcode, payload, size, os.urandom(_MASK_BYTES))
        self._out = memoryview(out)[:length]
        self._out_done = 0

    def _flush(self):
        while self._out_done < len(self._out):
            written = self.source.write(self._out[self._out_done :])
            if not written:
                return False
            self._out_done += written
        return True

    def _next_frame(self):
        """Reads the header of the next frame; True when its payload can be read. Control frames
        are dealt with here."""
        while True:
            if self._opcode >= codec.CLOSE:
                if not self._read_control():
                    return self._closed
                continue
            frame = self._frame
            while True:
                size = codec.header_size(frame, self._frame_have)
                if self._frame_have == size:
                    break
                count = self.source.readinto(memoryview(frame)[self._frame_have : size])
                if count is None:
                    return False
                if not count:
                    self._closed = True
                    return True
                self._frame_have += count
            opcode = frame[0] & 15
            if opcode < codec.CLOSE and (opcode == codec.CONTINUATION) != self._in_message:
                raise ProtocolError("websocket: a fragment out of order")
            self._opcode = opcode
            self._left = codec.payload_size(frame)
            if opcode >= codec.CLOSE:
                self._control = bytearray()
                continue
            self._in_message = frame[0] < 0x80
            if self._left:
                return True
            self._end_frame()

    def _read_control(self):
        while self._left:
            part = self.source.read(self._left)
            if not part:
                self._closed = part is not None
                return False
            self._control.extend(part)
            self._left -= len(part)
        opcode = self._opcode
        self._end_frame()
        if opcode == codec.CLOSE:
            raise LinkError("closed by the server: " + codec.close_reason(self._control))
        if opcode == codec.PING and self._flush() and not self._out_payload:
            # While a frame of ours is stuck the answer is left out; the next ping gets one.
            self._send_frame(codec.PONG, self._control, len(self._control))
            self._flush()
        return True

    def _end_frame(self):
        self._opcode = -1
        self._frame_have = 0
