"""What an Rrpc does with calls, from the first to a quiet while after the last: its functions."""

from iothub.compat import const
from iothub.errors import BadInput, IoTHubError
from iothub.services.rrpc import ANSWERING, DONE, LATE, RUNNING
from iothub.timeouts import RRPC_AIM_MS, RRPC_LIMIT_MS

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


def received(rrpc, process_id, payload):
    """A message of the cloud: perhaps a call."""
    recent = rrpc._recent
    if not 0 < len(process_id) <= _MAX_PROCESS_ID_BYTES:
        rrpc.malformed += 1
        return
    if process_id in recent:
        rrpc.duplicates += 1
        return
    recent.append(process_id)
    if len(recent) > _MAX_RECENT:
        recent.pop(0)
    if rrpc._handler is None:
        _report(rrpc, "no handler for a call")
    elif len(rrpc._calls) >= _MAX_CALLS:
        _report(rrpc, "%d calls run already; one more is not taken" % _MAX_CALLS)
    else:
        call = _Call(process_id)
        rrpc._calls.append(call)
        try:
            result = rrpc._handler(payload)
            if hasattr(result, "send"):  # a coroutine
                call.task = rrpc._driver.spawn(_run(rrpc, call, result))
            else:
                _answer(rrpc, call, result)
        except Exception as e:
            _end(rrpc, call, e)


async def _run(rrpc, call, coroutine):
    try:
        _answer(rrpc, call, await coroutine)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as e:
        # It was late, and this task is cancelled; or something the handler waited for was.
        if call.state == DONE and not isinstance(e, Exception):
            raise
        _end(rrpc, call, e)


def _answer(rrpc, call, answer):
    if call.state == DONE:
        return
    answer = b"" if answer is None else answer
    if not isinstance(answer, (str, bytes, bytearray, memoryview)):
        raise BadInput("answer", "must be bytes or str")
    call.task = None
    call.answer = answer
    call.state = ANSWERING
    _try_to_send(rrpc, call)


def _try_to_send(rrpc, call):
    left = rrpc._driver.send(rrpc._topic + b"/" + call.process_id, call.answer)
    if left is not False:
        rrpc.answered += bool(left)
        _end(rrpc, call)


def _end(rrpc, call, error=None):
    if call.state != DONE:
        call.state = DONE
        rrpc._calls.remove(call)
        if error is not None:
            rrpc._driver.report(error)


def advance(rrpc, elapsed_ms):
    """Time passes."""
    for call in list(rrpc._calls):
        call.age_ms += elapsed_ms
        if call.age_ms >= RRPC_LIMIT_MS:
            _end(rrpc, call)
            _report(rrpc, "a call was not answered in time")
            if call.task is not None:
                call.task.cancel()
        elif call.state == ANSWERING:
            _try_to_send(rrpc, call)
        elif call.state == RUNNING and call.age_ms >= RRPC_AIM_MS:
            call.state = LATE
            _report(rrpc, "the handler of a call is late")


def _report(rrpc, reason):
    rrpc._driver.report(IoTHubError(reason, "rrpc"))
