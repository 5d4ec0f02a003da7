"""Scenarios of net/session.py: `session_program.py SCENARIO HOST PORT [ARGUMENT...]`.

Each is a program as a user would write one; it tells what it sees, the test judges.
"""

import asyncio
import sys
import time

from iothub import timeouts
from iothub.timeouts import TICK_MS
from told import error_fields, say

# A test may shorten a wait of the one table, before anything is imported that reads it:
# "PINGRESP_MS=500" among the arguments.
_arguments = []
for argument in sys.argv[1:]:
    name, is_timeout, value = argument.partition("_MS=")
    if is_timeout:
        setattr(timeouts, name + "_MS", int(value))
    else:
        _arguments.append(argument)

from iothub.errors import BadInput, IoTHubError  # noqa: E402
from iothub.mqtt import engine  # noqa: E402
from iothub.mqtt.backoff import Backoff  # noqa: E402
from iothub.net import session as net_session  # noqa: E402
from iothub.net.endpoint import Endpoint  # noqa: E402
from iothub.profiles import Plain  # noqa: E402
from iothub.store.queue import RamQueue  # noqa: E402

_EVENTS = {
    net_session.OFFLINE: "offline",
    net_session.HANDLER_FAILED: "handler_failed",
    net_session.OVERRUN: "overrun",
    net_session.UNHANDLED: "unhandled",
    engine.ONLINE_AGAIN: "online",
    engine.SESSION_LOST: "session_lost",
    engine.OVERSIZE: "oversize",
    engine.STRAY_ACK: "stray_ack",
    engine.FILTER_REFUSED: "filter_refused",
    engine.FILTER_GRANTED: "filter_granted",
}


def tell_event(what, detail):
    if isinstance(detail, BaseException):  # CancelledError is no Exception
        say(_EVENTS[what], **error_fields(detail))
    elif isinstance(detail, bytes):
        say(_EVENTS[what], topic=detail)
    elif isinstance(detail, (int, bool)):
        say(_EVENTS[what], detail=detail)
    elif hasattr(detail, "pattern"):
        say(_EVENTS[what], pattern=detail.pattern)
    elif what in _EVENTS:
        say(_EVENTS[what])


def tell_message(topic, payload):
    say("message", topic=topic, payload=payload)


def new_session(host, port, client_id=b"device", user=None, password=None, **options):
    backoff = Backoff(lambda n: n - 1, 5, 50)  # no jitter, and short, for the tests' sake
    return net_session.Session(
        Endpoint(host, int(port)),
        lambda: (client_id, user, password),
        Plain(),
        backoff=backoff,
        on_event=tell_event,
        **options,
    )


async def started(session):
    """The task of run(), logged in."""
    task = asyncio.create_task(session.run())
    await session.online()
    return task


async def test_says():
    """The next line of the test, without blocking anyone."""
    reader = asyncio.StreamReader(sys.stdin.buffer)
    line = await reader.readline()
    if not line:
        raise SystemExit(0)
    return line.decode().strip()


async def stopped(session, task):
    await session.stop()
    await task
    say("stopped", state=session.state)


# Messages


async def echo(host, port):
    """Sends back what comes, with the QoS in the topic's last level."""
    session = new_session(host, port)
    task = await started(session)

    async def handler(topic, payload):
        tell_message(topic, payload)
        qos = int(topic[-1:])
        await session.publish(topic.replace(b"down", b"up"), payload, qos)

    await session.subscribe("down/+/0", handler, 0)
    await session.subscribe("down/+/1", handler, 1)
    say("ready")
    await test_says()
    await session.flush()
    await stopped(session, task)


async def wildcards(host, port):
    session = new_session(host, port)
    task = await started(session)

    def handler(name):
        return lambda topic, payload: say("message", topic=topic, handler=name)

    for pattern in ("a/+/c", "b/#", "exact", "+/deep/#", "/", "c//d"):
        await session.subscribe(pattern, handler(pattern))
    say("ready")
    await test_says()
    await stopped(session, task)


async def views(host, port):
    """Payloads without a copy."""
    session = new_session(host, port)
    task = await started(session)
    kept = []

    def handler(topic, payload):
        kept.append(payload)
        say("message", kind=type(payload).__name__, payload=bytes(payload))

    await session.subscribe("down", handler, takes_view=True)
    say("ready")
    await test_says()
    await stopped(session, task)


async def subscriptions_32(host, port):
    session = new_session(host, port, clean_session=False)
    task = await started(session)
    for i in range(32):
        await session.subscribe("down/" + str(i), tell_message)
    try:
        session.register("down/32", tell_message)
    except BadInput as e:
        say("refused", **error_fields(e))
    say("ready")
    await test_says()
    await stopped(session, task)


async def subscribes_at_once(host, port, count):
    """Waits for the subscription from before the login; over and over."""
    for _ in range(int(count)):
        session = new_session(host, port)
        task = asyncio.create_task(session.run())
        await asyncio.wait_for_ms(session.subscribe("down", tell_message), 2000)
        await stopped(session, task)


async def unsubscribes(host, port):
    session = new_session(host, port, clean_session=False)
    task = await started(session)
    await session.subscribe("down/1", tell_message)
    await session.subscribe("down/2", tell_message)
    await session.unsubscribe("down/1")
    say("ready")
    await test_says()
    await stopped(session, task)
    # Offline: the server is told at the next login.
    await session.unsubscribe("down/2")
    task = await started(session)
    while session.engine.requests_waiting:
        await asyncio.sleep_ms(5)
    say("ready")
    await test_says()
    await stopped(session, task)


async def receives(host, port, client_id="device"):
    """A persistent session that listens to down/#."""
    session = new_session(host, port, client_id.encode(), clean_session=False)
    session.register("down/#", tell_message)
    task = await started(session)
    while session.engine.requests_waiting:
        await asyncio.sleep_ms(5)
    say("ready")
    await test_says()
    await stopped(session, task)


async def sleeps_and_returns(host, port):
    """One Session object, twice on the line, with a server that keeps its session."""
    session = new_session(host, port, clean_session=False)
    task = await started(session)
    await session.subscribe("down/#", tell_message)
    await stopped(session, task)
    await test_says()
    task = await started(session)
    say("ready")
    await test_says()
    await stopped(session, task)


async def large(host, port):
    session = new_session(host, port)
    task = await started(session)
    topic = b"up"
    largest = 16384 - 2 - 2 - len(topic) - 3
    for qos in (0, 1):
        # Remaining length and its bytes count: 16384 bytes is what the service takes.
        await session.publish(topic, b"m" * (largest if qos else largest + 2), qos)
    try:
        await session.publish(topic, b"m" * (largest + 1), 1)
    except BadInput as e:
        say("refused", **error_fields(e))
    session.register("down", lambda topic, payload: say("message", size=len(payload)))
    say("ready")
    await test_says()
    await stopped(session, task)


async def publishes_many(host, port, count):
    """So many QoS 1 messages in one session; more than there are packet ids."""
    session = new_session(host, port)
    task = await started(session)
    for i in range(int(count)):
        await session.publish(b"up", b"%d" % i, 1, False)
    await session.flush()
    say("acknowledged")
    await stopped(session, task)


# Handlers


async def handler_raises(host, port):
    session = new_session(host, port, clean_session=False)

    def plain(topic, payload):
        tell_message(topic, payload)
        if payload == b"bad":
            raise ValueError("plain handler")

    async def coroutine(topic, payload):
        tell_message(topic, payload)
        if payload == b"bad":
            raise ValueError("coroutine handler")

    session.register("plain", plain)
    session.register("coroutine", coroutine)
    task = await started(session)
    while session.engine.requests_waiting:
        await asyncio.sleep_ms(5)
    say("ready")
    await test_says()
    say("counted", errors=session.handler_errors)
    await stopped(session, task)


async def handler_is_slow(host, port):
    """Coroutines run one after the other, in order; the link stays alive meanwhile."""
    session = new_session(host, port, keepalive_s=1, clean_session=False)
    gate = asyncio.Event()
    running = [0]

    async def slow(topic, payload):
        running[0] += 1
        say("begun", payload=payload)
        await gate.wait()
        await asyncio.sleep_ms(1)
        say("handled", payload=payload, running=running[0])
        running[0] -= 1

    session.register("down", slow)
    task = await started(session)
    while session.engine.requests_waiting:
        await asyncio.sleep_ms(5)
    say("ready")
    await test_says()
    gate.set()
    await test_says()
    await stopped(session, task)


async def handler_waits_for_the_cancelled(host, port):
    session = new_session(host, port)
    task = await started(session)

    async def handler(topic, payload):
        tell_message(topic, payload)
        if payload == b"bad":
            other = asyncio.create_task(session.flush())
            other.cancel()
            await other

    await session.subscribe("down", handler)
    say("ready")
    await test_says()
    await stopped(session, task)


async def handler_publishes(host, port):
    """A plain handler may publish, register and unsubscribe, but not wait."""
    session = new_session(host, port)
    task = await started(session)

    def handler(topic, payload):
        session.publish_nowait("up/0", payload, 0)
        session.publish_nowait("up/1", payload, 1)
        session.register("down/2", tell_message)

    await session.subscribe("down/1", handler)
    say("ready")
    await test_says()
    await session.flush()
    await stopped(session, task)


# Trouble


async def stays_on(host, port, keepalive_s, seconds):
    """Does nothing but stay connected."""
    session = new_session(host, port, keepalive_s=int(keepalive_s))
    task = await started(session)
    await asyncio.sleep(float(seconds))
    await stopped(session, task)


async def tries(host, port, *login):
    """Keeps trying until the test has seen enough."""
    # The longest wait of a jittered backoff, so that a wait after a refusal can be told from one
    # that only happened to be short.
    net_session._random_below = lambda n: n - 1
    session = new_session(host, port, b"device", *[value.encode() for value in login])
    task = asyncio.create_task(session.run())
    await test_says()
    say("state", state=session.state)
    await stopped(session, task)


async def waits_in_vain(host, port):
    """What a caller gets who waits while there is no connection."""
    session = new_session(host, port)
    task = asyncio.create_task(session.run())
    for name, waiting in (
        ("online", session.online(200)),
        ("publish_0", session.publish("up", "x", 0)),
        ("publish_1", session.publish("up", "kept", 1)),
        ("subscribe", session.subscribe("down", tell_message)),
        ("flush", session.flush(200)),
    ):
        try:
            await waiting
            say("done", call=name)
        except IoTHubError as e:
            say("raised", call=name, **error_fields(e))
    await test_says()
    await session.flush()
    await stopped(session, task)


async def rides_an_outage(host, port):
    """Publishes on while the link is down."""
    session = new_session(host, port, clean_session=False)
    task = await started(session)
    await session.publish("up", "0", 1)
    say("ready")
    await test_says()
    for i in range(1, 31):
        await session.publish("up", str(i), 1, False)
        await asyncio.sleep_ms(1)
    say("queued", queued=len(session.engine.queue), unacknowledged=len(session.engine.in_flight))
    await test_says()
    await session.flush()
    say("acknowledged")
    await session.publish("up", "31", 1)
    await stopped(session, task)


async def fills_the_queue(host, port, policy):
    session = new_session(
        host, port, queue=RamQueue(max_messages=5, drop_oldest=policy == "drop_oldest")
    )
    task = await started(session)
    say("ready")
    await test_says()
    while session.state == net_session.ONLINE:
        await asyncio.sleep_ms(5)

    async def publish(i):
        try:
            await session.publish("up", str(i), 1)
            say("arrived", number=i)
        except IoTHubError as e:
            say("raised", number=i, **error_fields(e))

    waiting = [asyncio.create_task(publish(i)) for i in range(8)]
    await asyncio.sleep_ms(50)
    say("queued", queued=len(session.engine.queue), dropped=session.engine.queue.dropped)
    await test_says()
    await asyncio.gather(*waiting)
    await stopped(session, task)


async def is_cancelled(host, port):
    session = new_session(host, port)
    task = await started(session)
    await session.subscribe("down", tell_message)
    try:
        await session.run()
    except BadInput as e:
        say("refused", **error_fields(e))
    await session.publish("up", "undisturbed", 1)
    task.cancel()
    try:
        await task
        say("returned")
    except asyncio.CancelledError:
        say("cancelled", state=session.state)
    # It can be started again.
    task = await started(session)
    await session.publish("up", "again", 1)
    await stopped(session, task)
    await asyncio.sleep_ms(2 * TICK_MS)  # the helper tasks are gone, or they would fail here


async def begins_anew_at_once(host, port, turns):
    """Each run() is followed by the next, while a handler of the last one is still at it."""
    session = new_session(host, port)
    running = [0]

    async def handler(topic, payload):
        running[0] += 1
        say("handling", payload=payload, running=running[0])
        try:
            await asyncio.sleep_ms(50)
            say("handled", payload=payload)
        finally:
            await asyncio.sleep_ms(1)
            running[0] -= 1

    session.register("down", handler)

    async def run():
        while True:
            await session.run()

    task = asyncio.create_task(run())
    for turn in range(int(turns)):
        await session.online()
        await session.publish("down", f"cut {turn}", 1)
        while not running[0]:
            await asyncio.sleep_ms(1)
        await asyncio.wait_for_ms(session.stop(), 1000)
    await session.online()
    for number in range(4):
        await session.publish("down", f"whole {number}", 1)
    await test_says()
    task.cancel()


async def handler_stops(host, port, turns):
    """What is to be done without a connection, as a reset, comes after stop()."""
    session = new_session(host, port)

    async def handler(topic, payload):
        await session.stop()
        await asyncio.sleep_ms(20)
        say("handled", state=session.state)

    session.register("down", handler)
    for _ in range(int(turns)):
        task = await started(session)
        # Nothing to wait for: it may be heard, and the session stopped, before its PUBACK is read.
        session.publish_nowait("down", "now")
        await task
    say("over")


async def blocks_the_loop(host, port, block_ms):
    """As DNS does, with a message on its way, and before one."""
    session = new_session(host, port)
    task = await started(session)
    session.publish_nowait("up", "while", 1)
    time.sleep_ms(int(block_ms))
    await session.publish("up", "after", 1)
    await asyncio.sleep_ms(2 * TICK_MS)
    await stopped(session, task)


async def runs_out_of_memory(host, port):
    """For a moment, when it is the turn of the clock."""
    session = new_session(host, port, keepalive_s=1)
    task = await started(session)
    advance = session.engine.advance
    left = [2]

    def no_memory(elapsed_ms):
        left[0] -= 1
        if not left[0]:
            session.engine.advance = advance
        raise MemoryError

    session.engine.advance = no_memory
    await test_says()
    await stopped(session, task)


async def floods_a_dead_link(host, port):
    """The socket takes no more; a QoS 0 publish waits, or refuses where it may not wait."""
    session = new_session(host, port)
    task = await started(session)
    say("ready")
    await test_says()
    payload = b"m" * 16000
    count = 0
    try:
        while True:
            session.publish_nowait(b"up", payload)
            count += 1
    except IoTHubError as e:
        say("refused", sent=count, **error_fields(e))
    try:
        await session.publish(b"up", payload)
        say("published")
    except IoTHubError as e:
        say("raised", **error_fields(e))
    await session.online()
    await session.publish(b"up", b"after", 1)
    await stopped(session, task)


asyncio.run(globals()[_arguments[0]](*_arguments[1:]))
