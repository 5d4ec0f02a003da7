"""Bytes to packets, each rule of the standard checked where its bytes are read. Pure."""

from collections.abc import Iterator

from tools.hub.broker.packet import (
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PROTOCOLS,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Connect,
    Disconnect,
    MalformedPacket,
    Packet,
    PacketTooLarge,
    Pingreq,
    Puback,
    Publish,
    QoS2Reply,
    Subscribe,
    Unsubscribe,
)


class PacketReader:
    """Cuts a byte stream into packets. Raises MalformedPacket where it stops making sense."""

    def __init__(self, max_packet_bytes: int) -> None:
        self._max_packet_bytes = max_packet_bytes
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data

    def packets(self) -> Iterator[Packet]:
        """Every whole packet received so far, in order."""
        position = 0
        try:
            while (bounds := self._next_bounds(position)) is not None:
                start, end = bounds
                first = self._buffer[position]
                # Before parsing: what follows a packet that raises is not looked at again.
                position = end
                yield decode(first, self._buffer[start:end])
        finally:
            self._buffer = self._buffer[position:]

    def _next_bounds(self, position: int) -> tuple[int, int] | None:
        """Start and end of the next packet's body; None while it is incomplete."""
        buffer = self._buffer
        available = len(buffer)
        start = position + 1
        length = 0
        for shift in (0, 7, 14, 21):
            if start >= available:
                return None
            byte = buffer[start]
            start += 1
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise MalformedPacket("a remaining length has at most four bytes")
        end = start + length
        if end - position > self._max_packet_bytes:
            size = end - position
            raise PacketTooLarge(
                f"a packet is at most {self._max_packet_bytes} bytes; this one has {size}"
            )
        return (start, end) if end <= available else None


def decode(first: int, body: bytes) -> Packet:
    """One packet from the first byte of its fixed header and everything after its length."""
    kind = first >> 4
    if kind == PUBLISH:
        return _decode_publish(first, body)
    if kind == PUBACK:
        _need_flags(first, 0)
        return Puback(_only_packet_id(body))
    if kind == SUBSCRIBE:
        _need_flags(first, 2)
        return _decode_subscribe(body)
    if kind == UNSUBSCRIBE:
        _need_flags(first, 2)
        return _decode_unsubscribe(body)
    if kind == PINGREQ:
        _need_flags(first, 0)
        _need_empty(body)
        return Pingreq()
    if kind == DISCONNECT:
        _need_flags(first, 0)
        _need_empty(body)
        return Disconnect()
    if kind == CONNECT:
        _need_flags(first, 0)
        return _decode_connect(body)
    if kind in (PUBREC, PUBREL, PUBCOMP):
        _need_flags(first, 2 if kind == PUBREL else 0)
        return QoS2Reply(kind, _only_packet_id(body))
    raise MalformedPacket(f"packet type {kind} is not one a client sends")


def _decode_connect(body: bytes) -> Connect:
    fields = _Fields(body)
    name = fields.text()
    if name not in PROTOCOLS:
        raise MalformedPacket("the protocol name is neither MQTT nor MQIsdp")
    level = fields.byte()
    if level != PROTOCOLS[name]:
        return Connect(level, supported=False)
    flags = fields.byte()
    has_will, user_name_flag, password_flag = flags & 0x04, flags & 0x80, flags & 0x40
    if flags & 0x01 and level == 4:
        raise MalformedPacket("the reserved CONNECT flag is 0")
    if password_flag and not user_name_flag:
        raise MalformedPacket("a password comes with a user name")
    if not has_will and flags & 0x38:
        raise MalformedPacket("will QoS and will retain are 0 without a will")
    if flags & 0x18 == 0x18:
        raise MalformedPacket("will QoS is 0, 1 or 2")
    keepalive_s = fields.integer()
    client_id = fields.text()
    will = None
    if has_will:
        topic = fields.text()
        _need_topic_name(topic)
        will = Publish(topic, fields.binary(), (flags >> 3) & 3, bool(flags & 0x20))
    user_name = fields.text() if user_name_flag else None
    password = fields.binary() if password_flag else None
    fields.end()
    return Connect(
        level,
        True,
        client_id,
        bool(flags & 0x02),
        keepalive_s,
        will,
        user_name,
        password,
    )


def _decode_publish(first: int, body: bytes) -> Publish:
    qos = (first >> 1) & 3
    if qos == 3:
        raise MalformedPacket("QoS is 0, 1 or 2")
    if len(body) < 2:
        raise MalformedPacket("a field runs past the end of its packet")
    end = 2 + (body[0] << 8 | body[1])
    topic = _decode_text(body[2:end])
    _need_topic_name(topic)
    dup = bool(first & 0x08)
    packet_id = 0
    if qos:
        if len(body) < end + 2:
            raise MalformedPacket("a field runs past the end of its packet")
        packet_id = body[end] << 8 | body[end + 1]
        end += 2
        if packet_id == 0:
            raise MalformedPacket("a packet id is never 0")
    elif dup:
        raise MalformedPacket("DUP is 0 at QoS 0")
    if end > len(body):
        raise MalformedPacket("a field runs past the end of its packet")
    return Publish(topic, body[end:], qos, bool(first & 0x01), dup, packet_id)


def _decode_subscribe(body: bytes) -> Subscribe:
    fields = _Fields(body)
    packet_id = fields.packet_id()
    filters: list[tuple[str, int]] = []
    while fields.more():
        topic_filter = fields.text()
        qos = fields.byte()
        if qos > 2:
            raise MalformedPacket("a requested QoS is 0, 1 or 2")
        filters.append((topic_filter, qos))
    if not filters:
        raise MalformedPacket("a SUBSCRIBE has at least one filter")
    return Subscribe(packet_id, filters)


def _decode_unsubscribe(body: bytes) -> Unsubscribe:
    fields = _Fields(body)
    packet_id = fields.packet_id()
    filters: list[str] = []
    while fields.more():
        filters.append(fields.text())
    if not filters:
        raise MalformedPacket("an UNSUBSCRIBE has at least one filter")
    return Unsubscribe(packet_id, filters)


class _Fields:
    """Reads the fields of one packet body from its start."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._position = 0

    def more(self) -> bool:
        return self._position < len(self._body)

    def end(self) -> None:
        if self.more():
            raise MalformedPacket("bytes follow the last field of a packet")

    def _take(self, count: int) -> bytes:
        taken = self._body[self._position : self._position + count]
        if len(taken) != count:
            raise MalformedPacket("a field runs past the end of its packet")
        self._position += count
        return taken

    def byte(self) -> int:
        return self._take(1)[0]

    def integer(self) -> int:
        return int.from_bytes(self._take(2), "big")

    def binary(self) -> bytes:
        return self._take(self.integer())

    def text(self) -> str:
        return _decode_text(self.binary())

    def packet_id(self) -> int:
        packet_id = self.integer()
        if packet_id == 0:
            raise MalformedPacket("a packet id is never 0")
        return packet_id


def _decode_text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise MalformedPacket("text is UTF-8") from None
    if "\0" in text:
        raise MalformedPacket("text holds no U+0000")
    return text


def _need_flags(first: int, flags: int) -> None:
    if first & 0x0F != flags:
        raise MalformedPacket(f"the flags of packet type {first >> 4} are {flags}")


def _need_topic_name(topic: str) -> None:
    if not topic or "+" in topic or "#" in topic:
        raise MalformedPacket("a topic name has at least one character and no wildcard")


def _need_empty(body: bytes) -> None:
    if body:
        raise MalformedPacket("PINGREQ and DISCONNECT have no body")


def _only_packet_id(body: bytes) -> int:
    fields = _Fields(body)
    packet_id = fields.packet_id()
    fields.end()
    return packet_id
