"""Every way in, from a configuration file: `tls_program.py SCENARIO CONFIG [ARGUMENT...]`.

The session is the one a Device has, but for the service's rules: these servers are any MQTT
server. Each scenario tells what it sees, the test judges.
"""

import asyncio
import builtins
import gc
import sys
from time import ticks_diff, ticks_ms

from iothub import timeouts
from told import error_fields, say

_arguments = []
for argument in sys.argv[1:]:  # "CONNACK_MS=500": before anything reads the table
    name, is_timeout, value = argument.partition("_MS=")
    if is_timeout:
        setattr(timeouts, name + "_MS", int(value))
    else:
        _arguments.append(argument)

from iothub import config as configuration  # noqa: E402
from iothub import port  # noqa: E402
from iothub.errors import IoTHubError  # noqa: E402
from iothub.mqtt import engine  # noqa: E402
from iothub.mqtt.backoff import Backoff  # noqa: E402
from iothub.net import session as net_session  # noqa: E402
from iothub.net.access import Access  # noqa: E402
from iothub.profiles import Plain  # noqa: E402
from iothub.signing import FAR_FUTURE_S  # noqa: E402

_TICK_MS = 5


def tell_error(event, error):
    say(event, hint=getattr(error, "hint", None), **error_fields(error))


def new_session(path, login=None):
    """`login`: "user:password" for servers that cannot check a signature."""
    config = configuration.load(path)
    access = Access(config, None, port)

    def log_in():
        if login:
            user, password = login.encode().split(b":")
            return config.identity.client_id, user, password
        return access.login(FAR_FUTURE_S)

    def tell_event(what, detail):
        if what == net_session.OFFLINE:
            tell_error("offline", detail)
        elif what == engine.ONLINE_AGAIN:
            say("online", transport=access.transport, feeds=port.unix.feeds)

    backoff = Backoff(lambda n: n - 1, 5, 50)  # no jitter, and short, for the tests' sake
    return net_session.Session(
        access.endpoint,
        log_in,
        Plain(),
        config.keepalive_s,
        config.clean_session,
        None,
        backoff,
        tell_event,
    )


class Ticker:
    """A task that wants to run every few milliseconds, and how long it was kept from it."""

    def __init__(self):
        self.largest_gap_ms = 0
        self._task = asyncio.create_task(self._run())

    async def _run(self):
        while True:
            started_ms = ticks_ms()
            await asyncio.sleep_ms(_TICK_MS)
            gap_ms = ticks_diff(ticks_ms(), started_ms) - _TICK_MS
            self.largest_gap_ms = max(self.largest_gap_ms, gap_ms)

    def stop(self):
        self._task.cancel()
        return self.largest_gap_ms


async def the_test():
    """The next line of the test, without blocking anyone."""
    line = await asyncio.StreamReader(sys.stdin.buffer).readline()
    if not line:
        raise SystemExit(0)


async def talks(path, count, login=None):
    """Publishes `count` messages, and sends back what comes, small and large."""
    gc.collect()
    ticker = Ticker()
    session = new_session(path, login)

    async def echo(topic, payload):
        await session.publish("up/echo", payload, 1)

    session.register("down", echo)
    task = asyncio.create_task(session.run())
    await session.online()
    say("connected", largest_gap_ms=ticker.stop())
    for i in range(int(count)):
        await session.publish(b"up/count", b"%d" % i, 1, False)
    await session.flush()
    while session.engine.requests_waiting:
        await asyncio.sleep_ms(5)
    say("ready")
    await the_test()
    await session.flush()
    await session.stop()
    await task
    say("stopped", state=session.state)


async def tries(path, login=None):
    """Keeps trying until the test has seen enough."""
    try:
        session = new_session(path, login)
    except IoTHubError as e:
        tell_error("refused", e)
        return
    ticker = Ticker()
    task = asyncio.create_task(session.run())
    await the_test()
    say("gap", largest_ms=ticker.stop())
    await session.stop()
    await task


async def tries_without_psk(path):
    """What a firmware before 1.29 says."""
    load = builtins.__import__

    def load_without_psk(name, *context):
        module = load(name, *context)
        if name == "iothub.net.tls":
            module.psk_available = lambda: False  # type: ignore[attr-defined]
        return module

    builtins.__import__ = load_without_psk
    await tries(path)


async def tries_without_memory(path):
    """The heap has room, but not in one piece."""
    session = new_session(path)
    ballast = []
    try:
        while True:
            ballast.append(bytearray(8000))
    except MemoryError:
        pass
    for i in range(0, len(ballast), 2):
        ballast[i] = None
    gc.collect()
    say("fragmented", free=gc.mem_free())
    task = asyncio.create_task(session.run())
    await the_test()
    ballast.clear()
    await session.online()
    await session.stop()
    await task


async def two_at_once(first, second):
    """Two endpoints; the second handshake waits for the first."""
    sessions = [new_session(path) for path in (first, second)]
    running = asyncio.gather(*[session.run() for session in sessions])
    everything = asyncio.create_task(running)
    await the_test()
    for session in sessions:
        await session.stop()
    await everything


def blocking(path):
    """The same by the client of the REPL."""
    from iothub.net.repl import connect

    def tell_message(topic, payload):
        say("message", topic=topic, payload=payload)

    started_ms = ticks_ms()
    try:
        hub = connect(path)
    except IoTHubError as e:
        tell_error("refused", e)
        say("took", took_ms=ticks_diff(ticks_ms(), started_ms))
        return
    hub.set_callback(tell_message)
    for payload in ("22.5 °C", "x" * 16000):
        hub.publish("event", payload, qos=1)
    say("ready")
    for _ in range(2):
        hub.wait_msg()
    hub.disconnect()


def main(scenario, *arguments):
    running = globals()[scenario](*arguments)
    if running is not None:
        asyncio.run(running)


main(*_arguments)
