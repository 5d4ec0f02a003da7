"""Serves packages on loopback, for whoever installs them."""

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.mip.packages import Package, write_packages

STOP_TIMEOUT_S = 10


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def package_server(
    packages: list[Package], folder: Path, bring_core: bool = True
) -> Iterator[str]:
    """The URL below which each package is, by its name."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        write_packages(packages, folder, url if bring_core else None)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield url
        finally:
            server.shutdown()
            thread.join(STOP_TIMEOUT_S)
