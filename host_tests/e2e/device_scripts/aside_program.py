"""Steps aside for another exchange and comes back: `aside_program.py HOST PORT`."""

import asyncio
import sys

from iothub.net.endpoint import Endpoint
from iothub.net.http import Client
from iothub.net.session import OFFLINE, WAITING, Session
from iothub.profiles import Plain
from told import error_fields, say


def on_event(what, detail):
    if what == OFFLINE:
        say("offline", **error_fields(detail))


async def main(host, port):
    endpoint = Endpoint(host, int(port))
    session = Session(endpoint, lambda: (b"aside", None, None), Plain(), on_event=on_event)
    session.register("down", lambda topic, payload: say("message", payload=payload.decode()))
    running = asyncio.create_task(session.run())
    for turn in range(3):
        await session.online()
        await session.publish("up", "before " + str(turn), 1)
        await session.step_aside()
        say("aside", waiting=session.state == WAITING)
        await session.publish("up", "while away " + str(turn), 1, False)
        await asyncio.sleep_ms(200)
        say("still aside", waiting=session.state == WAITING)
        session.step_back()
    await session.online()
    asking = asyncio.create_task(Client(endpoint, host, session).request("GET", "/"))
    await asyncio.sleep_ms(0)
    say("called off", away=session.is_away)
    asking.cancel()
    await session.online(5000)
    await session.flush()
    await session.publish("up", "end", 1)
    await session.stop()
    await running
    say("stopped")


asyncio.run(main(*sys.argv[1:]))
