"""CoAP over DTLS, with certificates or a pre-shared key, on asyncio; over plain UDP only where it
is asked for in plain words. Loaded for each message (net/coap.py), so these are functions of a
CoapPublisher, which keeps what outlives one, and not its methods."""

import asyncio
import errno
import socket
from random import getrandbits
from time import ticks_diff, ticks_ms

from iothub.codec import coap as codec
from iothub.compat import const
from iothub.errors import BadInput, DeadlineError, LinkError
from iothub.loading import for_now
from iothub.net.endpoint import Endpoint
from iothub.services import coap as service
from iothub.timeouts import COAP_HANDSHAKE_MS

_PORT = const(5684)  # of DTLS and, where the cloud or a hub has it, of plain UDP
_POLL_MS = const(10)


def endpoint_of(device):
    """Where a device publishes, by its configuration; `security` is for datagrams, or None for
    plain UDP. Raises BadInput."""
    config = device.config
    settings = config["coap"]
    host = settings.get("host")
    if not host:
        host = for_now("iothub.regions").coap_host(config["region"], config["product_id"])
    network, security = _layers(device, settings.get("transport"))
    return Endpoint(host, settings.get("port") or _PORT, network, security)


async def publish(publisher, name, payload):
    """See CoapPublisher."""
    device = publisher._device
    if isinstance(payload, str):
        payload = payload.encode()
    for _ in range(2):
        if not publisher._token:
            # Random, and only to tell one attempt from another in the cloud's logs.
            connection_id = "%05x" % getrandbits(20)
            question = service.authentication(device.identity.prefix, connection_id)
            publisher._token = service.token(*await _post(publisher, question))
        message = service.publication(device.topic(name), payload, publisher._token)
        code, answer = await _post(publisher, message)
        if code != service.UNAUTHORISED:
            break
        publisher._token = b""
    service.check(code, answer)


async def request(publisher, code, options=(), payload=b""):
    """Sends a confirmable request and returns (code, options, payload) of its response, whatever
    it says. Connects if there is no connection. Raises LinkError and its kinds, which close it."""
    endpoint = publisher._endpoint
    try:
        if publisher._stream is None:
            await _open(publisher)
        stream = publisher._stream
        exchanges = codec.Exchanges(getrandbits, publisher._past)
        await _send(stream, exchanges.request(code, options, payload))
        then_ms = ticks_ms()
        while exchanges.response is None:
            datagram = _receive(stream)
            if datagram:
                reply = exchanges.received(datagram)
                if reply is not None:
                    stream.write(reply)
                continue
            if datagram is not None and endpoint.security is not None:
                raise LinkError("closed by the server")
            await asyncio.sleep_ms(_POLL_MS)
            now_ms = ticks_ms()
            again = exchanges.advance(ticks_diff(now_ms, then_ms))
            then_ms = now_ms
            if again is not None:
                stream.write(again)
        return exchanges.response
    except BaseException as e:
        publisher.close()
        if isinstance(e, (OSError, ValueError)):
            e = endpoint.explain(e)
        raise e


async def _open(publisher):
    endpoint = publisher._endpoint
    if endpoint.network is not None:
        await endpoint.network.up()
    transport = for_now("iothub.net.transport")
    address = transport.resolve(endpoint.host, endpoint.port)
    publisher._past = []
    publisher._stream = sock = socket.socket(address[0], socket.SOCK_DGRAM)
    sock.connect(address[-1])
    sock.setblocking(False)
    if endpoint.security is not None:
        publisher._stream = transport.secured(sock, endpoint.security, endpoint.host)


def _receive(stream):
    """One datagram, or None. (readinto() would join several that are there.)"""
    try:
        return stream.recv(codec.MAX_DATAGRAM_BYTES)
    except OSError as e:
        if e.errno == errno.EAGAIN:
            return None
        raise


async def _send(stream, datagram):
    """The first write goes on with the handshake, and must be tried again and again: that is what
    makes DTLS repeat what was lost."""
    started_ms = ticks_ms()
    while not stream.write(datagram):
        if ticks_diff(ticks_ms(), started_ms) > COAP_HANDSHAKE_MS:
            raise DeadlineError("no DTLS session in time")
        await asyncio.sleep_ms(_POLL_MS)


async def _post(publisher, message):
    """(code, payload) of the response to one of services/coap.py."""
    code, _, payload = await request(publisher, codec.POST, *message)
    return code, payload


def _layers(device, kind):
    """(the network to use, an SSLContext for datagrams (net/tls.py) or None)."""
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
