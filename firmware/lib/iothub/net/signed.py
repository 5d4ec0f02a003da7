"""The HTTP gateway of a region: registration, publishing, log upload. Signed POSTs over HTTPS, or
over plain HTTP where the configuration says so in plain words."""

import asyncio
from random import getrandbits

from iothub.loading import for_now, let_go
from iothub.net import http
from iothub.net.endpoint import Endpoint
from iothub.net.rtc import BUILD_UNIX_S, TimedNetwork
from iothub.services import signed

let_go("iothub.net.http")  # it goes with this module


class Gateway:
    """`config` (dict of a config.Config's attributes) has region, http, ca and sntp; `signer` is
    a signed.Signer. `network`, `chip` (port/) and `time_journal` are as for net/access.py.
    `session` steps aside meanwhile, where "http" in the configuration has "alone"."""

    _held = 0  # of the device's, for which this code stays loaded

    def __init__(self, config, signer, network, chip, time_journal=None, session=None):
        settings = config["http"]
        self._signer = signer
        self._chip = chip
        security = None
        usual = 80
        if settings.get("transport") != "http":
            security = for_now("iothub.net.tls").by_certificates(config["ca"])
            network = TimedNetwork(network, config["sntp"], chip, time_journal)
            usual = 443
        host = settings.get("host")
        if not host:
            host = for_now("iothub.regions").http_host(config["region"])
        self._host = name = host
        port = settings.get("port") or usual
        if port != usual:
            name = "%s:%d" % (host, port)
        self._is_alone = settings.get("alone")
        endpoint = Endpoint(host, port, network, security)
        self._client = http.Client(endpoint, name, session if self._is_alone else None)
        self._turn = asyncio.Lock()

    async def post(self, path, body, phase):
        """The dict the gateway answers. The connection stays open for the next one. Raises
        ServiceRefused, LinkError and its kinds."""
        # Without a clock the date this was made: the C SDK sends a date of 2021 then.
        now_s = max(self._chip.rtc_unix_s(), BUILD_UNIX_S)
        nonce = getrandbits(30)
        fields = self._signer.fields(self._host, path, body, now_s, nonce)
        await self._turn.acquire()
        try:
            response = await self._client.request("POST", path, fields, body)
            answer = await self._client.read(signed.MAX_ANSWER_BYTES)
        finally:
            self._turn.release()
            if self._is_alone:
                self.close()
        return signed.answer(response.status, answer, phase)

    def close(self):
        self._client.close()

    def release(self):
        """close() for good, of what of_device() gave: lets go of this code, unless another of the
        device's uses it."""
        self.close()
        _released()


def of_product(config, product_secret, network, chip):
    """The Gateway of a device that only knows its product's secret (str); to be closed."""
    return Gateway(config, signed.Signer(product_secret.encode()), network, chip)


def of_device(device):
    """The Gateway of a Device, which signs with its secret or its private key; to be released."""
    config = device.config
    Gateway._held += 1
    try:
        if config["secret"] is not None:
            signer = signed.Signer(config["secret"].text, config["algorithm"])
        else:
            key = for_now("iothub.net.tls").read_der(config["private_key"], "private_key")
            signer = signed.Signer(key, signed.RSA, device.chip.feed)
        return Gateway(config, signer, device.network, device.chip, None, device.session)
    except BaseException:  # no memory for TLS, for example: least of all keep this
        _released()
        raise


def _released():
    Gateway._held -= 1
    if not Gateway._held:
        let_go("iothub.net.signed")
