"""`make sign`: what to type into an MQTT client to log in to IoT Hub.

The secret is never an argument, where other users of the computer could read it: it comes from a
file, from standard input, or from a prompt.
"""

import argparse
import random
import string
import sys
import time

from iothub.credentials import Identity, Secret
from iothub.errors import IoTHubError
from iothub.signing import (
    FAR_FUTURE_S,
    SDK_APP_ID,
    SHA1,
    SHA256,
    hmac_key,
    mqtt_password,
    mqtt_username,
)

from tools.boards.errors import BoardError
from tools.provision.secrets import read_secret

_CONNECTION_ID_LENGTH = 5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make sign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example: make sign ARGS="A1B2C3D4E5 thermostat-1 --valid-for 3600"',
    )
    parser.add_argument("product_id")
    parser.add_argument("device_name")
    parser.add_argument(
        "--secret-file", metavar="FILE", help="the device secret; - is standard input"
    )
    parser.add_argument("--algorithm", choices=(SHA256, SHA1), default=SHA256)
    parser.add_argument(
        "--valid-for",
        type=_seconds,
        metavar="SECONDS",
        help="by this computer's clock; default: ever",
    )
    parser.add_argument(
        "--connection-id", type=_word, metavar="LETTERS", help="default: five random ones"
    )
    parser.add_argument("--app-id", type=_word, default=SDK_APP_ID, help="default: %(default)s")
    return parser.parse_args()


def _seconds(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= FAR_FUTURE_S:
        raise argparse.ArgumentTypeError(f"1 to {FAR_FUTURE_S} seconds; leave it away for ever")
    return int(text)


def _word(text: str) -> str:
    """Between two semicolons of the user name."""
    if not (text.isascii() and text.isalnum()):
        raise argparse.ArgumentTypeError("letters and digits only")
    return text


def main() -> int:
    arguments = _arguments()
    letters = string.ascii_uppercase + string.digits
    connection_id = arguments.connection_id or "".join(
        random.choices(letters, k=_CONNECTION_ID_LENGTH)
    )
    expiry_s = FAR_FUTURE_S
    if arguments.valid_for is not None:
        expiry_s = int(time.time()) + arguments.valid_for
    try:
        identity = Identity(arguments.product_id, arguments.device_name)
        secret = Secret(read_secret(arguments.secret_file, "device secret"))
    except (IoTHubError, BoardError) as error:
        print(f"sign: {error}", file=sys.stderr)
        return 2
    username = mqtt_username(identity.client_id, connection_id, expiry_s, arguments.app_id)
    password = mqtt_password(hmac_key(secret.decoded, arguments.algorithm), username)
    print(f"clientid: {identity.client_id.decode()}")
    print(f"username: {username.decode()}")
    print(f"password: {password.decode()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
