"""CoAP over DTLS, with certificates or a pre-shared key, on asyncio; over plain UDP only where it
is asked for in plain words. `device.coap` publishes with it.

    await device.coap.publish("event", '{"celsius": 21.5}')
    device.coap.close()
"""

import asyncio
import errno
import socket
from random import getrandbits
from time import ticks_diff, ticks_ms

from iothub.codec import coap as codec
from iothub.compat import const
from iothub.errors import NETWORK, BadInput, DeadlineError, IoTHubError, LinkError
from iothub.net import transport
from iothub.services.coap import Cloud
from iothub.timeouts import COAP_HANDSHAKE_MS

_PORT = const(5684)  # of DTLS and, where the cloud or a hub has it, of plain UDP
_POLL_MS = const(10)


class Client:
    """Confirmable requests to one server. `network` is port.Network or None; `security` one of
    net/tls.py made with `datagrams`, or None for plain UDP."""

    def __init__(self, host, port, network=None, security=None):
        self._host = host
        self._port = port
        self._network = network
        self._security = security
        self._stream = None
        self._exchanges = None

    async def open(self):
        """Connects, if it is not. Raises LinkError and its kinds."""
        if self._stream is not None:
            return
        if self._network is not None:
            await self._network.up()
        address = transport.resolve(self._host, self._port)
        sock = socket.socket(address[0], socket.SOCK_DGRAM)
        self._stream = sock
        try:
            sock.connect(address[-1])
            sock.setblocking(False)
            if self._security is not None:
                self._stream = self._security.wrap(sock, self._host)
        except BaseException as e:
            raise self._failed(e)
        self._exchanges = codec.Exchanges(getrandbits(16), getrandbits(16), _random_below)

    async def request(self, code, options=(), payload=b""):
        """(code, options, payload) of the response, whatever it says. Connects first if there is
        no connection. Raises LinkError and its kinds, which close it."""
        await self.open()
        exchanges = self._exchanges
        try:
            await self._send(exchanges.request(code, options, payload))
            then_ms = ticks_ms()
            while exchanges.response is None:
                datagram = self._receive()
                if datagram:
                    reply = exchanges.received(datagram)
                    if reply is not None:
                        self._stream.write(reply)
                    continue
                if datagram is not None and self._security is not None:
                    raise LinkError("closed by the server")
                await asyncio.sleep_ms(_POLL_MS)
                now_ms = ticks_ms()
                again = exchanges.advance(ticks_diff(now_ms, then_ms))
                then_ms = now_ms
                if again is not None:
                    self._stream.write(again)
        except BaseException as e:
            raise self._failed(e)
        return exchanges.response

    def close(self):
        """Forgets the connection."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._exchanges = None

    def _receive(self):
        """One datagram, or None. (readinto() would join several that are there.)"""
        try:
            return self._stream.recv(codec.MAX_DATAGRAM_BYTES)
        except OSError as e:
            if e.errno == errno.EAGAIN:
                return None
            raise

    async def _send(self, datagram):
        """The first write goes on with the handshake, and must be tried again and again: that is
        what makes DTLS repeat what was lost."""
        started_ms = ticks_ms()
        while not self._stream.write(datagram):
            if ticks_diff(ticks_ms(), started_ms) > COAP_HANDSHAKE_MS:
                raise DeadlineError("no DTLS session in time")
            await asyncio.sleep_ms(_POLL_MS)

    def _failed(self, error):
        self.close()
        if isinstance(error, IoTHubError) or not isinstance(error, (OSError, ValueError)):
            return error
        if self._security is not None:
            from iothub.net import tls

            return tls.explain(error)
        code = getattr(error, "errno", None)
        refused = code == errno.ECONNREFUSED
        return LinkError("refused" if refused else "connection lost", NETWORK, code)


class CoapPublisher:
    """Publishes, one message after the other. The connection is kept until close()."""

    def __init__(self, device):
        config = device.config
        self._topic = device.topic
        self._identity = device.identity
        settings = config["coap"]
        network = device.network
        kind = settings.get("transport", "auto")
        if kind == "auto":
            kind = "dtls" if config["certificate"] else "psk"
        security = None
        if kind != "udp":
            security, network = _security(device, kind)
        host = settings.get("host")
        if not host:
            from iothub import regions

            host = regions.coap_host(config["region"], config["product_id"])
        self._client = Client(host, settings.get("port") or _PORT, network, security)
        self._cloud = Cloud(self._identity)
        self._turn = asyncio.Lock()

    async def publish(self, name, payload):
        """Sends a message; `name` as for Device.publish, `payload` str or bytes. Returns when the
        cloud has it. Raises ServiceRefused, LinkError and its kinds, BadInput."""
        if isinstance(payload, str):
            payload = payload.encode()
        async with self._turn:
            try:
                while True:
                    if self._cloud.must_authenticate:
                        await self._authenticate()
                    code, answer = await self._post(
                        self._cloud.publication(self._topic(name), payload)
                    )
                    if self._cloud.published(code, answer):
                        return
            except LinkError:
                self.close()
                raise

    def close(self):
        self._client.close()
        self._cloud = Cloud(self._identity)

    async def _authenticate(self):
        # Random, and only to tell one attempt from another in the cloud's logs.
        connection_id = "".join([chr(65 + getrandbits(16) % 26) for _ in range(5)])
        self._cloud.authenticated(*await self._post(self._cloud.authentication(connection_id)))

    async def _post(self, request):
        code, _, payload = await self._client.request(codec.POST, *request)
        return code, payload


def _security(device, kind):
    """(one of net/tls.py for datagrams, the network to use with it)."""
    from iothub.net import tls

    config = device.config
    if kind == "psk":
        if config["secret"] is None:
            raise BadInput("coap", 'psk needs a device secret; "dtls" uses certificates')
        psk = tls.PreSharedKey(device.identity.client_id, config["secret"].decoded, True)
        return psk, device.network
    from iothub.net.rtc import TimedNetwork

    certificate = key = None
    if config["certificate"]:
        certificate = tls.read_der(config["certificate"], "certificate")
        key = tls.read_der(config["private_key"], "private_key")
    anchors = tls.load_anchors(config["ca"])
    network = TimedNetwork(device.network, config["sntp"], device.chip)
    return tls.Certificates(anchors, certificate, key, True), network


def _random_below(n):
    return getrandbits(30) % n


def join(device):
    return CoapPublisher(device)
