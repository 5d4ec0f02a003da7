"""What the gateway does with a request over CoAP: document "设备基于 CoAP 接入", PROTOCOL.md 2.1.

The documents give address, method and URI. The rest is the vendor's C SDK's: a first POST to
`PID/DN/txauth9w0BAQsFA` gives a token, which goes with each publish as option 61; option 62 says
whether an answer with content is wanted.
"""

from aiocoap import Message
from aiocoap.numbers import codes
from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import Type

from tools.hub import events
from tools.hub.broker.broker import Broker
from tools.hub.broker.packet import Publish
from tools.hub.device_coap.conversation import Answer, Conversation
from tools.hub.device_coap.tokens import Tokens
from tools.hub.identity import Identity, parse_client_id, parse_path
from tools.hub.login import SDK_APP_IDS
from tools.hub.permissions import Forbidden
from tools.hub.store import StoreError
from tools.hub.topics import is_system
from tools.hub.transport.datagrams import Peer, Receive

MAX_PAYLOAD_BYTES = 1024
MAX_PATH_BYTES = 128
AUTHENTICATION_NAME = "txauth9w0BAQsFA"
_TOKEN, _WANTS_CONTENT = 61, 62
_CRITICAL_KNOWN = frozenset(
    {OptionNumber.URI_HOST, OptionNumber.URI_PORT, OptionNumber.URI_PATH, OptionNumber(_TOKEN)}
)


class Refused(Exception):
    """A request that is refused with a code; the text goes along as its payload."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Gateway:
    """For every peer of both ports; `open` is what the ports call."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._context = broker.context
        self._tokens = Tokens(broker.context.clock)
        broker.context.registry.on_removed.append(self._tokens.forget)

    def open(self, peer: Peer) -> Receive:
        """A new peer's conversation."""
        proved = parse_client_id(peer.proof.client_id) if peer.proof else None
        conversation = Conversation(lambda request: self._answer(peer, proved, request), peer.send)
        device = proved.path if proved else None
        faults = self._context.faults

        def receive(datagram: bytes) -> None:
            if not (faults.armed and faults.strikes("coap_lose", device)):
                conversation.received(datagram)

        return receive

    def _answer(self, peer: Peer, proved: Identity | None, request: Message) -> Answer:
        path = "/".join(request.opt.uri_path).strip("/")
        claimed = parse_path("/".join(path.split("/")[:2]))
        device = proved or claimed
        delay_ms = 0
        faults = self._context.faults
        if faults.armed:
            delay_ms = faults.delay_ms("coap_late", device.path if device else None)
        try:
            _check_form(request, path)
            answer = self._handle(peer, self._sender(peer, proved, claimed, path), path, request)
            self._context.store.flush()
        except Refused as refused:
            self._context.records.event(
                events.REFUSED,
                device.path if device else None,
                transport=_transport(peer),
                path=path[:MAX_PATH_BYTES],
                code=refused.code.dotted,
                reason=str(refused),
            )
            answer = Answer(refused.code, str(refused).encode())
        except StoreError:
            answer = Answer(codes.INTERNAL_SERVER_ERROR, b"the hub could not record it")
        return answer._replace(delay_ms=delay_ms)

    def _sender(
        self, peer: Peer, proved: Identity | None, claimed: Identity | None, path: str
    ) -> Identity:
        """The device that sends: as DTLS proved it, or without DTLS as the path claims. Raises
        Refused."""
        proof = peer.proof
        identity = claimed if proof is None else proved
        # A `$…` topic names its device at the end; whose it is, the permission tells.
        if proof is not None and claimed != proved and not is_system(path):
            identity = None
        device = self._context.registry.account(identity) if identity else None
        if identity is None or device is None:
            raise Refused(codes.FORBIDDEN, "not a URI of the device that sends")
        if not device.enabled:
            raise Refused(codes.FORBIDDEN, "the device is disabled")
        if proof is not None and proof.certificate_der != device.certificate:
            raise Refused(codes.FORBIDDEN, "not the certificate issued to this device")
        return identity

    def _handle(self, peer: Peer, identity: Identity, path: str, request: Message) -> Answer:
        faults = self._context.faults
        fault = faults.take("coap_refuse", identity.path) if faults.armed else None
        if fault is not None:
            raise Refused(_code(fault["code"]), "a fault asked for it")
        if path == f"{identity.path}/{AUTHENTICATION_NAME}":
            return self._authenticate(peer, identity, request.payload)
        return self._publish(peer, identity, path, request)

    def _authenticate(self, peer: Peer, identity: Identity, payload: bytes) -> Answer:
        text = payload.rstrip(b"\0").decode("ascii", "replace")
        sdk_app_id, separator, connection_id = text.partition(";")
        if sdk_app_id not in SDK_APP_IDS or not separator or not connection_id:
            raise Refused(codes.BAD_REQUEST, "the payload is not sdkappid;connid")
        self._context.records.event(
            events.AUTHENTICATE,
            identity.path,
            transport=_transport(peer),
            proved_by=peer.proof.by if peer.proof else None,
        )
        return Answer(codes.CONTENT, self._tokens.issue(identity))

    def _publish(self, peer: Peer, identity: Identity, path: str, request: Message) -> Answer:
        token = _option(request, _TOKEN)
        if token is None or not self._tokens.is_valid(identity, token):
            raise Refused(codes.UNAUTHORIZED, "no valid token: authenticate")
        if len(request.payload) > MAX_PAYLOAD_BYTES:
            raise Refused(
                codes.REQUEST_ENTITY_TOO_LARGE, f"a payload is at most {MAX_PAYLOAD_BYTES} bytes"
            )
        publish = Publish(path, request.payload, int(request.mtype is Type.CON))
        try:
            self._broker.publish_as(identity, publish, _transport(peer))
        except Forbidden as forbidden:
            raise Refused(codes.FORBIDDEN, str(forbidden)) from None
        # The C SDK takes 2.03 for a mere acknowledgement, and waits for 2.05 when it wants more.
        wants_content = _option(request, _WANTS_CONTENT) == b"1"
        return Answer(codes.CONTENT if wants_content else codes.VALID)


def _check_form(request: Message, path: str) -> None:
    """Raises Refused for what is not a POST as the gateway takes it."""
    if request.code != codes.POST:
        raise Refused(codes.METHOD_NOT_ALLOWED, "POST only")
    for option in request.opt.option_list():
        if option.number == OptionNumber.BLOCK1:
            raise Refused(codes.REQUEST_ENTITY_TOO_LARGE, "no blocks; one datagram is all")
        if option.number.is_critical() and option.number not in _CRITICAL_KNOWN:
            raise Refused(codes.BAD_OPTION, f"option {int(option.number)} is not known here")
    if len(path.encode()) > MAX_PATH_BYTES:
        raise Refused(codes.FORBIDDEN, f"a URI is at most {MAX_PATH_BYTES} bytes")


def _option(request: Message, number: int) -> bytes | None:
    for option in request.opt.option_list():
        if option.number == number:
            return bytes(option.encode())
    return None


def _code(number: int) -> Code:
    return Code((number // 100 << 5) | number % 100 & 0x1F)


def _transport(peer: Peer) -> str:
    return "coap" if peer.proof else "coap_udp"
