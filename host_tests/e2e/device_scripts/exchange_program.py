"""One session after the other, as the test orders them, a JSON object a line on standard input:
connect with a kept session, subscribe, five QoS 1 messages each way, goodbye.

The cloud answers each message; whatever happens to the link, all five answers must come. An order
may name layers above TCP: "path" for WebSocket, "anchors" (a folder) for TLS with certificates,
"certificate" and "private_key" besides for mutual TLS, "psk" (hex) for a pre-shared key.
"""

import asyncio
import json
import sys
from binascii import unhexlify
from time import ticks_diff, ticks_ms

from iothub import timeouts
from told import error_fields, say, wait_for_test

for argument in sys.argv[1:]:  # "ACKNOWLEDGE_MS=300": before anything reads the table
    name, _, value = argument.partition("=")
    setattr(timeouts, name, int(value))

from iothub.mqtt import engine  # noqa: E402
from iothub.mqtt.backoff import Backoff  # noqa: E402
from iothub.mqtt.packet import DUP  # noqa: E402
from iothub.net import session as net_session  # noqa: E402
from iothub.net import tls  # noqa: E402
from iothub.net.endpoint import Endpoint  # noqa: E402
from iothub.profiles import Plain  # noqa: E402

MESSAGES = 5
_OWN = ("certificate", "private_key")


def _security(order):
    """What the endpoint wraps TCP in, if anything."""
    if "psk" in order:
        return tls.by_pre_shared_key(order["client_id"].encode(), unhexlify(order["psk"]))
    if "anchors" in order:
        return tls.by_certificates(order["anchors"], *[order[n] for n in _OWN if n in order])
    return None


class Exchange:
    def __init__(self, order):
        self._order = order
        self._answers = []
        self._packets = []  # of the answers: payload, packet id, whether with DUP
        self._all_here = asyncio.Event()
        self._losses = []
        self._logins = 0
        self._surprises = 0

    async def run(self):
        order = self._order
        login = [
            order[name] and order[name].encode() for name in ("client_id", "user", "password")
        ]
        session = self._session = net_session.Session(
            Endpoint("127.0.0.1", order["port"], None, _security(order), order.get("path")),
            lambda: login,
            Plain(),
            order["keepalive_s"],
            clean_session=False,
            backoff=Backoff(lambda n: n - 1, 1, 8),
            on_event=self._on_event,
        )
        started_ms = ticks_ms()
        task = asyncio.create_task(session.run())
        try:
            await asyncio.wait_for_ms(self._talk(session), order["deadline_ms"])
            failure = None
        except Exception as e:
            failure = error_fields(e)
        await session.stop()
        await task
        say(
            "exchanged",
            failure=failure,
            answers=self._answers,
            packets=self._packets,
            losses=self._losses,
            logins=self._logins,
            surprises=self._surprises,
            handler_errors=session.handler_errors,
            took_ms=ticks_diff(ticks_ms(), started_ms),
        )

    async def _talk(self, session):
        await session.subscribe(self._order["down"], self._on_answer)
        for i in range(MESSAGES):
            await session.publish(self._order["up"], self._order["run"] + "-" + str(i), 1, False)
        await session.flush()
        await self._all_here.wait()

    def _on_answer(self, topic, payload):
        engine = self._session.engine
        self._answers.append(payload)
        self._packets.append((payload, engine.received_id, bool(engine.last_header & DUP)))
        if len(set(self._answers)) == MESSAGES:
            self._all_here.set()

    def _on_event(self, what, detail):
        if what == net_session.OFFLINE:
            self._losses.append(error_fields(detail))
        elif what == engine.ONLINE_AGAIN:
            self._logins += 1
        elif what not in (engine.FILTER_GRANTED, engine.SESSION_LOST):
            self._surprises += 1


while True:
    asyncio.new_event_loop()
    asyncio.run(Exchange(json.loads(wait_for_test())).run())
