"""A client of the older service: `iotmq_program.py HOST PORT LOGIN`, where LOGIN is a JSON object
of app_id, instance_id, secret_id, secret_key and client_id. The test orders one thing a line."""

import asyncio
import json
import sys

from iothub import timeouts
from told import error_fields, say

timeouts.BACKOFF_FIRST_MS = timeouts.BACKOFF_LAST_MS = 50  # before anything reads them
timeouts.REFUSED_FIRST_MS = timeouts.REFUSED_LAST_MS = 200

from iothub.errors import IoTHubError  # noqa: E402
from iothub.mqtt import engine  # noqa: E402
from iothub.net import iotmq  # noqa: E402
from iothub.net import session as net_session  # noqa: E402


def tell_error(event, error):
    say(event, hint=getattr(error, "hint", None), **error_fields(error))


def tell_event(what, detail):
    if what == engine.ONLINE_AGAIN:
        say("online", present=detail)
    elif what == net_session.OFFLINE:
        tell_error("offline", detail)


def tell_message(topic, payload):
    say("message", topic=topic, payload=payload)


class Orders:
    """What the test may order."""

    def __init__(self, session):
        self._session = session

    async def subscribe(self, pattern, qos=1):
        await self._session.subscribe(pattern, tell_message, qos)

    async def publish(self, topic, payload, qos=1, retain=False):
        await self._session.publish(topic, payload, qos, retain=retain)


async def main(host, port, login):
    try:
        session = iotmq.session(
            host, port=int(port), clean_session=False, on_event=tell_event, **json.loads(login)
        )
    except IoTHubError as e:
        tell_error("refused", e)
        return
    task = asyncio.create_task(session.run())
    orders = Orders(session)
    lines = asyncio.StreamReader(sys.stdin.buffer)
    while True:
        line = await lines.readline()
        if not line:
            break
        order = json.loads(line)
        try:
            await getattr(orders, order.pop("do"))(**order)
            say("done")
        except IoTHubError as e:
            tell_error("refused", e)
    await session.stop()
    await task


asyncio.run(main(*sys.argv[1:]))
