"""Calls from the cloud that are answered: document "RRPC 通信", PROTOCOL section 10. Pure; see
service.py. Each call has the process id that its topic ends with, and states of its own:

    RUNNING --the handler answers--> ANSWERING --it left--> DONE
    RUNNING --RRPC_AIM_MS--> LATE --the handler answers--> ANSWERING
    RUNNING, LATE, ANSWERING --RRPC_LIMIT_MS, or the handler fails--> DONE

The wire has no refusal: the cloud waits 10 s and gives up. What was not answered, or late, is
reported. What handles calls is rrpc_calls.py. It is loaded for the first, which has seconds, and
stays until there was none for RRPC_QUIET_MS: calls that come often pay nothing for it.
"""

from iothub.compat import const
from iothub.loading import for_now
from iothub.services.service import Service
from iothub.timeouts import RRPC_QUIET_MS

RUNNING = const(0)
LATE = const(1)
ANSWERING = const(2)
DONE = const(3)


class Rrpc(Service):
    """`answered` counts calls. A duplicate, by its process id, is passed over and counted."""

    answered = 0
    duplicates = 0

    def __init__(self, driver, identity):
        super().__init__(driver, identity, b"$rrpc/txd", b"$rrpc/rxd")
        self._id_at = len(self.pattern) + 1
        self.pattern += b"/+"
        self._handler = None
        self._calls = []
        self._recent = []
        self._code = None
        self._quiet_ms = 0

    def __call__(self, handler):
        """Decorator: `handler(payload)`, plain or async, is given bytes and answers bytes or str;
        None is an empty answer. Async ones run beside each other, and are cancelled at the limit
        of 10 s."""
        self._handler = handler
        return handler

    def received(self, topic, payload):
        if self._code is None:
            # Loading takes more of the stack than is left here.
            self._driver.spawn(self._take(topic, payload))
        else:
            self._quiet_ms = 0
            self._driver.keep_time()
            self._code.received(self, topic[self._id_at :], payload)

    async def _take(self, topic, payload):
        try:
            if self._code is None:
                self._code = for_now("iothub.services.rrpc_calls")
            self.received(topic, payload)
        except Exception as e:
            self._driver.report(e)

    def advance(self, elapsed_ms):
        if self._code is not None:
            self._code.advance(self, elapsed_ms)
            self._quiet_ms += elapsed_ms
            if self._quiet_ms >= RRPC_QUIET_MS and not self._calls:
                self._code = None
        return self._code is not None
