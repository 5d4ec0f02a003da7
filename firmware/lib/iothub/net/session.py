"""Keeps one MQTT session alive on asyncio: connects, logs in, reads, pings, reconnects.

One task owns the reading side of the socket and takes every packet whole; handlers that are plain
functions run from it, coroutines one after the other in a task of their own.
"""

import asyncio
import errno
from random import getrandbits
from time import ticks_diff, ticks_ms

from iothub import topics
from iothub.compat import const
from iothub.errors import (
    CONNECT,
    PUBLISH,
    BadInput,
    DeadlineError,
    LinkError,
    LoginRefused,
    NotConnected,
    QueueFull,
)
from iothub.loading import NO_CODE, for_now
from iothub.mqtt import engine as mqtt
from iothub.mqtt.backoff import Backoff
from iothub.mqtt.engine import Engine
from iothub.mqtt.packet import publish_size
from iothub.store.queue import RamQueue
from iothub.timeouts import (
    DELIVERY_MS,
    REFUSED_FIRST_MS,
    REFUSED_LAST_MS,
    STABLE_MS,
    TICK_MS,
    WRITE_STALL_MS,
)

# States, and to which others each may go: bit n stands for state n.
STOPPED = const(0)
OPENING = const(1)
LOGGING_IN = const(2)
ONLINE = const(3)
WAITING = const(4)
NEXT_STATES = (
    1 << OPENING,
    1 << LOGGING_IN | 1 << WAITING | 1 << STOPPED,
    1 << ONLINE | 1 << WAITING | 1 << STOPPED,
    1 << WAITING | 1 << STOPPED,
    1 << OPENING | 1 << STOPPED,
)

# What on_event tells besides the engine's reports: the link is gone; the error.
OFFLINE = const(0)
HANDLER_FAILED = const(-1)  # a handler raised; the exception
UNHANDLED = const(-3)  # a message that matches no subscription; its topic
OVERRUN = const(-2)  # too many coroutines wait to run; the topic. The message is not acknowledged

_MAX_COROUTINES = const(16)
_MAX_LOADS = const(5)  # of code to connect, that fail in a row
_RETRY_MS = const(5)
_MAX_BACKLOG_BYTES = const(4096)  # above it nothing is read, so that answers cannot pile up


class Session:
    """`endpoint` (net/endpoint.py) opens the streams, `login()` returns (client
    id, user name, password) as bytes or None for one attempt, `profile` knows the service's rules
    (profiles.py). `on_event(what, detail)` hears what happens."""

    def __init__(
        self,
        endpoint,
        login,
        profile,
        keepalive_s=240,
        clean_session=True,
        queue=None,
        backoff=None,
        on_event=None,
    ):
        profile.check_connect(keepalive_s)
        self.engine = Engine(
            self, RamQueue() if queue is None else queue, keepalive_s, clean_session
        )
        self.state = STOPPED
        self.handler_errors = 0
        self._endpoint = endpoint
        self._login = login
        self._profile = profile
        self._backoff = backoff or Backoff(_random_below)
        # A quick retry cures no refused login.
        self._refusal_backoff = Backoff(_random_below, REFUSED_FIRST_MS, REFUSED_LAST_MS)
        self._on_event = on_event
        self._stream = None
        self._pollable = None
        self._failure = None
        self._backlog = []  # packets the socket did not take yet
        self._backlog_bytes = 0
        self._stalled_ms = 0
        self._changed = asyncio.Event()
        self._coroutines = []
        self._coroutine_added = None  # of the present run()
        self._checked_topic = None
        self._ticked_ms = ticks_ms()
        self._online_ms = 0
        self._task = None
        self._writer = None
        self._stopping = None  # who called stop()
        self.is_away = False

    # Life

    async def run(self):
        """Connects and stays connected until stop() or cancelled. Lost links and refused logins
        are healed here; what the caller did wrong (BadInput) is raised, and a LinkError when the
        code to connect is missing, damaged or of another build."""
        if self._task is not None:
            raise BadInput("run", "it runs already")
        self._task = asyncio.current_task()
        self._failed_loads = 0
        self._coroutine_added = asyncio.Event()
        helpers = asyncio.create_task(self._tick()), asyncio.create_task(self._run_coroutines())
        try:
            while True:
                while self.is_away:
                    await self._changed.wait()
                self._enter(OPENING)
                backoff = self._backoff
                try:
                    await self._connection()
                except LoginRefused as e:
                    if e.code > 3:
                        backoff = self._refusal_backoff
                    self._lost(e)
                except LinkError as e:
                    if e.code == NO_CODE:
                        # Perhaps there was no memory to look for it. Else who starts the
                        # application has to know: slotboot.py has another one.
                        self._failed_loads += 1
                        if self._failed_loads == _MAX_LOADS:
                            raise
                    self._lost(e)
                except asyncio.CancelledError:
                    if self._failure is None or self._stopping:
                        raise
                    self._lost(self._failure)  # it was _fail() that cancelled the waiting reader
                except MemoryError:
                    self._lost(_out_of_memory())
                self._enter(WAITING)
                if not self.is_away:
                    await asyncio.sleep_ms(backoff.next_ms())
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self.engine.disconnect()
            self._close()
            self.state = STOPPED
            stopping = self._stopping
            self._stopping = self._task = self._coroutine_added = None
            self._pulse()
            for helper in helpers:
                if helper is stopping:
                    await helper  # the handler that called stop() goes on
                else:
                    helper.cancel()

    async def stop(self):
        """Says goodbye to the server and ends run(). A handler that calls it goes on after it; the
        others end."""
        if self._task is not None:
            self._stopping = asyncio.current_task()
            self._task.cancel()
            while self._stopping:  # not the state: who called run() may do so again at once
                await asyncio.sleep_ms(1)

    async def step_aside(self):
        """Says goodbye and stays away until step_back(): for an exchange whose TLS session does
        not fit beside this one. QoS 1 messages are queued meanwhile."""
        self.is_away = True
        self.engine.disconnect()
        self._fail(LinkError("stepped aside"))
        while self.state not in (WAITING, STOPPED):
            await asyncio.sleep_ms(1)

    def step_back(self):
        """Connects again."""
        self.is_away = False
        self._pulse()

    async def _connection(self):
        self._failure = None
        self._stream, self._pollable = await self._endpoint.open()
        self._enter(LOGGING_IN)
        self._online_ms = 0
        self._advance()
        engine = self.engine
        engine.connect(*self._login())
        self._failed_loads = 0
        while True:
            await _readable(self._pollable)
            rounds = 0
            while self._pump():
                rounds += 1
                if not rounds & 7:  # a stream that never dries up lets others run all the same
                    self._pulse()
                    await asyncio.sleep_ms(0)
            if self._failure is not None:
                raise self._failure
            while self._backlog_bytes > _MAX_BACKLOG_BYTES and self._failure is None:
                await self._changed.wait()
            self._pulse()

    def _pump(self):
        """Reads once and takes what came. False when there was nothing to read."""
        try:
            count = self._stream.readinto(self.engine.space())
        except (OSError, ValueError) as e:  # ValueError: TLS refuses a certificate that way
            # A write that failed before knows more: TLS tells its reason only once.
            raise self._failure or self._endpoint.explain(e)
        if count is None:
            return False
        if count == 0:
            raise self._failure or self._endpoint.ended()
        self.engine.received(count)
        return True

    async def _tick(self):
        """Time passes for the engine, whatever the reader waits for."""
        while True:
            await asyncio.sleep_ms(TICK_MS)
            if ticks_diff(ticks_ms(), self._ticked_ms) > 2 * TICK_MS:
                # Something blocked the loop (DNS does): first what came meanwhile, or an answer
                # that is there would count as late.
                await asyncio.sleep_ms(TICK_MS)
            try:
                self._advance()
            except LinkError as e:
                self._fail(e)
            except MemoryError:
                self._fail(_out_of_memory())

    def _advance(self):
        now_ms = ticks_ms()
        elapsed_ms = ticks_diff(now_ms, self._ticked_ms)
        self._ticked_ms = now_ms
        if self._backlog:
            self._stalled_ms += elapsed_ms
            if self._stalled_ms > WRITE_STALL_MS:
                raise DeadlineError("the socket takes no more bytes", PUBLISH)
        if self.state == ONLINE:
            self._online_ms += elapsed_ms
            if self._online_ms > STABLE_MS:
                self._backoff.reset()
                self._refusal_backoff.reset()
        self.engine.advance(elapsed_ms)

    def _enter(self, state):
        if not NEXT_STATES[self.state] >> state & 1:
            raise RuntimeError("session state %d to %d" % (self.state, state))
        self.state = state

    def _fail(self, error):
        """The link broke outside the reader, which may be waiting for a byte that never comes."""
        if self._failure is None and self.state in (OPENING, LOGGING_IN, ONLINE):
            self._failure = error
            if asyncio.current_task() is not self._task:
                self._task.cancel()

    def _lost(self, error):
        if self.state != ONLINE:
            self._endpoint._address = None  # perhaps someone else answers there by now
        self.engine.closed()
        self._close()
        self._pulse()
        self._tell(OFFLINE, error)

    def _close(self):
        if self._writer is not None:
            self._writer.cancel()
            self._writer = None
        if self._stream is not None:
            self._endpoint.handshake_over()
            self._stream.close()
            self._stream = None
        self._backlog = []
        self._backlog_bytes = 0

    def _pulse(self):
        """Wakes everyone who waits for a change; each looks whether it is his."""
        self._changed.set()
        self._changed.clear()

    @property
    def is_online(self):
        return self.state == ONLINE

    async def online(self, timeout_ms=DELIVERY_MS):
        """Waits until logged in; for ever with None. Raises DeadlineError."""
        if timeout_ms is not None:
            await for_now("iothub.net.waiting").online(self, timeout_ms)
        while self.state != ONLINE:
            await self._changed.wait()

    # Publishing

    async def publish(self, topic, payload, qos=0, wait=True, retain=False):
        """Sends a message; `topic` and `payload` str or bytes-like. QoS 0 is done when the socket
        has it. QoS 1 is kept through outages, and done when the server acknowledged it, or, with
        `wait` false, when it is kept: in the window or the queue, or safe on flash if the queue
        is there. Raises BadInput, NotConnected (QoS 0
        only), QueueFull, DeadlineError (QoS 1: not acknowledged yet, but still kept)."""
        if qos == 0:
            while self._backlog:
                await self._changed.wait()
            self.publish_nowait(topic, payload, 0, retain)
            while self._backlog:
                await self._changed.wait()
            if self.state != ONLINE:
                raise NotConnected("the connection broke; the QoS 0 message may be lost")
            return
        if isinstance(payload, str):
            payload = payload.encode()
        if topic is not self._checked_topic or qos != 1 or retain:
            topic = self._checked(topic, qos, retain)
        self._check_size(topic, payload, qos)
        receipt = None
        if wait:
            # Set when the message arrived, or with an error when it never will.
            receipt = asyncio.Event()
            receipt.error = None  # type: ignore[attr-defined]
        engine = self.engine
        stored = not wait and engine.queue.durable
        while stored or not engine.offer(topic, payload, receipt, retain):
            if stored or self.state != ONLINE or len(engine.queue):
                self._enqueue(topic, payload, receipt, retain)
                break
            await self._changed.wait()
        if receipt is not None:
            try:
                await asyncio.wait_for_ms(receipt.wait(), DELIVERY_MS)
            except asyncio.TimeoutError:
                raise DeadlineError("not acknowledged yet; the message is kept", PUBLISH)
            error = receipt.error  # type: ignore[attr-defined]
            if error is not None:
                raise error

    def publish_nowait(self, topic, payload, qos=0, retain=False):
        """The same without waiting, for callers that are not coroutines. With QoS 0 and `topic`
        and `payload` as bytes it allocates nothing."""
        if isinstance(payload, str):
            payload = payload.encode()
        # The same topic object again was checked before; most devices use a handful.
        if topic is not self._checked_topic or qos not in (0, 1) or retain:
            topic = self._checked(topic, qos, retain)
        self._check_size(topic, payload, qos)
        if qos:
            engine = self.engine
            if engine.queue.durable or not engine.offer(topic, payload, None, retain):
                self._enqueue(topic, payload, None, retain)
            return
        if self.state != ONLINE:
            raise NotConnected("no connection for a QoS 0 message")
        if self._backlog:
            raise QueueFull("the socket takes no more bytes now")
        self.engine.publish(topic, payload, retain)
        if self._failure is not None:
            raise self._failure

    async def flush(self, timeout_ms=DELIVERY_MS):
        """Waits until every QoS 1 message is acknowledged. Raises DeadlineError."""
        await for_now("iothub.net.waiting").flush(self, timeout_ms)

    def _checked(self, topic, qos, retain):
        encoded = topics.encode(topic)
        self._profile.check_publish(encoded, qos, retain)
        if encoded is topic:
            self._checked_topic = topic
        return encoded

    def _check_size(self, topic, payload, qos):
        if publish_size(topic, payload, qos) > self._profile.max_packet_bytes:
            raise BadInput("payload", "packet over %d bytes" % self._profile.max_packet_bytes)

    def _enqueue(self, topic, payload, receipt, retain):
        for evicted in self.engine.queue.put(topic, payload, receipt, retain):
            if evicted is not None:
                evicted.error = QueueFull("dropped for a newer message")
                evicted.set()
        self.engine.flush_queue()

    # Subscribing

    def register(self, pattern, handler, qos=1, takes_view=False):
        """Calls `handler(topic, payload)` for messages that match, from now on and through
        reconnects; the server is asked at once or at the next login. `topic` is bytes, `payload`
        bytes, or with `takes_view` a memoryview that dies when the handler returns. The handler
        may be a coroutine function. Returns the Subscription."""
        pattern = topics.encode(pattern)
        self._profile.check_subscribe(pattern, qos)
        return self.engine.subscribe(pattern, qos, handler, takes_view)

    async def subscribe(self, pattern, handler, qos=1, takes_view=False):
        """register(), and waits for the server's word. Raises SubscribeRefused, DeadlineError."""
        await for_now("iothub.net.waiting").subscribe(self, pattern, handler, qos, takes_view)

    async def unsubscribe(self, pattern):
        """Forgets the handler, and waits for the server's word if there is a connection."""
        await for_now("iothub.net.waiting").unsubscribe(self, pattern)

    async def _run_coroutines(self):
        added = self._coroutine_added
        while added is self._coroutine_added:
            while not self._coroutines:
                added.clear()
                await added.wait()
            try:
                await self._coroutines.pop(0)
            except Exception as e:
                self._handler_failed(e)
            except asyncio.CancelledError as e:
                if added is not self._coroutine_added:  # run() ended, and may run again
                    raise
                self._handler_failed(e)  # something the handler waited for was cancelled

    def _handler_failed(self, error):
        self.handler_errors += 1
        self._tell(HANDLER_FAILED, error)

    def _tell(self, what, detail):
        if self._on_event is not None:
            try:
                self._on_event(what, detail)
            except Exception:
                self.handler_errors += 1

    # What the engine calls

    def deliver(self, subscription, topic, payload):
        if subscription is None:
            self._tell(UNHANDLED, topic)
            return True
        try:
            if not subscription.takes_view:
                payload = bytes(payload)
            result = subscription.handler(topic, payload)
            if hasattr(result, "send"):  # a coroutine, not started yet
                if len(self._coroutines) >= _MAX_COROUTINES:
                    result.close()
                    self._tell(OVERRUN, topic)
                    return False
                self._coroutines.append(result)
                self._coroutine_added.set()
        except Exception as e:
            self._handler_failed(e)
        return True

    def acknowledged(self, receipt):
        receipt.set()

    def report(self, what, detail):
        if what == mqtt.ONLINE_AGAIN:
            self._enter(ONLINE)
        self._tell(what, detail)

    def write(self, buf, size):
        written = 0
        if not self._backlog:
            try:
                written = self._stream.write(buf, size) or 0
            except (OSError, ValueError) as e:
                self._fail(self._endpoint.explain(e))
                return
            if written:
                self._wrote()
            if written == size:
                return
            self._stalled_ms = 0
            self._writer = asyncio.create_task(self._write_backlog(self._stream))
        self._backlog.append(bytes(memoryview(buf)[written:size]))
        self._backlog_bytes += size - written

    async def _write_backlog(self, stream):
        backlog = self._backlog
        while backlog:
            await _writable(self._pollable)
            if stream is not self._stream:
                return
            try:
                # Packet by packet: TLS wants a refused write again with the same bytes.
                written = stream.write(backlog[0])
            except (OSError, ValueError) as e:
                self._fail(self._endpoint.explain(e))
                return
            if written:
                self._wrote()
                self._backlog_bytes -= written
                self._stalled_ms = 0
                if written == len(backlog[0]):
                    backlog.pop(0)
                else:
                    backlog[0] = backlog[0][written:]
            else:
                await asyncio.sleep_ms(_RETRY_MS)  # a TLS handshake is not finished yet
        self._pulse()

    def _wrote(self):
        if self.state == LOGGING_IN:
            self._endpoint.handshake_over()


def _out_of_memory():
    return LinkError("out of memory", CONNECT, errno.ENOMEM)


def _random_below(n):
    return getrandbits(30) % n


def _readable(stream):
    yield asyncio.core._io_queue.queue_read(stream)  # type: ignore[attr-defined]  # private


def _writable(stream):
    yield asyncio.core._io_queue.queue_write(stream)  # type: ignore[attr-defined]  # private
