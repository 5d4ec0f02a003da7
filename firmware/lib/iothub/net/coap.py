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
from iothub.errors import BadInput, DeadlineError, LinkError
from iothub.loading import for_now, let_go
from iothub.net.endpoint import Endpoint
from iothub.services import coap as service
from iothub.timeouts import COAP_HANDSHAKE_MS

_PORT = const(5684)  # of DTLS and, where the cloud or a hub has it, of plain UDP
_POLL_MS = const(10)


class Client:
    """Confirmable requests to one server. `endpoint` (net/endpoint.py) says where; its `security`
    is an SSLContext for datagrams, or None for plain UDP."""

    def __init__(self, endpoint):
        self._endpoint = endpoint
        self._stream = None
        self._exchanges = None

    async def _open(self):
        # Loaded for as long as it takes.
        from iothub.net.transport import resolve

        let_go("iothub.net.transport")
        endpoint = self._endpoint
        if endpoint.network is not None:
            await endpoint.network.up()
        address = resolve(endpoint.host, endpoint.port)
        self._exchanges = codec.Exchanges(getrandbits)
        self._stream = sock = socket.socket(address[0], socket.SOCK_DGRAM)
        sock.connect(address[-1])
        sock.setblocking(False)
        if endpoint.security is not None:
            transport = for_now("iothub.net.transport")
            self._stream = transport.secured(sock, endpoint.security, endpoint.host)

    async def request(self, code, options=(), payload=b""):
        """(code, options, payload) of the response, whatever it says. Connects first if there is
        no connection. Raises LinkError and its kinds, which close it."""
        try:
            if self._stream is None:
                await self._open()
            exchanges = self._exchanges
            await self._send(exchanges.request(code, options, payload))
            then_ms = ticks_ms()
            while exchanges.response is None:
                datagram = self._receive()
                if datagram:
                    reply = exchanges.received(datagram)
                    if reply is not None:
                        self._stream.write(reply)
                    continue
                if datagram is not None and self._endpoint.security is not None:
                    raise LinkError("closed by the server")
                await asyncio.sleep_ms(_POLL_MS)
                now_ms = ticks_ms()
                again = exchanges.advance(ticks_diff(now_ms, then_ms))
                then_ms = now_ms
                if again is not None:
                    self._stream.write(again)
            return exchanges.response
        except BaseException as e:
            self.close()
            if isinstance(e, (OSError, ValueError)):
                e = self._endpoint.explain(e)
            raise e

    def close(self):
        """Forgets the connection."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

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


class CoapPublisher:
    """Publishes, one message after the other. The connection is kept until close()."""

    def __init__(self, device):
        config = device.config
        settings = config["coap"]
        host = settings.get("host")
        if not host:
            host = for_now("iothub.regions").coap_host(config["region"], config["product_id"])
        network, security = _layers(device, settings.get("transport"))
        port = settings.get("port") or _PORT
        self._client = Client(Endpoint(host, port, network, security))
        self._device = device
        self._token = b""
        self._turn = asyncio.Lock()

    async def publish(self, name, payload):
        """Sends a message; `name` as for Device.publish, `payload` str or bytes. Returns when the
        cloud has it. Raises ServiceRefused, LinkError and its kinds, BadInput."""
        if isinstance(payload, str):
            payload = payload.encode()
        prefix = self._device.identity.prefix
        await self._turn.acquire()
        try:
            for _ in range(2):
                if not self._token:
                    # Random, and only to tell one attempt from another in the cloud's logs.
                    request = service.authentication(prefix, "%05x" % getrandbits(20))
                    self._token = service.token(*await self._post(request))
                request = service.publication(self._device.topic(name), payload, self._token)
                code, answer = await self._post(request)
                if code != service.UNAUTHORISED:
                    break
                self._token = b""
            service.check(code, answer)
        except LinkError:
            self.close()
            raise
        finally:
            self._turn.release()

    def close(self):
        self._client.close()
        self._token = b""

    async def _post(self, request):
        code, _, payload = await self._client.request(codec.POST, *request)
        return code, payload


def _layers(device, kind):
    """(the network to use, an SSLContext for datagrams or None)."""
    network = device.network
    if kind == "udp":
        return network, None
    config = device.config
    tls = for_now("iothub.net.tls")
    if kind != "dtls" and (kind == "psk" or not config["certificate"]):
        if config["secret"] is None:
            raise BadInput("coap", 'psk needs a device secret; "dtls" uses certificates')
        secret = config["secret"].decoded
        return network, tls.by_pre_shared_key(device.identity.client_id, secret, True)
    from iothub.net.rtc import TimedNetwork

    network = TimedNetwork(network, config["sntp"], device.chip)
    return network, tls.by_certificates(
        config["ca"], config["certificate"], config["private_key"], True
    )


join = CoapPublisher
