"""A message published by HTTP: document "设备基于 HTTP 接入" and PROTOCOL section 3. Pure."""

import binascii
import json

from iothub.compat import const
from iothub.errors import PUBLISH, BadInput

PATH = "/device/publish"
PHASE = PUBLISH
MAX_PAYLOAD_BYTES = const(16384)  # what MQTT would take; the documents give HTTP no number


def request(identity, topic, payload, qos=0):
    """The body (bytes). `topic` bytes, in full; `payload` str goes as it is, bytes go as base64.
    Raises BadInput."""
    if qos not in (0, 1):
        raise BadInput("qos", "must be 0 or 1")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise BadInput("payload", "over %d bytes" % MAX_PAYLOAD_BYTES)
    fields = {
        "ProductId": identity.product_id,
        "DeviceName": identity.device_name,
        "TopicName": topic.decode(),
        "Qos": qos,
    }
    if isinstance(payload, str):
        fields["Payload"] = payload
    else:
        fields["Payload"] = binascii.b2a_base64(payload)[:-1].decode()
        fields["PayloadEncoding"] = "base64"
    return json.dumps(fields).encode()
