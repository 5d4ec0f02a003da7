"""The device's configuration: one JSON object, usually device.json. Every mistake in it is told
by the name of the field."""

import json

from iothub.credentials import Identity, Secret
from iothub.errors import BadInput
from iothub.loading import for_now

# field: (type, default). A default of None means: required.
_REQUIRED = None
_FIELDS: dict = {
    "product_id": (str, _REQUIRED),
    "device_name": (str, _REQUIRED),
    "device_secret": (str, ""),
    "product_secret": (str, ""),
    "keep_product_secret": (bool, False),
    "certificate": (str, ""),
    "private_key": (str, ""),
    "ca": (str, "trust"),
    "region": (str, "china"),
    "host": (str, ""),
    "port": (int, 0),
    "transport": (str, "auto"),
    "websocket_path": (str, "/"),
    "keepalive_s": (int, 240),
    "clean_session": (bool, True),
    "algorithm": (str, "hmacsha256"),
    "sntp": (str, "time1.cloud.tencent.com"),
    "queue": (dict, {}),
    "http": (dict, {}),
    "coap": (dict, {}),
    "update": (dict, {}),
    "network": (dict, {}),
    "app": (dict, {}),
}
# What "http" and "coap" may say, and the transports of each.
_HTTP_FIELDS = {"transport": str, "host": str, "port": int, "alone": bool}
_HTTP_TRANSPORTS = ("https", "http")
_COAP_FIELDS = {"transport": str, "host": str, "port": int}
_COAP_TRANSPORTS = ("auto", "dtls", "psk", "udp")
# What "queue" may say: type, and the least value of a number.
_QUEUE_FIELDS = {
    "flash": (bool, 0),
    "drop_oldest": (bool, 0),
    "max_messages": (int, 1),
    "max_bytes": (int, 64),
}
TRANSPORTS = ("auto", "tcp", "tls", "psk", "ws", "wss")


class Config:
    """The fields as attributes, checked; `identity` and `secret` (None for a device with a
    certificate) made of theirs. `network` and `app` are passed on as they are, to the port and to
    the application. `registering`: it may lack what registration will give it."""

    product_id: str
    device_name: str
    certificate: str
    private_key: str
    ca: str
    region: str
    host: str
    port: int
    transport: str
    websocket_path: str
    keepalive_s: int
    clean_session: bool
    sntp: str
    queue: dict
    algorithm: str
    http: dict
    coap: dict
    update: dict
    network: dict
    app: dict

    def __init__(self, fields, registering=False):
        if not isinstance(fields, dict):
            raise BadInput("configuration", "must be a JSON object")
        for name in fields:
            if name not in _FIELDS:
                # MicroPython's JSON takes ":" and "," for one: after a forgotten value a secret
                # may stand where a name should, and is not to be told.
                if type(name) is not str or len(name) > 20 or not name.replace("_", "").isalpha():
                    raise BadInput("configuration", "check its commas, colons and values")
                raise BadInput(name, "is not a field; known are " + ", ".join(sorted(_FIELDS)))
        for name in _FIELDS:
            wanted, default = _FIELDS[name]
            value = fields.get(name)
            if value is None:
                if default is _REQUIRED:
                    raise BadInput(name, "is missing")
                value = default
            elif type(value) is not wanted and not (name == "network" and type(value) is list):
                raise BadInput(name, "must be of type " + wanted.__name__)
            if not name.endswith("_secret"):
                setattr(self, name, value)
        self.identity = Identity(self.product_id, self.device_name)
        self.secret = None
        if self.certificate:
            if not self.private_key:
                raise BadInput("private_key", "is missing; it belongs to the certificate")
        else:
            if fields.get("device_secret"):
                self.secret = Secret(fields["device_secret"])
            elif not registering:
                raise BadInput("device_secret", "is missing")
        if self.transport not in TRANSPORTS:
            raise BadInput("transport", "must be one of " + ", ".join(TRANSPORTS))
        if self.certificate and self.transport not in ("auto", "tls", "wss"):
            raise BadInput("transport", 'a device with a certificate needs "tls" or "wss"')
        if not self.host:
            # Refuses an unknown region.
            for_now("iothub.regions").mqtt_host(self.region, self.product_id)
        for name in self.queue:
            wanted, least = _QUEUE_FIELDS.get(name, (None, 0))
            if type(self.queue[name]) is not wanted or self.queue[name] < least:
                raise BadInput("queue", "has flash, drop_oldest, max_messages and max_bytes")
        _check_service("http", self.http, _HTTP_FIELDS, _HTTP_TRANSPORTS)
        _check_service("coap", self.coap, _COAP_FIELDS, _COAP_TRANSPORTS)
        for name in self.update:
            if name != "accept_unsigned_images" or type(self.update[name]) is not bool:
                raise BadInput("update", "has accept_unsigned_images, true or false")
        if not self.websocket_path.startswith("/"):
            raise BadInput("websocket_path", "must begin with /")
        if not 0 <= self.port < 65536:
            raise BadInput("port", "must be 0 (the usual one) to 65535")
        if self.algorithm not in ("hmacsha256", "hmacsha1"):
            raise BadInput("algorithm", "must be hmacsha256 or hmacsha1")


def _check_service(field, settings, known, transports):
    for name in settings:
        if type(settings[name]) is not known.get(name):
            raise BadInput(field, "has " + ", ".join(sorted(known)))
    if settings.get("transport", transports[0]) not in transports:
        raise BadInput(field, "transport must be one of " + ", ".join(transports))
    if not 0 <= settings.get("port", 0) < 65536:
        raise BadInput(field, "port must be 0 (the usual one) to 65535")


def load(path):
    """The Config of a file. Raises BadInput."""
    return Config(read(path))


def read(path):
    """The fields of a file (dict). Raises BadInput."""
    try:
        with open(path, "rb") as f:
            text = f.read()
    except OSError:
        raise BadInput(path, "cannot be read; put the configuration there")
    try:
        return json.loads(text)
    except ValueError:
        raise BadInput(path, "is not JSON")
