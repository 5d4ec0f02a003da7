"""A terminal in front of the board's console: mpremote's REPL waits on terminals, not sockets."""

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import AsyncIterator

from tools.hub.config import LOOPBACK

_CHUNK_BYTES = 4096
_FULL_S = 0.01


@contextlib.asynccontextmanager
async def terminal(port: int) -> AsyncIterator[str]:
    """The path of a pseudo-terminal that leads to a TCP port of this computer. Raises OSError."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, lambda: writer.write(os.read(ours, _CHUNK_BYTES)))
    shown = asyncio.create_task(_show(reader, ours))
    try:
        yield os.ttyname(theirs)
    finally:
        loop.remove_reader(ours)
        shown.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await shown
        writer.close()
        os.close(ours)
        os.close(theirs)


async def _show(reader: asyncio.StreamReader, ours: int) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        while data:
            try:
                data = data[os.write(ours, data) :]
            except BlockingIOError:  # nobody reads at the moment
                await asyncio.sleep(_FULL_S)
