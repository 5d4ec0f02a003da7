"""What a session is seldom asked for, and waits for itself. Loaded for each such wait and let go
of (iothub.loading), so these are functions of a Session and not its methods."""

import asyncio

from iothub import topics
from iothub.errors import DeadlineError, SubscribeRefused
from iothub.net.session import ONLINE
from iothub.timeouts import DELIVERY_MS


async def online(session, timeout_ms):
    """See Session."""
    await _until(session, lambda: session.state == ONLINE, timeout_ms, "not connected in time")


async def flush(session, timeout_ms):
    """See Session."""
    engine = session.engine
    await _until(
        session,
        lambda: not engine.in_flight and not len(engine.queue),
        timeout_ms,
        "not all acknowledged yet; the messages are kept",
    )


async def subscribe(session, pattern, handler, qos, takes_view):
    """See Session."""
    found = session.register(pattern, handler, qos, takes_view)
    await _until(session, lambda: found.granted is not None, DELIVERY_MS, "no SUBACK in time")
    if found.granted == 128:
        raise SubscribeRefused("refused: " + found.pattern.decode())


async def unsubscribe(session, pattern):
    """See Session."""
    engine = session.engine
    engine.unsubscribe(topics.encode(pattern))
    await _until(
        session,
        lambda: not engine.requests_waiting or session.state != ONLINE,
        DELIVERY_MS,
        "no UNSUBACK in time",
    )


async def _until(session, condition, timeout_ms, reason):
    try:
        await asyncio.wait_for_ms(_when(session, condition), timeout_ms)
    except asyncio.TimeoutError:
        raise DeadlineError(reason)


async def _when(session, condition):
    # One coroutine looks and waits: wait_for_ms() starts what it is given a round later, and
    # a change in between would go unnoticed.
    while not condition():
        await session._changed.wait()
