"""Finds out why a device does not connect: one thing after the other, each ok or failed.

>>> from iothub import doctor
>>> doctor.run()

It logs in as the device, so a device that runs elsewhere with the same identity is disconnected;
and registers it first, where the configuration has a product secret and that was not done yet.
"""

import asyncio
import time

from iothub import config as configuration
from iothub.clock import epoch_offset_s
from iothub.compat import const
from iothub.errors import CLOCK, CONNECT, IoTHubError, LinkError, TlsError
from iothub.loading import for_now
from iothub.net import transport
from iothub.net.access import Access
from iothub.net.mqtt import MQTTClient
from iothub.net.rtc import BUILD_UNIX_S
from iothub.profiles import IoTHub
from iothub.signing import FAR_FUTURE_S

_POLL_MS = const(50)
_COLUMN = const(15)


def run(path="device.json", chip=None, network=None):
    """Examines the device of a configuration file, prints what it finds, and returns whether all
    is well. `chip` replaces iothub.port, `network` is as Device has it. No secret is printed."""
    if chip is None:
        from iothub import port as chip

    examination = _Examination(path, chip, network)
    stages = [
        ("configuration", examination.configuration),
        ("network", examination.network),
        ("name", examination.name),
        ("port", examination.port),
        ("TLS", examination.tls),
        ("WebSocket", examination.websocket),
        ("clock", examination.clock),
        ("login", examination.login),
    ]
    while stages:
        name, examine = stages.pop(0)
        try:
            _show(name, "ok: " + examine())
        except (IoTHubError, MemoryError) as e:
            if isinstance(e, MemoryError):
                e = LinkError("out of memory", CONNECT, 12)
            _show(name, "failed: " + e.reason)
            if e.hint:
                _show("", e.hint)
            if stages:
                _show("not tried", ", ".join([name for name, _ in stages]))
            return False
    return True


class _Client(MQTTClient):
    """Remembers whether its bytes got out, which is after TLS and WebSocket."""

    secured = False

    def write(self, buf, size):
        super().write(buf, size)
        self.secured = True


class _Examination:
    """A stage returns what it found, in words, or raises."""

    def __init__(self, path, chip, network):
        self._path = path
        self._chip = chip
        self._network = network
        self._failure = None  # of the one attempt to connect, until its stage comes

    def configuration(self):
        fields = configuration.read(self._path)
        if isinstance(fields, dict) and fields.get("product_secret"):
            # As the device does; its own secret may be in a journal.
            fields = for_now("iothub.net.register").run(self._path, self._chip, self._network)
        self._config = config = configuration.Config(fields)
        self._network = self._network or self._chip.Network(config.network)
        self._access = Access(config, self._network, self._chip)
        self._endpoint = self._access.endpoint
        return "%s/%s by %s" % (config.product_id, config.device_name, self._access.transport)

    def network(self):
        if self._endpoint.network is not None:
            asyncio.run(self._endpoint.network.up())
        return self._network.status()

    def name(self):
        transport.resolve(self._endpoint.host, self._endpoint.port)
        return self._endpoint.host

    def port(self):
        endpoint = self._endpoint
        address = transport.resolve(endpoint.host, endpoint.port)
        opening = transport.Opening(address, endpoint.host, endpoint.port)
        try:
            while not opening.step(_POLL_MS):
                pass
        finally:
            opening.close()
        return "%d answers" % endpoint.port

    def tls(self):
        config = self._config
        client_id, username, password = self._access.login(FAR_FUTURE_S)
        self._client = client = _Client(
            client_id,
            "",
            0,
            username,
            password,
            config.keepalive_s,
            profile=IoTHub(config.identity),
            endpoint=self._endpoint,
        )
        try:
            client.connect(config.clean_session)
        except IoTHubError as e:
            if isinstance(e, TlsError) or not (client.secured or self._endpoint.path):
                raise
            self._failure = e
        if self._endpoint.security is None:
            return "not used"
        return "the server is the one that was meant"

    def websocket(self):
        if self._endpoint.path is None:
            return "not used"
        if not self._client.secured:
            raise self._failure
        return self._endpoint.path

    def clock(self):
        unix_s = self._chip.rtc_unix_s()
        offset_s = epoch_offset_s(time.gmtime(0)[0])
        told = "%d-%02d-%02d %02d:%02d UTC" % time.gmtime(unix_s - offset_s)[:5]
        if unix_s >= BUILD_UNIX_S:
            return told
        if self._endpoint.security is None or self._access.transport == "psk":
            return told + ", wrong, but not needed: the hub tells the time after the login"
        raise IoTHubError(
            told + ", so no certificate can be judged; check sntp, or set the clock", CLOCK
        )

    def login(self):
        if self._failure is not None:
            raise self._failure
        self._client.disconnect()
        return "accepted"


def _show(name, text):
    print(name + " " * (_COLUMN - len(name)) + text)
