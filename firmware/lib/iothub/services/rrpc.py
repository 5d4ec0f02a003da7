"""Calls from the cloud that are answered: document "RRPC 通信", PROTOCOL section 10. Pure; see
service.py. Each call has the process id that its topic ends with, and states of its own:

    RUNNING --the handler answers--> ANSWERING --it left--> DONE
    RUNNING --RRPC_AIM_MS--> LATE --the handler answers--> ANSWERING
    RUNNING, LATE, ANSWERING --RRPC_LIMIT_MS, or the handler fails--> DONE

The wire has no refusal: the cloud waits 10 s and gives up. What was not answered, or late, is
reported.
"""

from iothub.compat import const
from iothub.errors import BadInput, IoTHubError
from iothub.services.service import Service
from iothub.timeouts import RRPC_AIM_MS, RRPC_LIMIT_MS

RUNNING = const(0)
LATE = const(1)
ANSWERING = const(2)
DONE = const(3)
_MAX_CALLS = const(8)  # at once
_MAX_RECENT = const(32)  # process ids remembered, so that a duplicate is not answered again
_MAX_PROCESS_ID_BYTES = const(64)  # the vendor's have 16 at most


class _Call:
    state = RUNNING
    age_ms = 0
    task = None
    answer = None

    def __init__(self, process_id):
        self.process_id = process_id


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

    def __call__(self, handler):
        """Decorator: `handler(payload)`, plain or async, is given bytes and answers bytes or str;
        None is an empty answer. Async ones run beside each other, and are cancelled at the limit
        of 10 s."""
        self._handler = handler
        return handler

    def received(self, topic, payload):
        process_id = topic[self._id_at :]
        if not 0 < len(process_id) <= _MAX_PROCESS_ID_BYTES:
            self.malformed += 1
            return
        if process_id in self._recent:
            self.duplicates += 1
            return
        self._recent.append(process_id)
        if len(self._recent) > _MAX_RECENT:
            self._recent.pop(0)
        if self._handler is None:
            self._report("no handler for a call")
        elif len(self._calls) >= _MAX_CALLS:
            self._report("%d calls run already; one more is not taken" % _MAX_CALLS)
        else:
            call = _Call(process_id)
            self._calls.append(call)
            try:
                result = self._handler(payload)
                if hasattr(result, "send"):  # a coroutine
                    self._driver.keep_time()
                    call.task = self._driver.spawn(self._run(call, result))
                else:
                    self._answer(call, result)
            except Exception as e:
                self._end(call, e)

    async def _run(self, call, coroutine):
        try:
            self._answer(call, await coroutine)
        except Exception as e:
            self._end(call, e)

    def _answer(self, call, answer):
        if call.state == DONE:
            return
        answer = b"" if answer is None else answer
        if not isinstance(answer, (str, bytes, bytearray, memoryview)):
            raise BadInput("answer", "must be bytes or str")
        call.task = None
        call.answer = answer
        call.state = ANSWERING
        self._try_to_send(call)

    def _try_to_send(self, call):
        if self._driver.send(self._topic + b"/" + call.process_id, call.answer):
            self.answered += 1
            self._end(call)
        else:
            self._driver.keep_time()

    def _end(self, call, error=None):
        if call.state != DONE:
            call.state = DONE
            self._calls.remove(call)
            if error is not None:
                self._driver.report(error)

    def advance(self, elapsed_ms):
        for call in list(self._calls):
            call.age_ms += elapsed_ms
            if call.age_ms >= RRPC_LIMIT_MS:
                self._end(call)
                self._report("a call was not answered in time")
                if call.task is not None:
                    call.task.cancel()
            elif call.state == ANSWERING:
                self._try_to_send(call)
            elif call.state == RUNNING and call.age_ms >= RRPC_AIM_MS:
                call.state = LATE
                self._report("the handler of a call is late")
        return bool(self._calls)

    def _report(self, reason):
        self._driver.report(IoTHubError(reason, "rrpc"))
