"""nginx as a process of the test's own."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from host_tests.peers.tls_servers import _wait_for
from tools import prerequisites


@contextlib.contextmanager
def nginx_process(folder: Path, configuration: str, port: int) -> Iterator[None]:
    """Runs from `folder`, until the end of the block, what listens on `port` (TCP)."""
    file = folder / "nginx.conf"
    file.write_text(configuration)
    command = [prerequisites.find("nginx") or "nginx", "-p", folder, "-c", file]
    with (folder / "stderr.log").open("wb") as log:
        process = subprocess.Popen(
            [*map(str, command), "-e", str(folder / "error.log")], stderr=log
        )
        try:
            _wait_for(port)
            yield
        finally:
            process.terminate()
            process.wait(10)
