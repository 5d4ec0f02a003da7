"""The board's console: read as a person would, or driven through mpremote's transport."""

import contextlib
import socket
import time

from mpremote.transport import TransportError  # type: ignore[import-untyped]
from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]

SERIAL_READ_TIMEOUT_S = 30.0
RAW_REPL_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10.0
RECEIVE_BYTES = 4096
END_OF_OUTPUT = b"\x04"


class Console:
    """One reader at a time: a plain socket until code is to be run, then mpremote.

    A socket first, since opening a serial port throws away what has come in: main.py's words.
    Raises `TransportError` or OSError where the line fails.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: SerialTransport | None = None
        self._socket = socket.create_connection(("127.0.0.1", port), CONNECT_TIMEOUT_S)
        self._received = b""

    def close(self) -> None:
        self._socket.close()
        if self._transport is not None:
            # After a fault there is nobody left to say goodbye to.
            with contextlib.suppress(OSError):
                self._transport.close()

    def read_until(self, ending: bytes, timeout_s: float) -> bytes:
        """Returns what came up to and with `ending`, or without it when time is up."""
        if self._transport is not None:
            return bytes(
                self._transport.read_until(1, ending, timeout=None, timeout_overall=timeout_s)
            )
        deadline = time.monotonic() + timeout_s
        while ending not in self._received and (rest_s := deadline - time.monotonic()) > 0:
            self._socket.settimeout(rest_s)
            try:
                chunk = self._socket.recv(RECEIVE_BYTES)
            except TimeoutError:
                break
            if not chunk:
                raise TransportError("the console was closed")
            self._received += chunk
        end = self._received.find(ending)
        length = len(self._received) if end < 0 else end + len(ending)
        output, self._received = self._received[:length], self._received[length:]
        return output

    def repl(self) -> SerialTransport:
        """Returns mpremote's transport, in the raw REPL; a program that runs is interrupted."""
        if self._transport is None:
            self._socket.close()
            self._received = b""
            url = f"socket://127.0.0.1:{self._port}"
            self._transport = SerialTransport(url, timeout=SERIAL_READ_TIMEOUT_S)
        if not self._transport.in_raw_repl:
            self._transport.enter_raw_repl(soft_reset=False, timeout_overall=RAW_REPL_TIMEOUT_S)
        return self._transport

    def soft_reset(self) -> None:
        """Starts the interpreter anew, with an empty heap, and leaves it in the raw REPL."""
        self.repl().enter_raw_repl(soft_reset=True, timeout_overall=RAW_REPL_TIMEOUT_S)

    def start(self, code: str | bytes) -> None:
        """Sends `code` and lets it run."""
        self.repl().exec_raw_no_follow(code)

    def leave_repl(self) -> None:
        """Notes that the board was reset: it runs its own program again, not the raw REPL."""
        if self._transport is not None:
            self._transport.in_raw_repl = False
