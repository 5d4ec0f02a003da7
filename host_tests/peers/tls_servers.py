"""TLS servers not written here, with certificates made for the tests: mosquitto and openssl."""

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import prerequisites
from tools.bench.mosquitto import Mosquitto
from tools.pki import Credential, issue, make_authority
from tools.pki.issuing import Kind

HOST = "127.0.0.1"
PRODUCT_ID = "PRODUCTID1"
DEVICE_NAME = "dev01"
CLIENT_ID = PRODUCT_ID + DEVICE_NAME
DEVICE_SECRET = "lDZ6Uqt+I9E0wW7rvDUs7Q=="  # of the documents' own example
PSK_HEX = "94367a52ab7e23d134c16eebbc352ced"  # the same, decoded
_START_TIMEOUT_S = 10.0


@dataclass
class Place:
    """A folder of certificates and configurations, for one test."""

    folder: Path
    authority: Credential

    @classmethod
    def make(cls, folder: Path, kind: Kind = "ec") -> "Place":
        place = cls(folder, make_authority("Test CA", kind))
        (folder / "trust").mkdir()
        (folder / "trust/root.der").write_bytes(place.authority.certificate_der)
        (folder / "ca.pem").write_bytes(place.authority.certificate_pem)
        return place

    def server(self, credential: Credential | None = None) -> tuple[Path, Path]:
        """The PEM files (certificate, key) of a server, by default one that all is right with."""
        if credential is None:
            credential = issue(self.authority, "server", ["localhost", HOST])
        certificate, key = self.folder / "server.pem", self.folder / "server.key"
        certificate.write_bytes(credential.certificate_pem)
        key.write_bytes(credential.key_pem)
        return certificate, key

    def config(self, port: int, **fields: Any) -> Path:
        """A device's configuration file; without a certificate of its own it has a secret."""
        path = self.folder / f"device-{len(list(self.folder.glob('device-*')))}.json"
        settings = {
            "product_id": PRODUCT_ID,
            "device_name": DEVICE_NAME,
            "host": HOST,
            "port": port,
            "ca": str(self.folder / "trust"),
            "keepalive_s": 60,
            "clean_session": False,
        }
        if "certificate" not in fields:
            settings["device_secret"] = DEVICE_SECRET
        path.write_text(json.dumps({**settings, **fields}))
        return path

    def device_files(self, credential: Credential) -> dict[str, Any]:
        """The configuration's fields for a device with a certificate."""
        certificate, key = self.folder / "device.crt.der", self.folder / "device.key.der"
        certificate.write_bytes(credential.certificate_der)
        key.write_bytes(credential.key_der)
        return {"certificate": str(certificate), "private_key": str(key)}


@dataclass
class Broker:
    """mosquitto as a test sees it: `port` for the device, `plain_port` for applications."""

    port: int
    plain_port: int
    process: Mosquitto
    host: str = HOST


@contextlib.contextmanager
def mosquitto(folder: Path, *settings: str, anonymous: bool = True) -> Iterator[Broker]:
    """`settings` are those of the listener the device uses."""
    plain_port = free_port()
    lines = [
        "per_listener_settings true",
        f"allow_anonymous {str(anonymous).lower()}",
        *settings,
        f"listener {plain_port} {HOST}",
        "allow_anonymous true",
    ]
    with Mosquitto(folder, tuple(lines)) as process:
        _wait_for(plain_port)
        yield Broker(process.port, plain_port, process)


def tls_settings(place: Place, credential: Credential | None = None) -> list[str]:
    certificate, key = place.server(credential)
    return [f"certfile {certificate}", f"keyfile {key}"]


def mutual_settings(place: Place) -> list[str]:
    """The device's certificate is its login: the user name is its common name."""
    return [
        *tls_settings(place),
        f"cafile {place.folder / 'ca.pem'}",
        "require_certificate true",
        *_for_this_device_only(place),
    ]


def psk_settings(place: Place, identity: str = CLIENT_ID, key_hex: str = PSK_HEX) -> list[str]:
    path = place.folder / "psk.txt"
    path.write_text(f"{identity}:{key_hex}\n")
    return [f"psk_file {path}", "psk_hint hub", *_for_this_device_only(place)]


def password_settings(place: Place, user: str, password: str) -> list[str]:
    path = place.folder / "passwords"
    command = prerequisites.find("mosquitto_passwd") or "mosquitto_passwd"
    subprocess.run([command, "-b", "-c", path, user, password], check=True, timeout=30)
    return [f"password_file {path}"]


def _for_this_device_only(place: Place) -> list[str]:
    """Whom TLS proved may publish; nobody else."""
    path = place.folder / "acl"
    path.write_text(f"user {CLIENT_ID}\ntopic readwrite #\n")
    return ["use_identity_as_username true", f"acl_file {path}"]


@contextlib.contextmanager
def s_server(target_port: int, *arguments: object) -> Iterator[int]:
    """The port of an `openssl s_server` whose first client talks to a plain TCP server."""
    port = free_port()
    command = [
        prerequisites.find("openssl") or "openssl",
        "s_server",
        "-quiet",
        "-accept",
        f"{HOST}:{port}",
        *map(str, arguments),
    ]
    with socket.create_connection((HOST, target_port)) as target:
        end = target.fileno()
        process = subprocess.Popen(command, stdin=end, stdout=end, stderr=subprocess.PIPE)
    try:
        _wait_for_listener(process, port)
        yield port
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def certificate_arguments(place: Place, credential: Credential | None = None) -> Sequence[object]:
    certificate, key = place.server(credential)
    return ("-tls1_2", "-cert", certificate, "-key", key)


def _wait_for(port: int) -> None:
    give_up_s = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > give_up_s:
                raise
            time.sleep(0.01)


def _wait_for_listener(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Without connecting: its first client is the device."""
    wanted = f":{port:04X} "
    give_up_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < give_up_s:
        if process.poll() is not None:
            assert process.stderr is not None
            raise RuntimeError("openssl does not start: " + process.stderr.read().decode())
        table = Path("/proc/net/tcp").read_text().splitlines()
        if any(wanted in line and " 0A " in line for line in table):
            return
        time.sleep(0.01)
    raise RuntimeError("openssl does not listen")
