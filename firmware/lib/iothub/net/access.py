"""What the configured transport means: which host and port, which layers, which kind of login.
PROTOCOL sections 1.1, 1.2 and 2; the table is also the README's."""

from binascii import hexlify
from random import getrandbits

from iothub import signing
from iothub.net.endpoint import Endpoint

# transport: (port, TLS by "certificates" or "psk", WebSocket)
_LAYERS = {
    "tcp": (1883, None, False),
    "tls": (8883, "certificates", False),
    "psk": (8883, "psk", False),
    "ws": (80, None, True),
    "wss": (443, "certificates", True),
}


class Access:
    """`endpoint` for the session, and login() for each attempt. Raises BadInput for what this
    configuration cannot do on this firmware. `chip` (port/) and `time_journal` (the last good
    time) are for the clock that certificates need; without `chip` it is taken as it is, and no
    watchdog is fed."""

    def __init__(self, config, network=None, chip=None, time_journal=None):
        self.transport = transport = config.transport
        if transport == "auto":
            self.transport = transport = _best(config)
        port, kind, websocket = _LAYERS[transport]
        self._client_id = config.identity.client_id
        self._ready_key = None
        self._rsa_key = None
        self._feed = None if chip is None else chip.feed
        security = None
        if kind == "psk":
            from iothub.net.tls import PreSharedKey

            security = PreSharedKey(self._client_id, config.secret.decoded)
        else:
            if kind:
                security = self._certificates(config, websocket)
                if chip is not None:
                    from iothub.net.rtc import TimedNetwork

                    network = TimedNetwork(network, config.sntp, chip, time_journal)
            if config.secret is not None:
                self._ready_key = signing.hmac_key(config.secret.decoded, config.algorithm)
        self.endpoint = Endpoint(
            config.host or _host(config, websocket),
            config.port or port,
            network,
            security,
            config.websocket_path if websocket else None,
        )

    def _certificates(self, config, websocket):
        from iothub.net import tls

        certificate = key = None
        if config.certificate:
            certificate = tls.read_der(config.certificate, "certificate")
            key = tls.read_der(config.private_key, "private_key")
            if websocket:
                from iothub import rsa

                self._rsa_key = rsa.private_key(key)
        return tls.Certificates(tls.load_anchors(config.ca), certificate, key)

    def login(self, expiry_s):
        """(client id, user name, password or None) as bytes, valid until `expiry_s`."""
        # Random, and only to tell one attempt from another in the cloud's logs.
        connection_id = "".join([chr(65 + getrandbits(16) % 26) for _ in range(5)])
        username = signing.mqtt_username(self._client_id, connection_id, expiry_s)
        password = None  # TLS has proved the device already
        if self._ready_key is not None:
            password = signing.mqtt_password(self._ready_key, username)
        elif self._rsa_key is not None:
            from iothub import rsa

            signature = rsa.sign(self._rsa_key, username, self._feed)
            password = hexlify(signature) + b";rsa-sha256"
        return self._client_id, username, password


def _best(config):
    """Pre-shared key where the firmware has it, else certificates: verified either way."""
    if config.certificate:
        return "tls"
    from iothub.net import tls

    if tls.psk_available() and len(config.secret.decoded) <= 32:
        return "psk"
    return "tls"


def _host(config, websocket):
    from iothub import regions

    if websocket:
        return regions.websocket_host(config.region, config.product_id)
    return regions.mqtt_host(config.region, config.product_id)
