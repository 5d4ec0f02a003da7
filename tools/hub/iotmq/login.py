"""Who may connect to an instance: document "客户端签名计算", PROTOCOL.md 1.5."""

import base64
import hashlib
import hmac
import secrets

from tools.hub.broker.packet import Connect
from tools.hub.identity import Identity
from tools.hub.iotmq.catalogue import Instance
from tools.hub.login import ConnackCode, Refused

MAX_CLIENT_ID_BYTES = 128


def check_login(connect: Connect, instance: Instance) -> Identity:
    """The name of the client's session. Raises Refused with the CONNACK code."""
    if not connect.supported or connect.protocol_level != 4:
        raise Refused(
            ConnackCode.BAD_PROTOCOL_LEVEL,
            f"protocol level {connect.protocol_level}; IoT MQ speaks MQTT 3.1.1, which is 4",
        )
    client_id = connect.client_id
    if not client_id and not connect.clean_session:
        raise Refused(ConnackCode.CLIENT_ID_REJECTED, "no client id, and no clean session")
    if len(client_id.encode()) > MAX_CLIENT_ID_BYTES:
        raise Refused(
            ConnackCode.CLIENT_ID_REJECTED, f"client id is over {MAX_CLIENT_ID_BYTES} bytes"
        )
    if connect.user_name is None or connect.password is None:
        raise _bad_login("no user name or no password")
    if connect.user_name != instance.secret_id:
        raise _bad_login("user name is not the instance's SecretId")
    if not hmac.compare_digest(connect.password, sign(instance)):
        raise _bad_login("wrong signature")
    # The standard lets a client have no name for a clean session; the server gives it one.
    return Identity(instance.instance_id, client_id or f"unnamed-{secrets.token_hex(8)}")


def sign(instance: Instance) -> bytes:
    """The password of every login to the instance: it covers neither time nor client."""
    text = f"Appid={instance.app_id}&Instanceid={instance.instance_id}&Action=Connect"
    digest = hmac.new(instance.secret_key.encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest)


def _bad_login(reason: str) -> Refused:
    return Refused(ConnackCode.BAD_USER_NAME_OR_PASSWORD, reason)
