"""One MQTT connection from its first byte to its last.

A listener hands in a stream, whatever layers it has, and the name of its transport. The first
packet must be a CONNECT that the broker accepts; from then on `Requests` answers, and silence ends
it.
"""

import asyncio
import logging
from typing import Protocol

from tools.hub import events
from tools.hub.broker.context import Context
from tools.hub.broker.decoder import PacketReader
from tools.hub.broker.encoder import encode_connack, encode_publish
from tools.hub.broker.outlet import Outlet
from tools.hub.broker.packet import (
    CONNECT_FIRST_BYTE,
    Connect,
    MalformedPacket,
    Packet,
)
from tools.hub.broker.requests import Requests, Rules
from tools.hub.broker.session import Session
from tools.hub.identity import Identity
from tools.hub.login import ConnackCode, Refused
from tools.hub.transport.stream import Stream, StreamBroken

READ_BYTES = 64 * 1024
_DRAIN_ABOVE_BYTES = 64 * 1024
_log = logging.getLogger("hub")


class Host(Rules, Protocol):
    """What a connection asks of the realm that serves it."""

    @property
    def context(self) -> Context: ...
    @property
    def max_packet_bytes(self) -> int: ...
    def name(self, connect: Connect) -> Identity | None: ...
    def login(self, connection: "Connection", connect: Connect) -> tuple[Session, bool]: ...
    def leave(self, connection: "Connection") -> None: ...


class Connection:
    """Awaiting CONNECT while `session` is None, then logged in, then closing."""

    def __init__(self, host: Host, stream: Stream, transport: str) -> None:
        self._host = host
        self._context = host.context
        self._stream = stream
        self.transport = transport
        self.proof = stream.proof
        self._outlet = Outlet(stream, self._context.faults, self._context.config.linger_s)
        self._packets = PacketReader(host.max_packet_bytes)
        self._requests: Requests | None = None
        self._closing = asyncio.Event()
        self._refused = False
        self._first_read = True
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._last_packet_at = self._loop.time()
        self._silence_limit_s = self._context.config.connect_timeout_s
        self._bytes_until_drop: int | None = None
        self.session: Session | None = None
        # PID/DN once a client id names one, also for logins that are refused.
        self.device: str | None = None

    async def run(self) -> None:
        """Serve until either side closes."""
        self._arm_timer(self._silence_limit_s)
        try:
            await self._read_packets()
            self.close("the device closed the connection without DISCONNECT")
        except StreamBroken as error:
            self.close(str(error))
        except OSError as error:
            self.close(f"the connection broke: {type(error).__name__}")
        except Exception:
            _log.exception("serving a connection", extra={"device": self.device})
            self.abort("the hub failed; its log says how")
        finally:
            self._arm_timer(0)

    # What the session and the broker ask.

    def send(self, data: bytes) -> None:
        """Send after the next commit, with everything else that tick brings."""
        if not self._closing.is_set():
            self._outlet.put(data)
            self._context.commits.hold(self)

    def unsent_bytes(self) -> int:
        return self._outlet.unsent_bytes()

    def close(self, reason: str) -> None:
        """Leave the broker now, and end the connection once what it already owes is sent."""
        if not self._closing.is_set():
            self._leave(reason)
            self._context.commits.hold(self)

    def abort(self, reason: str) -> None:
        """Leave the broker and end the connection at once, owing what it owes."""
        if not self._closing.is_set():
            self._leave(reason)
        self._outlet.abort()

    def release(self) -> None:
        """The commit is done: write what waited for it."""
        self._outlet.flush(self.device)
        if self._closing.is_set():
            self._outlet.end()

    def _leave(self, reason: str) -> None:
        self._closing.set()
        if not self._refused:
            self._context.records.event(events.DISCONNECT, self.device, reason=reason)
        self._host.leave(self)

    # Bytes in.

    async def _read_packets(self) -> None:
        while not self._closing.is_set():
            data = await self._stream.read(READ_BYTES)
            if not data:
                return
            if self._context.faults.armed or self._bytes_until_drop is not None:
                data = self._strike_input(data)
            if self._outlet.silent:
                await self._closing.wait()
                return
            if self._first_read and data and data[0] != CONNECT_FIRST_BYTE:
                # Said at once, since what is no MQTT may never complete a packet.
                self.close("protocol violation: the first packet is CONNECT")
                return
            self._first_read = False
            self._packets.feed(data)
            try:
                for packet in self._packets.packets():
                    self._last_packet_at = self._loop.time()
                    self._handle(packet)
                    if self._closing.is_set():
                        return
            except MalformedPacket as error:
                self.close(f"protocol violation: {error}")
                return
            if self._bytes_until_drop == 0:
                self.abort("a fault asked to drop the connection after this many bytes")
                return
            if self.unsent_bytes() > _DRAIN_ABOVE_BYTES:
                # Not reading from a client that does not read its acknowledgements.
                await self._stream.drain()

    def _handle(self, packet: Packet) -> None:
        faults = self._context.faults
        if faults.armed and faults.strikes("drop_at_packet", self.device):
            self.abort("a fault asked to drop the connection at the next packet")
        elif self._requests is not None:
            self._requests.handle(packet)
        elif isinstance(packet, Connect):
            self._log_in(packet)

    def _log_in(self, connect: Connect) -> None:
        records = self._context.records
        identity = self._host.name(connect)
        self.device = identity.path if identity else None
        try:
            self._strike_login()
            session, present = self._host.login(self, connect)
        except Refused as refused:
            shown = connect.client_id[:80]
            records.event(
                events.REFUSED,
                self.device,
                code=refused.code,
                reason=refused.reason,
                client_id=shown,
                transport=self.transport,
            )
            self.send(encode_connack(refused.code))
            self._refused = True
            self.close(refused.reason)
            return
        self.session = session
        self._requests = Requests(self._context, session, self, self._host)
        records.event(
            events.CONNECT,
            self.device,
            protocol_level=connect.protocol_level,
            clean_session=connect.clean_session,
            session_present=present,
            keepalive_s=connect.keepalive_s,
            transport=self.transport,
            proved_by=self.proof.by if self.proof else None,
            peer=self._stream.peer,
        )
        # MQTT 3.1 has no session-present flag; its reserved byte is 0.
        shown_present = present and connect.protocol_level == 4
        self.send(encode_connack(ConnackCode.ACCEPTED, shown_present))
        self._silence_limit_s = connect.keepalive_s * 1.5
        self._arm_timer(self._silence_limit_s)
        session.resume()
        self.strike_now()

    # Silence.

    def _arm_timer(self, delay_s: float) -> None:
        """Look again after `delay_s`; 0 means never."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay_s > 0:
            self._timer = self._loop.call_later(delay_s, self._check_silence)

    def _check_silence(self) -> None:
        if self._outlet.silent:
            return
        silent_s = self._loop.time() - self._last_packet_at
        if silent_s < self._silence_limit_s:
            self._arm_timer(self._silence_limit_s - silent_s)
        elif self.session is None:
            self.close(f"no CONNECT within {self._silence_limit_s:g} s")
        else:
            self.close(f"silent for 1.5 times the keepalive ({self._silence_limit_s:g} s)")

    # Faults, asked for only while one is armed.

    def _strike_login(self) -> None:
        faults = self._context.faults
        refusal = faults.take("connack", self.device) if faults.armed else None
        if refusal is not None:
            raise Refused(refusal["code"], f"a fault asked for CONNACK {refusal['code']}")

    def _strike_input(self, data: bytes) -> bytes:
        """The part of what was received that a fault lets through."""
        self.strike_now()
        if self._bytes_until_drop is None:
            drop = self._context.faults.take("drop_after_bytes", self.device)
            if drop is None:
                return data
            self._bytes_until_drop = drop["bytes"]
        data = data[: self._bytes_until_drop]
        self._bytes_until_drop -= len(data)
        return data

    def strike_now(self) -> None:
        """Apply the faults that wait for no packet: when one is armed, and after a login."""
        faults = self._context.faults
        if not faults.armed or self._closing.is_set() or self.session is None:
            return
        oversize = faults.take("oversize_publish", self.device)
        if oversize is not None:
            payload = bytes(oversize["payload_bytes"])
            self.send(encode_publish(f"{self.device}/control", payload))
        blackhole = faults.take("blackhole", self.device)
        if blackhole is not None:
            self._outlet.silent = True
            self._loop.call_later(
                blackhole["duration_ms"] / 1000, self.abort, "a fault's black hole ended"
            )
