"""What the configured transport means: which host and port, which layers, which kind of login.
PROTOCOL sections 1.1, 1.2 and 2; the table is also the README's."""

from binascii import hexlify
from random import getrandbits

from iothub.loading import for_now, let_go
from iothub.net.endpoint import Endpoint
from iothub.signing import hmac_key, mqtt_password, mqtt_username
from iothub.store.queue import RamQueue

let_go("iothub.signing")  # what is taken of it is kept

# transport: (port, TLS by "certificates" or "psk", WebSocket)
_LAYERS = {
    "tcp": (1883, None, False),
    "tls": (8883, "certificates", False),
    "psk": (8883, "psk", False),
    "ws": (80, None, True),
    "wss": (443, "certificates", True),
}


class Access:
    """`endpoint` for the session, and `proof` for login(), as which it is there too. Raises
    BadInput for what this configuration cannot do on this firmware. `chip` (port/) and
    `time_journal` (the last good time) are for the clock that certificates need; without `chip` it
    is taken as it is, and no watchdog is fed."""

    def __init__(self, config, network=None, chip=None, time_journal=None):
        self.transport = transport = config.transport
        if transport == "auto":
            self.transport = transport = _best(config)
        port, kind, websocket = _LAYERS[transport]
        client_id = config.identity.client_id
        ready_key = rsa_key = security = None
        if kind == "psk":
            tls = for_now("iothub.net.tls")
            security = tls.by_pre_shared_key(client_id, config.secret.decoded)
        else:
            if kind:
                security, rsa_key = _certificates(config, websocket)
                if chip is not None:
                    from iothub.net.rtc import TimedNetwork

                    network = TimedNetwork(network, config.sntp, chip, time_journal)
            if config.secret is not None:
                ready_key = hmac_key(config.secret.decoded, config.algorithm)
        # It holds nothing of this module, which so can be let go of.
        self.proof = client_id, ready_key, rsa_key, chip
        self.endpoint = Endpoint(
            config.host or _host(config, websocket),
            config.port or port,
            network,
            security,
            config.websocket_path if websocket else None,
        )

    def login(self, expiry_s):
        return login(self.proof, expiry_s)


def login(proof, expiry_s):
    """(client id, user name, password or None) as bytes, valid until `expiry_s`."""
    client_id, ready_key, rsa_key, chip = proof
    # Random, and only to tell one attempt from another in the cloud's logs.
    connection_id = "".join([chr(65 + getrandbits(16) % 26) for _ in range(5)])
    username = mqtt_username(client_id, connection_id, expiry_s)
    password = None  # TLS has proved the device already
    if ready_key is not None:
        password = mqtt_password(ready_key, username)
    elif rsa_key is not None:
        feed = None if chip is None else chip.feed
        password = hexlify(for_now("iothub.rsa").sign(rsa_key, username, feed)) + b";rsa-sha256"
    return client_id, username, password


def _certificates(config, websocket):
    """(security, the key that signs the login where TLS does not prove the device)"""
    tls = for_now("iothub.net.tls")
    rsa_key = None
    if config.certificate and websocket:
        key = tls.read_der(config.private_key, "private_key")
        rsa_key = for_now("iothub.rsa").private_key(key)
    return tls.by_certificates(config.ca, config.certificate, config.private_key), rsa_key


def _best(config):
    """Pre-shared key where the firmware has it, else certificates: verified either way."""
    if config.certificate:
        return "tls"
    if for_now("iothub.net.tls").psk_available() and len(config.secret.decoded) <= 32:
        return "psk"
    return "tls"


def _host(config, websocket):
    regions = for_now("iothub.regions")
    if websocket:
        return regions.websocket_host(config.region, config.product_id)
    return regions.mqtt_host(config.region, config.product_id)


def queue_of(settings, device):
    """The offline queue that the configuration's "queue" asks for."""
    limits = {}
    for name in settings:
        if name != "flash":
            limits[name] = settings[name]
    if settings.get("flash"):
        from iothub.store.flash_queue import FlashQueue

        return FlashQueue(device.storage, **limits)
    return RamQueue(**limits)
