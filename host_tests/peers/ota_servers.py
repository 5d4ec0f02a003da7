"""nginx as a file server of updates, with every fault that its configuration can have."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from host_tests.peers.nginx_process import nginx_process
from host_tests.peers.tls_servers import HOST, Place, free_port

_CONFIGURATION = """
daemon off; master_process off; worker_processes 1;
pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    log_format short '$uri|$status|$http_range|$http_if_range|$body_bytes_sent|$connection';
    access_log {folder}/access.log short;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{
        listen {host}:{port};
        listen {host}:{tls_port} ssl;
        ssl_certificate {certificate}; ssl_certificate_key {key};
        location /files/ {{ alias {folder}/files/; }}
        location /norange/ {{ alias {folder}/files/; max_ranges 0; }}
        location /slow/ {{ alias {folder}/files/; limit_rate 60k; }}
        location /closing/ {{ alias {folder}/files/; keepalive_timeout 0; }}
        # Once the tail was asked for, the rest is elsewhere.
        location /moved/ {{
            alias {folder}/files/;
            if ($http_range !~ =-) {{ rewrite ^/moved/(.*) /files/$1 redirect; }}
        }}
        location /expired/ {{ return 403; }}
        location /gone/ {{ return 410; }}
        location /busy/ {{ return 503; }}
        location /odd/ {{ return 418; }}
        location /hop/ {{ rewrite ^/hop/(.*) /files/$1 redirect; }}
        location /loop/ {{ return 302 /loop/; }}
        location /astray/ {{ return 302 ftp://{host}/file; }}
        location /down/ {{ rewrite ^/down/(.*) http://{host}:{port}/files/$1 redirect; }}
        location /beyond/ {{
            alias {folder}/files/;
            if ($http_range) {{ return 416; }}
        }}
        location /otherrange/ {{
            alias {folder}/files/;
            if ($http_range) {{
                add_header Content-Range "bytes 7-9/{size}";
                return 206 "xyz";
            }}
        }}
        # One that knows no range that counts from the end.
        location /nosuffix/ {{
            set $asked $http_range;
            if ($asked ~ =-) {{ set $asked ""; }}
            proxy_pass http://{host}:{port}/files/;
            proxy_set_header Range $asked;
        }}
        # One that does not look at If-Range.
        location /noifrange/ {{
            proxy_pass http://{host}:{port}/files/;
            proxy_set_header If-Range "";
        }}
    }}
}}
"""


class Request(NamedTuple):
    uri: str
    status: int
    range: str
    if_range: str
    body_bytes: int
    connection: str


@dataclass
class FileServer:
    port: int
    tls_port: int
    folder: Path

    @property
    def files(self) -> Path:
        return self.folder / "files"

    def requests(self, name: str) -> list[Request]:
        """Those that were served for a file, in order."""
        found = []
        for line in (self.folder / "access.log").read_text().splitlines():
            uri, status, range_, if_range, body_bytes, connection = line.split("|")
            if uri.endswith("/" + name):
                found.append(
                    Request(uri, int(status), range_, if_range, int(body_bytes), connection)
                )
        return found


@contextlib.contextmanager
def file_server(place: Place, size: int) -> Iterator[FileServer]:
    """`size` is of the file that /otherrange/ speaks of."""
    folder = place.folder / "nginx"
    (folder / "files").mkdir(parents=True)
    certificate, key = place.server()
    port, tls_port = free_port(), free_port()
    configuration = _CONFIGURATION.format(
        folder=folder, host=HOST, port=port, tls_port=tls_port, certificate=certificate,
        key=key, size=size,
    )  # fmt: skip
    with nginx_process(folder, configuration, port):
        yield FileServer(port, tls_port, folder)
