"""QoS 1 publishes of net/session.py: `publish_session.py HOST PORT WARM_UP COUNT`. Prints JSON."""

import asyncio
import json
import sys
from time import ticks_diff, ticks_us

from iothub.net.endpoint import Endpoint
from iothub.net.session import Session
from iothub.profiles import Plain

TOPIC = b"bench/up"
PAYLOAD = b"0123456789abcdef0123456789abcdef"


async def publish(session, count):
    for _ in range(count):
        await session.publish(TOPIC, PAYLOAD, 1, False)
    await session.flush()


async def main(host, port, warm_up, count):
    login = b"bench", None, None
    session = Session(Endpoint(host, int(port)), lambda: login, Plain())
    running = asyncio.create_task(session.run())
    await session.online()
    await publish(session, int(warm_up))
    started_us = ticks_us()
    await publish(session, int(count))
    took_us = ticks_diff(ticks_us(), started_us)
    await session.stop()
    await running
    print(json.dumps({"took_us": took_us}))


asyncio.run(main(*sys.argv[1:]))
