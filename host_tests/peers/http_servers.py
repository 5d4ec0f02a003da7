"""nginx, as the HTTP server nobody here wrote."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from host_tests.peers.nginx_process import nginx_process
from host_tests.peers.tls_servers import HOST, Place, free_port

CONTENT = bytes(i * i >> 7 & 255 for i in range(200_000))
SMALL = b"a small page\n"
SLOW_BYTES_PER_S = 4000

_CONFIGURATION = """
daemon off; master_process off; worker_processes 1;
pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    log_format short '$connection $connection_requests $scheme $request_method $uri $status';
    access_log {folder}/access.log short;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    types {{ application/octet-stream bin; text/html html; }}
    server {{
        listen {host}:{port};
        listen {host}:{tls_port} ssl;
        ssl_certificate {certificate}; ssl_certificate_key {key};
        root {folder}/files;
        keepalive_requests 5;
        location /norange/ {{ alias {folder}/files/; max_ranges 0; }}
        location /slow/ {{ alias {folder}/files/; limit_rate {slow}; }}
        location /chunked/ {{ alias {folder}/files/; ssi on; ssi_types *; }}
        location /ending/ {{
            alias {folder}/files/; ssi on; ssi_types *; chunked_transfer_encoding off;
        }}
        location /closing/ {{ alias {folder}/files/; keepalive_timeout 0; }}
        location /longhead {{ {long} return 200 "ok"; }}
        location /nothing {{ return 204; }}
        location /length {{ client_max_body_size 20k; return 200 "$content_length $http_host"; }}
        location /hop {{ return 302 /small.html; }}
        location /loop {{ return 307 /loop; }}
        location /up {{ return 301 https://{host}:{tls_port}/small.html; }}
        location /down {{ return 301 http://{host}:{port}/small.html; }}
        location /astray {{ return 302 ftp://{host}/small.html; }}
    }}
}}
"""


@dataclass
class Nginx:
    port: int
    tls_port: int
    folder: Path

    def requests(self) -> list[list[str]]:
        """connection, its nth request, scheme, method, path, status: of all that were served."""
        return [line.split() for line in (self.folder / "access.log").read_text().splitlines()]


@contextlib.contextmanager
def nginx(place: Place) -> Iterator[Nginx]:
    folder = place.folder / "nginx"
    (folder / "files").mkdir(parents=True)
    (folder / "files/file.bin").write_bytes(CONTENT)
    (folder / "files/small.html").write_bytes(SMALL)
    (folder / "files/empty.bin").write_bytes(b"")
    certificate, key = place.server()
    port, tls_port = free_port(), free_port()
    long = " ".join(f'add_header X-{i} "{"y" * 100}" always;' for i in range(60))
    configuration = _CONFIGURATION.format(
        folder=folder, host=HOST, port=port, tls_port=tls_port, certificate=certificate,
        key=key, slow=SLOW_BYTES_PER_S, long=long,
    )  # fmt: skip
    with nginx_process(folder, configuration, port):
        yield Nginx(port, tls_port, folder)
