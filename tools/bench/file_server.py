"""nginx, serving one folder over plain HTTP on loopback."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools import prerequisites

_HOST = "127.0.0.1"
_START_TIMEOUT_S = 10.0
_CONFIGURATION = """
daemon off; master_process off; worker_processes 1;
pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 64; }}
http {{
    access_log off; sendfile on; tcp_nopush on;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{ listen {host}:{port}; root {folder}; }}
}}
"""


class FileServerError(Exception):
    """nginx is missing, or does not start."""


@contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """The URL of the folder. Raises FileServerError."""
    command = prerequisites.find("nginx")
    if command is None:
        raise FileServerError(prerequisites.install_command(["nginx"]))
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, host=_HOST, port=port))
    log = folder / "nginx.log"
    with subprocess.Popen(
        [command, "-p", str(folder), "-c", str(configuration), "-e", str(log)],
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_for(port, process)
            yield f"http://{_HOST}:{port}"
        finally:
            process.terminate()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    give_up_s = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < give_up_s:
        try:
            socket.create_connection((_HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise FileServerError("nginx does not start")
