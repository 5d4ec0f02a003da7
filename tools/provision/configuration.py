"""What a board's device.json will say: from one of the desk, the vendor's device_info.json, or
from arguments; judged by the library itself."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.boards.errors import BoardError
from tools.bytecode import FIRMWARE

_PHASE = "reading the configuration"
_MICROPYTHON = Path(sys.executable).parent / "micropython"
_TIMEOUT_S = 30
_MAX_FILE_BYTES = 64 * 1024
# The library's own rules, by the interpreter of the board. The fields come by standard input:
# there is a secret among them.
_JUDGE = """
import json, sys
from iothub.config import Config
from iothub.errors import IoTHubError
try:
    fields = json.loads(sys.stdin.read())
    Config(fields, True)
    if fields.get("network"):
        from iothub.port.joining import checked
        checked(fields["network"])
except IoTHubError as error:
    print(str(error))
"""
# The vendor's samples hold these where nothing was filled in.
_UNSET = ("", "YOUR_IOT_PSK", "YOUR_DEVICE_SECRET", "YOUR_PRODUCT_SECRET")
_UNSET_PREFIX = "YOUR_"
Fields = dict[str, Any]


def read_configuration(path: Path) -> Fields:
    """The fields of a device.json, or of a vendor's device_info.json. Raises BoardError, which
    tells no value: there is a secret among them."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1)
        if len(text) > _MAX_FILE_BYTES:
            raise ValueError
        fields = json.loads(text)
    except OSError as error:
        reason = f"{path}: {error.strerror}"
        raise BoardError(_PHASE, reason, "Name another: --from FILE") from error
    except ValueError:
        raise BoardError(_PHASE, f"{path} is not JSON", "Correct it.") from None
    if not isinstance(fields, dict):
        raise BoardError(_PHASE, f"{path} holds no JSON object", "Correct it.")
    return from_vendor(fields) if "auth_mode" in fields else fields


def from_vendor(info: Mapping[str, Any]) -> Fields:
    """device_info.json of the vendor's SDKs as device.json's fields. Certificate and key stay
    names of files. Raises BoardError."""
    fields: Fields = {
        "product_id": info.get("productId", ""),
        "device_name": info.get("deviceName", ""),
    }
    if info.get("region"):
        fields["region"] = info["region"]
    mode = info.get("auth_mode")
    if mode == "KEY":
        secret = _filled(info.get("key_deviceinfo"), "deviceSecret")
        if secret:
            fields["device_secret"] = secret
    elif mode == "CERT":
        certificate = _filled(info.get("cert_deviceinfo"), "devCertFile")
        if certificate:
            fields["certificate"] = certificate
            fields["private_key"] = _filled(info.get("cert_deviceinfo"), "devPrivateKeyFile")
    else:
        raise BoardError(_PHASE, "auth_mode is neither KEY nor CERT", "Correct the file.")
    if not fields.keys() & {"device_secret", "certificate"}:
        # As the SDKs' samples do: a device that has nothing yet registers itself.
        fields["product_secret"] = _filled(info, "productSecret")
    return {name: value for name, value in fields.items() if value}


def check(fields: Fields) -> None:
    """Raises BoardError in the library's words when it would refuse the fields; and for a board
    on Wi-Fi that would look for the hub of this computer on itself."""
    for name, host in _hosts(fields) if fields.get("network") else ():
        if host == "localhost" or host.startswith("127."):
            reason = f"{name} is {host}, which on the board is the board"
            raise BoardError(_PHASE, reason, 'Start the hub with: make hub ARGS="--host 0.0.0.0"')
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [_MICROPYTHON, "-c", _JUDGE],
            input=json.dumps(fields),
            capture_output=True,
            text=True,
            cwd=folder,
            env={"MICROPYPATH": f".frozen:{FIRMWARE / 'lib'}"},
            timeout=_TIMEOUT_S,
        )
    if done.returncode:
        hint = "Tell us, with the command but without the file."
        raise BoardError(_PHASE, "the library could not be asked", hint)
    if done.stdout.strip():
        raise BoardError(_PHASE, done.stdout.strip(), "docs/configuration.md has the fields.")


def _hosts(fields: Fields) -> list[tuple[str, str]]:
    found = [("host", fields.get("host"))]
    for name in ("http", "coap"):
        table = fields.get(name)
        found.append((f"{name}'s host", table.get("host") if isinstance(table, dict) else None))
    return [(name, host) for name, host in found if isinstance(host, str)]


def _filled(table: object, name: str) -> str:
    value = table.get(name, "") if isinstance(table, Mapping) else ""
    text = str(value).strip()
    return "" if text in _UNSET or text.startswith(_UNSET_PREFIX) else text
