from iothub.errors import BadInput, IoTHubError
from iothub.services.rrpc import ANSWERING, DONE, LATE, Rrpc
from iothub.timeouts import RRPC_AIM_MS, RRPC_LIMIT_MS, RRPC_QUIET_MS

from host_tests.unit.iothub.no_code import ERRORS, NoCode
from host_tests.unit.iothub.service_driver import IDENTITY, Cancelled, Driver, pause
from host_tests.unit.iothub.state_table import steps

# For each state of a call those that may follow.
NEXT_STATES = (
    (LATE, ANSWERING, DONE),
    (ANSWERING, DONE),
    (DONE,),
    (),
)
CODE = "iothub.services.rrpc_calls"
REQUESTS = b"$rrpc/rxd/PRODUCTID1/dev01/"
ANSWERS = b"$rrpc/txd/PRODUCTID1/dev01/"
# what a handler returns, and what is sent
RESULTS: tuple = (
    (b"ok", b"ok"),
    ("温度", "温度".encode()),
    (b"", b""),
    ("", b""),
    (None, b""),
    (bytearray(b"ok"), b"ok"),
    (memoryview(b"ok"), b"ok"),
)
WRONG_RESULTS: tuple = (5, True, {"a": 1}, [b"ok"], 1.5)


def _rrpc(handler=None):
    driver = Driver()
    rrpc = Rrpc(driver, IDENTITY)
    rrpc.connected()
    if handler is not None:
        assert rrpc(handler) is handler
    return rrpc, driver


def _taking_time(rounds):
    async def handler(payload):
        for _ in range(rounds):
            await pause()
        return payload

    return handler


def _waits(rrpc):
    """Lets a moment pass, and says whether a call is left."""
    assert rrpc.advance(250), "the code stays a while"
    return bool(rrpc._calls)


def _reasons(driver):
    return [e.reason for e in driver.reports]


def test_a_call_is_answered_under_its_process_id():
    rrpc, driver = _rrpc(lambda payload: b"re: " + payload)
    assert rrpc.pattern == REQUESTS + b"+" and rrpc.qos == 0
    rrpc.received(REQUESTS + b"123", b"hello")
    assert driver.sent == [(ANSWERS + b"123", b"re: hello")]
    assert rrpc.answered == 1 and not _waits(rrpc)


def test_what_a_handler_may_return():
    for result, expected in RESULTS:
        for is_async in (False, True):

            async def later(payload, result=result):
                return result

            rrpc, driver = _rrpc(later if is_async else lambda payload, result=result: result)
            rrpc.received(REQUESTS + b"1", b"")
            assert [bytes(payload) for _, payload in driver.sent] == [expected], result
    for result in WRONG_RESULTS:
        rrpc, driver = _rrpc(lambda payload, result=result: result)
        rrpc.received(REQUESTS + b"1", b"")
        assert not driver.sent and isinstance(driver.reports[0], BadInput), result
        assert not _waits(rrpc)


def test_concurrent_calls_keep_their_process_ids():
    rrpc, driver = _rrpc()

    @rrpc
    async def handler(payload):
        for _ in range(int(payload)):
            await pause()
        return payload

    for process_id, rounds in ((b"a", b"4"), (b"b", b"2"), (b"c", b"3"), (b"d", b"1")):
        rrpc.received(REQUESTS + process_id, rounds)
    assert not driver.sent
    driver.run(5)
    assert driver.sent == [
        (ANSWERS + b"d", b"1"),
        (ANSWERS + b"b", b"2"),
        (ANSWERS + b"c", b"3"),
        (ANSWERS + b"a", b"4"),
    ]


def test_a_duplicate_is_answered_once():
    rrpc, driver = _rrpc(_taking_time(2))
    rrpc.received(REQUESTS + b"1", b"x")
    rrpc.received(REQUESTS + b"1", b"x")
    driver.run()
    rrpc.received(REQUESTS + b"1", b"x")
    driver.run()
    assert len(driver.sent) == 1 and rrpc.duplicates == 2


def test_the_memory_of_process_ids_is_bounded():
    rrpc, driver = _rrpc(lambda payload: b"")
    for i in range(1000):
        rrpc.received(REQUESTS + b"%d" % i, b"")
    assert len(rrpc._recent) == 32 and rrpc.answered == 1000
    rrpc.received(REQUESTS + b"999", b"")
    rrpc.received(REQUESTS + b"968", b"")
    assert rrpc.duplicates == 2 and len(driver.sent) == 1000


def test_process_ids_that_are_none_are_passed_over():
    rrpc, driver = _rrpc(lambda payload: b"")
    for process_id in (b"", b"x" * 65):
        rrpc.received(REQUESTS + process_id, b"")
    assert rrpc.malformed == 2 and not driver.sent
    rrpc.received(REQUESTS + b"x" * 64, b"")
    assert len(driver.sent) == 1


def test_a_missing_handler_is_reported():
    rrpc, driver = _rrpc()
    rrpc.received(REQUESTS + b"1", b"")
    (error,) = driver.reports
    assert (
        isinstance(error, IoTHubError) and error.phase == "rrpc" and "no handler" in error.reason
    )


def test_a_handler_that_fails_is_reported_and_others_go_on():
    rrpc, driver = _rrpc()

    @rrpc
    async def handler(payload):
        await pause()
        if payload == b"bad":
            raise ValueError(payload)
        return payload

    for i, payload in enumerate((b"bad", b"good")):
        rrpc.received(REQUESTS + b"%d" % i, payload)
    driver.run()
    assert driver.sent == [(ANSWERS + b"1", b"good")]
    assert isinstance(driver.reports[0], ValueError) and not _waits(rrpc)

    @rrpc
    def plain(payload):
        raise ValueError("at once")

    rrpc.received(REQUESTS + b"2", b"")
    assert len(driver.reports) == 2 and not _waits(rrpc)


def test_a_handler_whose_own_task_was_cancelled_is_reported_at_once():
    rrpc, driver = _rrpc()

    @rrpc
    async def handler(payload):
        await pause()
        raise Cancelled

    rrpc.received(REQUESTS + b"1", b"")
    driver.run()
    assert isinstance(driver.reports[0], Cancelled) and not _waits(rrpc)


def test_calls_at_once_are_bounded():
    rrpc, driver = _rrpc(_taking_time(3))
    for i in range(10):
        rrpc.received(REQUESTS + b"%d" % i, b"")
    assert len(driver.tasks) == 8 and len(driver.reports) == 2
    assert "8 calls" in driver.reports[0].reason
    driver.run()
    assert len(driver.sent) == 8
    rrpc.received(REQUESTS + b"next", b"")
    assert len(driver.reports) == 2


def test_a_late_handler_is_reported_and_its_answer_still_sent():
    rrpc, driver = _rrpc(_taking_time(1))
    rrpc.received(REQUESTS + b"1", b"x")
    assert driver.ticking
    for _ in range(RRPC_AIM_MS // 250 - 1):
        assert rrpc.advance(250)
    assert not driver.reports
    for _ in range(4):
        assert rrpc.advance(250)
    assert len(driver.reports) == 1 and "late" in driver.reports[0].reason
    driver.run()
    assert driver.sent == [(ANSWERS + b"1", b"x")] and not _waits(rrpc)


def test_after_10_s_a_handler_is_cancelled_and_its_answer_worth_nothing():
    rrpc, driver = _rrpc(_taking_time(99))
    rrpc.received(REQUESTS + b"1", b"x")
    for _ in range(RRPC_LIMIT_MS // 250 - 1):
        assert rrpc.advance(250)
    assert not driver.tasks[0].cancelled
    assert not _waits(rrpc)
    assert driver.tasks[0].cancelled and not driver.sent
    assert len(driver.reports) == 2 and "not answered" in driver.reports[1].reason
    # A duplicate of it is not begun again.
    rrpc.received(REQUESTS + b"1", b"x")
    assert len(driver.tasks) == 1


def test_an_answer_waits_for_the_link_up_to_the_limit():
    rrpc, driver = _rrpc(lambda payload: b"ok")
    driver.is_up = False
    rrpc.received(REQUESTS + b"1", b"")
    rrpc.received(REQUESTS + b"2", b"")
    rrpc.closed()
    assert rrpc.advance(250)
    driver.is_up = True
    rrpc.connected()
    assert not _waits(rrpc)
    assert driver.sent == [(ANSWERS + b"1", b"ok"), (ANSWERS + b"2", b"ok")]
    driver.is_up = False
    rrpc.received(REQUESTS + b"3", b"")
    for _ in range(RRPC_LIMIT_MS // 250):
        goes_on = _waits(rrpc)
    assert not goes_on and _reasons(driver) == ["a call was not answered in time"]
    driver.is_up = True
    assert not _waits(rrpc) and len(driver.sent) == 2


def test_an_answer_that_cannot_be_sent_is_reported():
    rrpc, driver = _rrpc(lambda payload: b"x" * 20000)
    rrpc.received(REQUESTS + b"1", b"")
    assert isinstance(driver.reports[0], BadInput) and not _waits(rrpc)
    assert rrpc.answered == 0


def test_the_code_stays_until_calls_no_longer_come():
    rrpc, driver = _rrpc(lambda payload: payload)
    assert rrpc._code is None
    rrpc.received(REQUESTS + b"1", b"x")
    held = rrpc._code
    assert held is not None and driver.ticking
    assert rrpc.advance(RRPC_QUIET_MS - 1)
    rrpc.received(REQUESTS + b"2", b"x")
    assert rrpc.advance(RRPC_QUIET_MS - 1) and rrpc._code is held
    assert not rrpc.advance(1) and rrpc._code is None
    rrpc.received(REQUESTS + b"2", b"x")
    rrpc.received(REQUESTS + b"3", b"x")
    assert rrpc.duplicates == 1 and rrpc.answered == 3


def test_a_call_without_the_code_may_come_again():
    for error in ERRORS:
        rrpc, driver = _rrpc(lambda payload: payload)
        with NoCode(CODE, error):
            rrpc.received(REQUESTS + b"1", b"x")
        assert driver.reports == [error]
        assert not rrpc.advance(250)
        rrpc.received(REQUESTS + b"1", b"x")
        assert driver.sent == [(ANSWERS + b"1", b"x")] and not rrpc.duplicates


def _call_in(state):
    """(rrpc, driver, call) with a call in that state."""
    rrpc, driver = _rrpc(_taking_time(1))
    driver.is_up = state != ANSWERING
    rrpc.received(REQUESTS + b"1", b"x")
    call = rrpc._calls[0]
    if state == LATE:
        rrpc.advance(RRPC_AIM_MS)
    elif state == ANSWERING or state == DONE:
        driver.run()
    assert call.state == state
    return rrpc, driver, call


def _happens(event, rrpc, driver):
    if event == "late":
        rrpc.advance(RRPC_AIM_MS)
    elif event == "too late":
        rrpc.advance(RRPC_LIMIT_MS)
    elif event == "answer that cannot leave":
        driver.is_up = False
        driver.run()
    elif event == "failure":
        for task in driver.tasks:
            if not task.done:
                task.fail(ValueError("it fails"))
    elif event == "duplicate":
        rrpc.received(REQUESTS + b"1", b"x")


def test_every_step_of_the_table_is_taken_and_no_other():
    met = set()
    for state in range(len(NEXT_STATES)):
        for event in ("late", "too late", "answer that cannot leave", "failure", "duplicate"):
            rrpc, driver, call = _call_in(state)
            _happens(event, rrpc, driver)
            if call.state != state:
                met.add((state, call.state))
    assert met == steps(NEXT_STATES)
