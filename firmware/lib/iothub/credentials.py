"""Who the device is, and its secret in the two views the services want of it."""

import binascii

from iothub.errors import BadInput

# PROTOCOL limits: product id 10, device name 48, device secret 64, product secret 16 to 32.
_MAX_PRODUCT_ID = 10
_MAX_DEVICE_NAME = 48
_MAX_SECRET = 64


class Secret:
    """A base64 secret. `decoded` (bytes) keys MQTT, TLS-PSK and DTLS; `text` (bytes) keys HTTP
    signing and gateway binding. Nothing else decodes. It never shows itself."""

    def __init__(self, text, field="device_secret"):
        try:
            if isinstance(text, str):
                text = text.encode()
            if not isinstance(text, bytes) or not 0 < len(text) <= _MAX_SECRET:
                raise BadInput(field, "must be 1 to 64 characters of base64")
            decoded = binascii.a2b_base64(text)
        except ValueError:
            decoded = b""
        # a2b_base64 skips what it does not know, so what it read must be what was written; only
        # the last group may differ, in bits that mean nothing.
        again = binascii.b2a_base64(decoded)[:-1]
        if not decoded or len(again) != len(text) or again[:-4] != text[:-4]:
            raise BadInput(field, "is not base64; copy it whole from the console")
        self.text = text
        self.decoded = decoded

    def __repr__(self):
        return "Secret(***)"


class Identity:
    """Product id and device name (str), and what follows from them as bytes: `client_id` and
    the `prefix` of the device's own topics, "PID/DN/"."""

    def __init__(self, product_id, device_name):
        _check_name("product_id", product_id, _MAX_PRODUCT_ID)
        _check_name("device_name", device_name, _MAX_DEVICE_NAME)
        self.product_id = product_id
        self.device_name = device_name
        self.client_id = (product_id + device_name).encode()
        self.prefix = (product_id + "/" + device_name + "/").encode()

    def system_topic(self, family):
        """The bytes of "$family/PID/DN", e.g. family b"$sys/operation"."""
        return family + b"/" + self.prefix[:-1]

    def __repr__(self):
        return "Identity(%s/%s)" % (self.product_id, self.device_name)


def _check_name(field, value, longest):
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise BadInput(field, "must be 1 to %d characters" % longest)
    for c in value:
        # Nothing that could change a topic or the MQTT user name the value is part of.
        if not ("0" <= c <= ":" or "A" <= c <= "Z" or "a" <= c <= "z" or c in "-_"):
            raise BadInput(field, "letters, digits, -, _ and : only")
