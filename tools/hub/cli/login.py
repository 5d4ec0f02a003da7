"""`login`: client id, user name and password for a device.json, to paste into any MQTT client."""

import argparse
import hashlib
import json
import shlex
import time
from pathlib import Path
from typing import Any

from tools.hub.cli.client import CommandError
from tools.hub.cli.output import print_fields
from tools.hub.identity import Identity
from tools.hub.login import sign

SDK_APP_ID = "12010126"
CONNECTION_ID = "paste"


def add_commands(commands: Any) -> None:
    parser = commands.add_parser("login", help="sign a login for a device.json, for any client")
    parser.set_defaults(run=_login)
    parser.add_argument("device_file", type=Path)
    parser.add_argument("--valid-s", type=int, default=3600, help="default: %(default)s")
    parser.add_argument("--shell", action="store_true", help="print shell variables")


def _login(options: argparse.Namespace) -> int:
    try:
        settings = json.loads(options.device_file.read_text())
        identity = Identity(settings["product_id"], settings["device_name"])
        expiry_s = int(time.time()) + options.valid_s
        user_name = f"{identity.client_id};{SDK_APP_ID};{CONNECTION_ID};{expiry_s}"
        password = _password(settings, user_name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(
            f"{options.device_file} is not a usable device file: {error!r}"
        ) from None
    fields = {
        "CLIENT_ID": identity.client_id,
        "USER_NAME": user_name,
        "PASSWORD": password,
    }
    if options.shell:
        print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in fields.items()))
    else:
        print_fields({name.lower().replace("_", " "): value for name, value in fields.items()})
    return 0


def _password(settings: dict[str, Any], user_name: str) -> str:
    if "certificate" in settings:
        return "any"  # TLS proves the device; a client may want to send something
    return sign(settings["device_secret"], user_name, hashlib.sha256).decode() + ";hmacsha256"
