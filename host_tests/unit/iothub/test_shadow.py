import json

from iothub.errors import (
    BadInput,
    DeadlineError,
    IoTHubError,
    QueueFull,
    ServiceRefused,
)
from iothub.services import shadow as service
from iothub.services.codes import (
    SHADOW_BAD_PARAMETER,
    SHADOW_DATABASE,
    SHADOW_INCOMPLETE,
    SHADOW_INTERNAL,
    SHADOW_MISSING,
    SHADOW_TOO_LARGE,
    SHADOW_UPDATE_FAILED,
    SHADOW_VERSION_CONFLICT,
    SHADOW_VERSION_MISMATCH,
)
from iothub.services.shadow import GETTING, IDLE, OFFLINE, PAUSED, UPDATING
from iothub.timeouts import SHADOW_ANSWER_MS, SHADOW_HANDLER_MS, SHADOW_PAUSE_MS

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.no_code import ERRORS, MISSING, NoCode
from host_tests.unit.iothub.service_driver import IDENTITY, Cancelled, Driver, pause
from host_tests.unit.iothub.state_table import steps, watched

# For each state those that may follow.
NEXT_STATES = (
    (GETTING, PAUSED),
    (IDLE, UPDATING, PAUSED, OFFLINE),
    (GETTING, UPDATING, PAUSED, OFFLINE),
    (GETTING, IDLE, PAUSED, OFFLINE),
    (GETTING, OFFLINE),
)
met: set = set()
Shadow = watched(service.Shadow, NEXT_STATES, met)

CODE = "iothub.services.shadow_exchange"
TOPIC = b"$shadow/operation/PRODUCTID1/dev01"
ANSWERS = b"$shadow/operation/result/PRODUCTID1/dev01"
# Messages that are none, or say nothing; whatever was asked.
NONSENSE = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"5",
    b"{}",
    b'{"type":5}',
    b'{"type":null,"payload":{}}',
    b"\xff\xfe",
    b"[" * 16000,
    b'{"type":"delta"}',
    b'{"type":"delta","payload":null}',
    b'{"type":"delta","payload":[]}',
    b'{"type":"delta","payload":{"state":{"a":1}}}',
    b'{"type":"delta","payload":{"state":{"a":1},"version":"8"}}',
    b'{"type":"delta","payload":{"state":{"a":1},"version":8.5}}',
    b'{"type":"delta","payload":{"state":{"a":1},"version":-8}}',
    b'{"type":"delta","payload":{"state":{"a":1},"version":true}}',
    b'{"type":"delta","payload":{"state":[1],"version":8}}',
    b'{"type":"delta","payload":{"state":"a","version":8}}',
    b'{"type":"delta","payload":{"state":{"a":'
    + b'{"a":' * 9
    + b"1"
    + b"}" * 9
    + b'},"version":8}}',
)
# Of a get whose token is filled in.
ABSURD_ANSWERS = (
    b'{"type":"get","clientToken":"%s"}',
    b'{"type":"get","clientToken":"%s","result":"0","payload":{"state":{},"version":1}}',
    b'{"type":"get","clientToken":"%s","result":null,"payload":{"state":{},"version":1}}',
    b'{"type":"get","clientToken":"%s","result":0}',
    b'{"type":"get","clientToken":"%s","result":0,"payload":{}}',
    b'{"type":"get","clientToken":"%s","result":0,"payload":{"state":{},"version":"1"}}',
    b'{"type":"get","clientToken":"%s","result":0,"payload":{"state":5,"version":1}}',
    b'{"type":"get","clientToken":"%s","result":0,"payload":{"state":{"reported":5},"version":1}}',
    b'{"type":"get","clientToken":"%s","result":0,"payload":{"state":{"desired":[]},"version":1}}',
    b'{"type":"get","clientToken":"%s","result":0,"payload":{"state":{},"metadata":1,"version":1}}',
)
# Answers to tokens nobody has.
UNMATCHED = (
    b'{"type":"get","result":0,"payload":{"state":{},"version":1}}',
    b'{"type":"get","clientToken":null,"result":0,"payload":{"state":{},"version":1}}',
    b'{"type":"get","clientToken":["1"],"result":0,"payload":{"state":{},"version":1}}',
    b'{"type":"get","clientToken":"other-1","result":0,"payload":{"state":{},"version":1}}',
    b'{"type":"get","clientToken":1,"result":0,"payload":{"state":{},"version":1}}',
)


def _say(shadow, **message):
    shadow.received(ANSWERS, json.dumps(message).encode())


def _document(reported, version, desired=None):
    state = {"reported": reported}
    if desired is not None:
        state["desired"] = desired
        state["delta"] = desired
    return {"state": state, "timestamp": 1678783950012, "version": version}


def _answer(shadow, request, payload, result=0):
    _say(
        shadow,
        type=request["type"],
        result=result,
        clientToken=request["clientToken"],
        timestamp=1678783991,
        payload=payload,
    )


def _accept(shadow, request, version):
    _answer(shadow, request, {"state": request["state"], "timestamp": 1, "version": version})


def _online(reported=None, version=7, desired=None):
    """(shadow, driver): in step with a server that has this document."""
    driver = Driver()
    shadow = Shadow(driver, IDENTITY)
    shadow.connected()
    (get,) = driver.take()
    _answer(shadow, get, _document({} if reported is None else reported, version, desired))
    return shadow, driver


def _delta(shadow, state, version):
    payload = {"state": state, "timestamp": 1678786529510, "version": version}
    _say(shadow, type="delta", payload=payload, timestamp=1678786529510)


def _pass_ms(shadow, driver, total_ms, tick_ms=250):
    """Lets time pass, and says whether the shadow still wants it to."""
    goes_on = True
    for _ in range(0, total_ms, tick_ms):
        goes_on = shadow.advance(tick_ms)
        driver.run(1)
    return goes_on


# Getting


def test_the_document_is_fetched_on_connect():
    driver = Driver()
    shadow = Shadow(driver, IDENTITY)
    assert shadow.pattern == ANSWERS and shadow.qos == 0
    assert shadow.state == OFFLINE and not driver.sent
    shadow.connected()
    assert shadow.state == GETTING and driver.ticking
    ((topic, _),) = driver.sent
    (get,) = driver.take()
    assert topic == TOPIC
    assert sorted(get) == ["clientToken", "type"] and get["type"] == "get"
    assert isinstance(get["clientToken"], str)
    document = _document({"temperature": 32}, 14, {"alarmvalue": "50"})
    document["metadata"] = {"reported": {"temperature": {"timestamp": 1678783950012}}}
    _answer(shadow, get, document)
    assert shadow.state == IDLE
    assert shadow.reported == {"temperature": 32} and shadow.desired == {"alarmvalue": "50"}
    assert shadow.version == 14 and shadow.metadata == document["metadata"]
    assert not shadow.advance(250), "nothing waits any more"


def test_a_get_returns_what_the_server_answers():
    shadow, driver = _online({"a": 1})
    task = driver.spawn(shadow.get())
    (get,) = driver.take()
    _answer(shadow, get, _document({"a": 2}, 8))
    driver.run()
    assert task.result["state"] == {"reported": {"a": 2}} and task.result["version"] == 8
    assert shadow.reported == {"a": 2} and shadow.version == 8


def test_tokens_are_texts_compared_as_texts_and_never_used_twice():
    shadow, driver = _online()
    tokens = []
    for _ in range(20):
        task = driver.spawn(shadow.get())
        (get,) = driver.take()
        tokens.append(get["clientToken"])
        # A server may answer with a number what looks like one.
        _answer(shadow, get, _document({}, 7))
        driver.run()
        assert task.done and task.error is None
    assert len(set(tokens)) == 20
    driver.next_random = 5
    other = Shadow(driver, IDENTITY)
    other.connected()
    assert driver.take()[0]["clientToken"] not in tokens
    # A token that is a number text, answered as a number.
    shadow._token = ""
    task = driver.spawn(shadow.get())
    (get,) = driver.take()
    get["clientToken"] = int(get["clientToken"])
    _answer(shadow, get, _document({}, 7))
    driver.run()
    assert task.done and task.error is None


def test_answers_are_matched_out_of_order():
    shadow, driver = _online({"a": 0})
    tasks = [driver.spawn(shadow.get()) for _ in range(3)]
    tasks.append(driver.spawn(shadow.report({"a": 1})))
    requests = driver.take()
    assert [r["type"] for r in requests] == ["get", "get", "get", "update"]
    _accept(shadow, requests[3], 8)
    driver.run()
    assert [t.done for t in tasks] == [False, False, False, True]
    for i in (2, 0, 1):
        # Each was answered before the update, and comes after it: nothing new.
        _answer(shadow, requests[i], _document({"a": 0}, 7))
        driver.run()
        assert tasks[i].done and tasks[i].result["version"] == 7
    assert shadow.reported == {"a": 1} and shadow.version == 8
    assert all([t.error is None for t in tasks])


def test_a_get_waits_for_the_connection():
    driver = Driver()
    shadow = Shadow(driver, IDENTITY)
    task = driver.spawn(shadow.get())
    assert not driver.sent and not task.done
    shadow.connected()
    for get in driver.take():
        _answer(shadow, get, _document({"a": 1}, 3))
    driver.run()
    assert task.result["version"] == 3


def test_a_get_outlives_a_reconnect():
    shadow, driver = _online()
    task = driver.spawn(shadow.get())
    driver.take()
    shadow.closed()
    assert shadow.state == OFFLINE and not task.done
    shadow.connected()
    gets = driver.take()
    assert len(gets) == 2
    for get in gets:
        _answer(shadow, get, _document({}, 7))
    driver.run()
    assert task.done and task.error is None and shadow.state == IDLE


def test_gets_are_bounded():
    shadow, driver = _online()
    tasks = [driver.spawn(shadow.get()) for _ in range(11)]
    assert len(driver.take()) == 10
    assert isinstance(tasks[10].error, QueueFull) and tasks[10].error.phase == "shadow"
    tasks[0].cancel()
    assert not driver.spawn(shadow.get()).done, "who no longer waits makes room"


def test_a_get_that_is_refused_says_so():
    shadow, driver = _online()
    for code in (SHADOW_DATABASE, SHADOW_INTERNAL, SHADOW_INCOMPLETE, 4711):
        task = driver.spawn(shadow.get())
        (get,) = driver.take()
        _answer(shadow, get, None, code)
        driver.run()
        assert isinstance(task.error, ServiceRefused)
        assert (task.error.code, task.error.phase) == (code, "shadow")
        assert str(code) in task.error.reason and task.error.hint
    assert shadow.state == IDLE


def test_a_shadow_that_does_not_exist_is_empty():
    driver = Driver()
    shadow = Shadow(driver, IDENTITY)
    shadow.report_nowait({"a": 1})
    shadow.connected()
    (get,) = driver.take()
    _answer(shadow, get, None, SHADOW_MISSING)
    (update,) = driver.take()
    assert shadow.state == UPDATING and update["version"] == 0
    _accept(shadow, update, 1)
    assert shadow.state == IDLE and shadow.reported == {"a": 1} and shadow.version == 1


# Reporting


def test_a_report_names_the_version_it_is_based_on():
    shadow, driver = _online({"old": 1}, 14)
    task = driver.spawn(shadow.report({"temperature": 35, "old": None}))
    (update,) = driver.take()
    token = update.pop("clientToken")
    assert isinstance(token, str)
    assert update == {
        "type": "update",
        "state": {"reported": {"temperature": 35, "old": None}},
        "version": 14,
    }
    assert shadow.state == UPDATING and shadow.reported == {"old": 1} and not task.done
    update["clientToken"] = token
    _accept(shadow, update, 15)
    driver.run()
    assert task.done and task.error is None
    assert shadow.reported == {"temperature": 35} and shadow.version == 15
    assert shadow.state == IDLE and not shadow.advance(250)


def test_what_is_reported_offline_is_gathered():
    driver = Driver()
    shadow = Shadow(driver, IDENTITY)
    tasks = []
    for i in range(50):
        tasks.append(driver.spawn(shadow.report({"n": i, "k%d" % (i % 3): i, "deep": {"x": i}})))
    shadow.report_nowait({"k0": None, "deep": {"y": 1}})
    assert not driver.sent
    shadow.connected()
    (get,) = driver.take()
    _answer(shadow, get, _document({"deep": {"z": 1}}, 3))
    (update,) = driver.take()
    expected = {"n": 49, "k0": None, "k1": 49, "k2": 47, "deep": {"x": 49, "y": 1}}
    assert update["state"] == {"reported": expected}
    _accept(shadow, update, 4)
    driver.run()
    assert all([t.done and t.error is None for t in tasks])
    assert shadow.reported == {"n": 49, "k1": 49, "k2": 47, "deep": {"x": 49, "y": 1, "z": 1}}


def test_what_is_reported_while_an_update_is_on_its_way_is_the_next():
    shadow, driver = _online()
    first = driver.spawn(shadow.report({"a": 1}))
    (update,) = driver.take()
    second = driver.spawn(shadow.report({"a": 2}))
    third = driver.spawn(shadow.report({"b": 3}))
    assert not driver.sent
    _accept(shadow, update, 8)
    driver.run()
    assert first.done and not second.done
    (update,) = driver.take()
    assert update["state"] == {"reported": {"a": 2, "b": 3}} and update["version"] == 8
    _accept(shadow, update, 9)
    driver.run()
    assert second.done and third.done and shadow.reported == {"a": 2, "b": 3}


def test_changes_that_cannot_be_one_message_are_two():
    shadow, driver = _online({"a": {"y": 2}})
    driver.is_up = False
    shadow.closed()
    shadow.report_nowait({"a": 1})
    shadow.report_nowait({"a": {"x": 1}})
    driver.is_up = True
    shadow.connected()
    (get,) = driver.take()
    _answer(shadow, get, _document({"a": {"y": 2}}, 7))
    (update,) = driver.take()
    assert update["state"]["reported"] == {"a": 1}
    _accept(shadow, update, 8)
    (update,) = driver.take()
    assert update["state"]["reported"] == {"a": {"x": 1}}
    _accept(shadow, update, 9)
    assert shadow.reported == {"a": {"x": 1}}


def test_what_waits_to_be_reported_is_bounded():
    shadow = Shadow(Driver(), IDENTITY)
    for _ in range(4):
        shadow.report_nowait({"a": "x" * 8000})
        assert len(shadow._updates) == 1, "the same again replaces"
    for i in range(3):
        shadow.report_nowait({"k%d" % i: "x" * 8000})
    error = raises(QueueFull, shadow.report_nowait, {"k": "x" * 8000})
    assert error.phase == "shadow" and len(shadow._updates) == 4
    raises(BadInput, shadow.report_nowait, {"k": "x" * 9000})
    raises(BadInput, shadow.report_nowait, {"k": [None]})


def test_a_report_of_nothing_is_no_message():
    shadow, driver = _online()
    task = driver.spawn(shadow.report({}))
    driver.run()
    assert task.done and task.error is None and not driver.sent and shadow.state == IDLE


# Versions and conflicts


def test_a_conflict_is_rebased_on_the_servers_document():
    shadow, driver = _online({"a": 0}, 7)
    task = driver.spawn(shadow.report({"a": 1}))
    (update,) = driver.take()
    _answer(shadow, update, _document({"a": 0, "b": 9}, 12, {"c": 5}), SHADOW_VERSION_MISMATCH)
    assert shadow.version == 12 and shadow.reported == {"a": 0, "b": 9}
    assert shadow.desired == {"c": 5} and shadow.state == UPDATING
    (again,) = driver.take()
    assert again["version"] == 12 and again["state"] == update["state"]
    assert again["clientToken"] != update["clientToken"]
    # The first answer once more: nobody waits for it.
    _answer(shadow, update, _document({}, 12), SHADOW_VERSION_MISMATCH)
    assert shadow.unmatched == 1 and not driver.sent
    _accept(shadow, again, 13)
    driver.run()
    assert task.error is None and shadow.reported == {"a": 1, "b": 9}


def test_a_conflict_without_a_document_brings_a_get():
    for code in (SHADOW_VERSION_MISMATCH, SHADOW_VERSION_CONFLICT):
        shadow, driver = _online()
        shadow.report_nowait({"a": 1})
        (update,) = driver.take()
        _answer(shadow, update, None, code)
        (get,) = driver.take()
        assert get["type"] == "get" and shadow.state == GETTING
        _answer(shadow, get, _document({}, 9))
        (update,) = driver.take()
        assert update["version"] == 9
        _accept(shadow, update, 10)
        assert shadow.reported == {"a": 1} and shadow.state == IDLE


def test_conflicts_are_bounded_and_the_report_is_kept():
    shadow, driver = _online()
    task = driver.spawn(shadow.report({"a": 1}))
    version = 7
    for _ in range(6):  # the first, and five more
        (update,) = driver.take()
        version += 2
        _answer(shadow, update, _document({}, version), SHADOW_VERSION_MISMATCH)
    driver.run()
    assert not driver.sent and shadow.state == PAUSED
    assert task.error.code == SHADOW_VERSION_MISMATCH and driver.reports == [task.error]
    _pass_ms(shadow, driver, SHADOW_PAUSE_MS)
    (get,) = driver.take()
    _answer(shadow, get, _document({}, 90))
    (update,) = driver.take()
    _accept(shadow, update, 91)
    assert shadow.reported == {"a": 1}


def test_a_shadow_made_anew_by_the_server_is_believed():
    shadow, driver = _online({"a": 1}, 700)
    _delta(shadow, {"x": 1}, 2)
    (get,) = driver.take()
    _answer(shadow, get, _document({}, 2, {"x": 1}))
    assert shadow.version == 2 and shadow.reported == {}
    shadow, driver = _online({"a": 1}, 700)
    shadow.report_nowait({"b": 1})
    (update,) = driver.take()
    _answer(shadow, update, _document({}, 1), SHADOW_VERSION_MISMATCH)
    (update,) = driver.take()
    assert update["version"] == 1


def test_a_version_that_was_missed_brings_a_get():
    shadow, driver = _online()
    shadow.report_nowait({"a": 1})
    (update,) = driver.take()
    _accept(shadow, update, 10)  # 8 was expected
    (get,) = driver.take()
    assert shadow.state == GETTING and get["type"] == "get"
    _answer(shadow, get, _document({"a": 1, "b": 2}, 10))
    assert shadow.reported == {"a": 1, "b": 2} and shadow.state == IDLE


# Refusals


def test_transient_refusals_pause_and_permanent_ones_drop():
    for code, is_kept in (
        (SHADOW_DATABASE, True),
        (SHADOW_UPDATE_FAILED, True),
        (SHADOW_INTERNAL, True),
        (SHADOW_INCOMPLETE, False),
        (SHADOW_MISSING, False),
        (SHADOW_BAD_PARAMETER, False),
        (SHADOW_TOO_LARGE, False),
        (4711, False),
    ):
        shadow, driver = _online()
        task = driver.spawn(shadow.report({"a": 1}))
        (update,) = driver.take()
        _answer(shadow, update, None, code)
        driver.run()
        assert task.error.code == code and driver.reports == [task.error]
        assert shadow.state == (PAUSED if is_kept else IDLE), code
        assert len(shadow._updates) == is_kept
        assert shadow.reported == {}


# Silence


def test_a_request_without_answer_is_sent_again_with_its_token():
    shadow, driver = _online()
    task = driver.spawn(shadow.report({"a": 1}))
    requests = driver.take()
    _pass_ms(shadow, driver, SHADOW_ANSWER_MS - 250)
    assert not driver.sent
    _pass_ms(shadow, driver, 250)
    requests += driver.take()
    assert len(requests) == 2 and requests[0] == requests[1]
    _accept(shadow, requests[0], 8)
    driver.run()
    assert task.done and task.error is None and shadow.reported == {"a": 1}


def test_a_silent_shadow_pauses_and_is_tried_again():
    shadow, driver = _online()
    task = driver.spawn(shadow.report({"a": 1}))
    _pass_ms(shadow, driver, 3 * SHADOW_ANSWER_MS)
    driver.run()
    assert shadow.state == PAUSED and len(driver.take()) == 3
    assert isinstance(task.error, DeadlineError) and driver.reports == [task.error]
    late = driver.spawn(shadow.report({"b": 2}))
    assert not driver.sent
    assert _pass_ms(shadow, driver, SHADOW_PAUSE_MS), "time has to go on"
    (get,) = driver.take()
    _answer(shadow, get, _document({}, 7))
    (update,) = driver.take()
    assert update["state"]["reported"] == {"a": 1, "b": 2}, "nothing was lost"
    _accept(shadow, update, 8)
    driver.run()
    assert late.done and late.error is None and shadow.state == IDLE


def test_a_silent_get_tells_who_waits_and_nobody_else():
    shadow, driver = _online()
    task = driver.spawn(shadow.get())
    assert _pass_ms(shadow, driver, 3 * SHADOW_ANSWER_MS) is False
    driver.run()
    assert isinstance(task.error, DeadlineError) and shadow.state == IDLE and not driver.reports


def test_a_link_that_takes_nothing_is_like_silence():
    shadow, driver = _online()
    driver.is_up = False
    shadow.report_nowait({"a": 1})
    driver.is_up = True
    _pass_ms(shadow, driver, SHADOW_ANSWER_MS)
    (update,) = driver.take()
    _accept(shadow, update, 8)
    assert shadow.reported == {"a": 1}


def test_a_message_too_large_for_a_packet_is_reported_like_silence():
    shadow, driver = _online()
    driver.max_bytes = 10
    task = driver.spawn(shadow.report({"a": 1}))
    assert isinstance(driver.reports[0], BadInput) and not task.done
    driver.max_bytes = 16384
    _pass_ms(shadow, driver, SHADOW_ANSWER_MS)
    (update,) = driver.take()
    _accept(shadow, update, 8)
    driver.run()
    assert task.done and task.error is None


# Desired values


def test_a_delta_is_applied_reported_and_cleared_in_one_exchange():
    shadow, driver = _online({"alarmvalue": "10"}, 16)
    seen: list = []

    @shadow.on_delta
    def apply(desired):
        seen.append(desired)
        return {"alarmvalue": "45", "note": "at most 45"}

    _delta(shadow, {"alarmvalue": "50"}, 17)
    assert seen == [{"alarmvalue": "50"}]
    (update,) = driver.take()
    del update["clientToken"]
    assert update == {
        "type": "update",
        "state": {"reported": {"alarmvalue": "45", "note": "at most 45"}, "desired": None},
        "version": 17,
    }


def test_a_handler_may_be_a_coroutine_and_what_comes_meanwhile_follows():
    shadow, driver = _online()
    seen: list = []

    async def apply(desired):
        seen.append(desired)
        await pause()
        return desired

    assert shadow.on_delta(apply) is apply
    _delta(shadow, {"a": 1}, 8)
    assert seen == [{"a": 1}] and shadow.advance(250)
    _delta(shadow, {"a": 2}, 9)
    assert len(seen) == 1, "one at a time"
    driver.run()
    (update,) = driver.take()
    # What was applied is reported, but a newer wish is not cleared by it.
    assert update["state"] == {"reported": {"a": 1}} and update["version"] == 9
    assert seen == [{"a": 1}, {"a": 2}]
    _accept(shadow, update, 10)
    driver.run()
    (update,) = driver.take()
    assert update["state"] == {"reported": {"a": 2}, "desired": None}
    _accept(shadow, update, 11)
    assert shadow.desired == {} and shadow.reported == {"a": 2} and len(seen) == 2
    assert not shadow.advance(250)


def test_handlers_for_single_properties():
    shadow, driver = _online()
    seen: list = []

    @shadow.on("a")
    def on_a(value):
        seen.append(("a", value))

    @shadow.on("b")
    async def on_b(value):
        await pause()
        seen.append(("b", value))
        return value - 1

    _delta(shadow, {"a": 1, "b": 2, "c": 3}, 8)
    driver.run()
    assert sorted(seen) == [("a", 1), ("b", 2)]
    (update,) = driver.take()
    # Nobody takes c, so the others are cleared one by one.
    assert update["state"] == {"reported": {"a": 1, "b": 1}, "desired": {"a": None, "b": None}}
    _accept(shadow, update, 9)
    assert shadow.desired == {"c": 3} and not driver.sent

    @shadow.on_delta
    def rest(desired):
        seen.append(desired)

    assert seen[-1] == {"c": 3}, "who comes later is told what waits"
    (update,) = driver.take()
    assert update["state"] == {"reported": {"c": 3}, "desired": None}
    _accept(shadow, update, 10)
    _delta(shadow, {"a": 5, "z": 6}, 11)
    assert seen[-1] == {"z": 6} and ("a", 5) in seen


def test_many_keys_are_cleared_in_pieces():
    shadow, driver = _online()
    keys = ["k%d" % i for i in range(70)]
    for key in keys:
        shadow.on(key)(lambda value: None)
    wanted = dict([(key, 1) for key in keys])
    wanted["other"] = 1
    _delta(shadow, wanted, 8)
    version = 8
    sizes = []
    while driver.sent:
        (update,) = driver.take()
        sizes.append(len(update["state"]["desired"]))
        version += 1
        _accept(shadow, update, version)
        driver.run()
    assert sizes == [32, 32, 6] and shadow.desired == {"other": 1} and shadow.state == IDLE


def test_a_handler_that_fails_leaves_its_value_desired_until_the_next_connection():
    shadow, driver = _online()
    seen: list = []

    @shadow.on("a")
    def on_a(value):
        seen.append(value)
        raise ValueError("no")

    @shadow.on("b")
    def on_b(value):
        return [None]  # cannot be reported

    @shadow.on("c")
    def on_c(value):
        pass

    _delta(shadow, {"a": 1, "b": 2, "c": 3}, 8)
    kinds = sorted([type(e).__name__ for e in driver.reports])
    assert kinds == ["BadInput", "ValueError"]
    (update,) = driver.take()
    assert update["state"] == {"reported": {"c": 3}, "desired": {"c": None}}
    _accept(shadow, update, 9)
    assert seen == [1] and shadow.desired == {"a": 1, "b": 2}
    shadow.closed()
    shadow.connected()
    (get,) = driver.take()
    _answer(shadow, get, _document({"c": 3}, 9, {"a": 1, "b": 2}))
    assert seen == [1, 1]


def test_a_wish_taken_back_and_made_again_is_a_new_one():
    shadow, driver = _online()
    seen: list = []

    @shadow.on("a")
    def on_a(value):
        seen.append(value)
        raise ValueError("not now")

    _delta(shadow, {"a": 1}, 8)
    _delta(shadow, {"a": None}, 9)
    _delta(shadow, {"a": 1}, 10)
    assert seen == [1, 1]
    assert driver.take() == []


def test_a_handler_that_returns_no_dict_for_the_whole_is_reported():
    shadow, driver = _online()
    shadow.on_delta(lambda desired: 5)
    _delta(shadow, {"a": 1}, 8)
    assert isinstance(driver.reports[0], BadInput) and not driver.sent


def test_a_handler_that_hangs_is_cancelled_and_others_are_not_held_up():
    shadow, driver = _online()

    @shadow.on("a")
    async def on_a(value):
        while True:
            await pause()

    shadow.on("b")(lambda value: None)
    _delta(shadow, {"a": 1}, 8)
    _delta(shadow, {"b": 1}, 9)
    assert _pass_ms(shadow, driver, SHADOW_HANDLER_MS - 250)
    assert not driver.tasks[0].cancelled and not driver.sent
    _pass_ms(shadow, driver, 250)
    assert driver.tasks[0].cancelled
    assert isinstance(driver.reports[0], IoTHubError) and "long" in driver.reports[0].reason
    (update,) = driver.take()
    assert update["state"] == {"reported": {"b": 1}, "desired": {"b": None}}


def test_a_handler_whose_own_task_was_cancelled_holds_up_no_others():
    shadow, driver = _online()

    @shadow.on("a")
    async def on_a(value):
        await pause()
        raise Cancelled

    shadow.on("b")(lambda value: None)
    _delta(shadow, {"a": 1, "b": 1}, 8)
    driver.run()
    assert isinstance(driver.reports[0], Cancelled)
    (update,) = driver.take()
    assert update["state"] == {"reported": {"b": 1}, "desired": {"b": None}}
    assert shadow.desired == {"a": 1, "b": 1}


def test_a_handler_may_change_what_it_is_given():
    shadow, driver = _online()

    @shadow.on_delta
    def apply(desired):
        desired["list"].append(3)
        desired["deep"]["x"] = 2
        return desired

    _delta(shadow, {"list": [1], "deep": {"x": 1}}, 8)
    assert shadow.desired == {"list": [1], "deep": {"x": 1}}
    (update,) = driver.take()
    assert update["state"]["desired"] is None
    assert update["state"]["reported"] == {"list": [1, 3], "deep": {"x": 2}}


def test_a_delta_that_came_while_offline_is_fetched():
    shadow, driver = _online()
    seen: list = []
    shadow.on_delta(seen.append)
    shadow.closed()
    shadow.connected()
    (get,) = driver.take()
    _answer(shadow, get, _document({}, 9, {"a": 1}))
    assert seen == [{"a": 1}]
    (update,) = driver.take()
    assert update["state"] == {"reported": {"a": 1}, "desired": None} and update["version"] == 9


def test_what_was_applied_is_not_applied_again_when_its_update_was_lost():
    shadow, driver = _online()
    seen: list = []
    shadow.on_delta(seen.append)
    _delta(shadow, {"a": 1}, 8)
    (lost,) = driver.take()
    shadow.closed()
    shadow.connected()
    (get,) = driver.take()
    _answer(shadow, get, _document({}, 8, {"a": 1}))
    assert seen == [{"a": 1}]
    (update,) = driver.take()
    assert update["state"] == lost["state"] == {"reported": {"a": 1}, "desired": None}


def test_a_handler_in_the_place_of_one_that_failed_is_told_what_waits():
    for register in (Shadow.on_delta, lambda shadow, handler: shadow.on("a")(handler)):
        shadow, driver = _online()
        seen: list = []

        def fails(value, seen=seen):
            seen.append("failed")
            raise ValueError

        register(shadow, fails)
        _delta(shadow, {"a": 1}, 8)
        _delta(shadow, {"b": 1}, 9)
        assert "failed" in seen and not driver.sent
        seen.clear()
        register(shadow, seen.append)
        assert seen in ([{"a": 1, "b": 1}], [1])
        assert len(driver.take()) == 1


def test_without_handlers_desired_is_left_to_the_application():
    shadow, driver = _online()
    _delta(shadow, {"a": 1, "b": 2}, 8)
    assert shadow.desired == {"a": 1, "b": 2} and not driver.sent
    task = driver.spawn(shadow.clear_desired("a", "unknown"))
    (update,) = driver.take()
    assert update["state"] == {"desired": {"a": None}} and update["version"] == 8
    _accept(shadow, update, 9)
    driver.run()
    assert task.done and shadow.desired == {"b": 2}
    driver.spawn(shadow.clear_desired())
    (update,) = driver.take()
    assert update["state"] == {"desired": None}
    _accept(shadow, update, 10)
    assert shadow.desired == {}
    task = driver.spawn(shadow.clear_desired())
    assert task.done and task.error is None and not driver.sent, "nothing is known to clear"


def test_a_newer_wish_is_not_cleared_by_what_was_applied_before_it():
    shadow, driver = _online()
    seen: list = []
    shadow.on_delta(seen.append)
    _delta(shadow, {"a": 1}, 8)
    (update,) = driver.take()
    # The application was faster: its wish, and that its delta was lost, shows as a conflict. That
    # true is 1 to Python does not hide it.
    _answer(shadow, update, _document({}, 9, {"a": True}), SHADOW_VERSION_MISMATCH)
    driver.run()
    assert len(seen) == 2 and seen[1]["a"] is True
    (update,) = driver.take()
    assert update["state"] == {"reported": {"a": 1}} and update["version"] == 9
    _accept(shadow, update, 10)
    (update,) = driver.take()
    assert update["state"]["desired"] is None and update["state"]["reported"]["a"] is True


def test_the_same_wish_again_is_applied_again():
    shadow, driver = _online()
    seen: list = []
    shadow.on_delta(seen.append)
    version = 7
    for _ in range(3):
        _delta(shadow, {"a": 1}, version + 1)
        (update,) = driver.take()
        version += 2
        _accept(shadow, update, version)
    assert seen == [{"a": 1}] * 3


def test_what_was_applied_before_clears_nothing_later():
    shadow, driver = _online()
    seen: list = []
    shadow.on_delta(lambda desired: seen.append(desired["a"]))
    _delta(shadow, {"a": 1}, 8)
    (lost,) = driver.take()
    assert lost["state"] == {"reported": {"a": 1}, "desired": None}
    shadow.closed()
    shadow.connected()
    (get,) = driver.take()
    _answer(shadow, get, _document({}, 9, {"a": 2}))
    (update,) = driver.take()
    assert update["state"] == {"reported": {"a": 1}} and seen == [1, 2]
    _delta(shadow, {"a": 1}, 10)
    assert seen == [1, 2, 1], "wished for again, and not what holds"
    _answer(shadow, update, _document({}, 10, {"a": 1}), SHADOW_VERSION_MISMATCH)
    (update,) = driver.take()
    assert update["state"] == {"reported": {"a": 1}} and update["version"] == 10
    _accept(shadow, update, 11)
    (update,) = driver.take()
    assert update["state"] == {"reported": {"a": 1}, "desired": None}


def test_a_delta_twice_is_one():
    shadow, driver = _online()
    seen: list = []
    shadow.on_delta(seen.append)
    _delta(shadow, {"a": 1}, 8)
    _delta(shadow, {"a": 1}, 8)
    assert len(seen) == 1 and len(driver.take()) == 1


def test_a_delta_after_a_missed_one_brings_the_whole_document():
    shadow, driver = _online()
    seen: list = []
    shadow.on_delta(seen.append)
    _delta(shadow, {"b": 2}, 9)  # that of version 8 was lost
    assert not seen, "a clear now would lose the wish that is not known"
    (get,) = driver.take()
    _answer(shadow, get, _document({}, 9, {"a": 1, "b": 2}))
    assert seen == [{"a": 1, "b": 2}]


def test_a_delta_may_take_a_wish_back():
    shadow, _ = _online({}, 7, {"a": 1, "b": 2})
    _delta(shadow, {"a": None}, 8)
    assert shadow.desired == {"b": 2}
    seen: list = []
    shadow.on_delta(seen.append)
    assert seen == [{"b": 2}]


def test_an_update_that_only_clears_is_spared_when_the_wish_is_gone():
    shadow, driver = _online({}, 7, {"a": 1})
    shadow.closed()
    task = driver.spawn(shadow.clear_desired())
    shadow.connected()
    (get,) = driver.take()
    _answer(shadow, get, _document({}, 9))
    driver.run()
    assert task.done and task.error is None and not driver.sent and shadow.state == IDLE


# Nonsense


def test_nonsense_is_counted_and_changes_nothing():
    shadow, driver = _online({"a": 1}, 7)
    for payload in NONSENSE:
        counted = shadow.malformed
        shadow.received(ANSWERS, payload)
        assert shadow.malformed == counted + 1, payload[:80]
        assert shadow.state == IDLE and shadow.version == 7 and not driver.sent
    assert shadow.reported == {"a": 1} and shadow.desired == {}


def test_absurd_answers_are_not_believed_and_the_request_still_waits():
    shadow, driver = _online({"a": 1}, 7)
    task = driver.spawn(shadow.get())
    (get,) = driver.take()
    token = get["clientToken"].encode()
    for text in ABSURD_ANSWERS:
        counted = shadow.malformed
        shadow.received(ANSWERS, text.replace(b"%s", token))
        driver.run()
        assert shadow.malformed == counted + 1 and not task.done, text
    for text in UNMATCHED:
        counted = shadow.unmatched
        shadow.received(ANSWERS, text)
        assert shadow.unmatched == counted + 1, text
    assert shadow.reported == {"a": 1} and shadow.version == 7
    _answer(shadow, get, _document({}, 8))
    driver.run()
    assert task.result["version"] == 8


def test_other_types_are_passed_over():
    shadow, driver = _online()
    for text in (b'{"type":"other"}', b'{"type":"Delta","payload":{"state":{},"version":8}}'):
        shadow.received(ANSWERS, text)
    assert shadow.malformed == 0 and shadow.version == 7 and not driver.sent


# The code of exchanges


def test_the_code_is_there_while_something_is_under_way():
    shadow, driver = _online()
    assert shadow._code is None

    @shadow.on("a")
    async def a(value):
        await pause()

    _delta(shadow, {"a": 1}, 8)
    held = shadow._code
    assert held is not None, "the handler is at work"
    driver.run()
    (update,) = driver.take()
    assert shadow._code is held, "the server has not answered"
    _accept(shadow, update, 9)
    assert shadow._code is None
    driver.spawn(shadow.get())
    (get,) = driver.take()
    assert shadow._code is not None
    _answer(shadow, get, _document({}, 9))
    assert shadow._code is None
    raises(BadInput, shadow.report_nowait, {"a": object()})
    assert shadow._code is None
    shadow.report_nowait({"b": 1})
    assert shadow._code is not None
    shadow.closed()
    assert shadow._code is None
    shadow.report_nowait({"b": 2})
    assert shadow._code is None, "nothing can be done about it now"


def test_a_late_handler_keeps_the_code_no_longer():
    shadow, driver = _online()

    @shadow.on("a")
    async def a(value):
        while True:
            await pause()

    _delta(shadow, {"a": 1}, 8)
    shadow.closed()
    assert shadow._code is not None
    assert not _pass_ms(shadow, driver, SHADOW_HANDLER_MS)
    assert shadow._code is None


def test_a_report_without_the_code_changes_nothing():
    for error in ERRORS:
        shadow, driver = _online()
        with NoCode(CODE, error):
            assert raises(type(error), shadow.report_nowait, {"a": 1}) is error
            for coroutine in (shadow.report({"a": 1}), shadow.get(), shadow.clear_desired("a")):
                assert driver.spawn(coroutine).error is error
        assert shadow.state == IDLE and not driver.sent and not shadow._updates
        shadow.report_nowait({"b": 1})
        (update,) = driver.take()
        assert update["state"] == {"reported": {"b": 1}}


def test_without_the_code_it_pauses_and_gets_the_document():
    for error in ERRORS:
        driver = Driver()
        shadow = Shadow(driver, IDENTITY)
        shadow.report_nowait({"r": 1})
        with NoCode(CODE, error):
            shadow.connected()
            assert shadow.state == PAUSED and driver.reports == [error] and driver.ticking
            assert _pass_ms(shadow, driver, SHADOW_PAUSE_MS)
            assert shadow.state == PAUSED and driver.reports == [error, error]
        assert _pass_ms(shadow, driver, SHADOW_PAUSE_MS)
        assert shadow.state == GETTING
        (get,) = driver.take()
        _answer(shadow, get, _document({}, 7))
        (update,) = driver.take()
        assert update["state"] == {"reported": {"r": 1}} and update["version"] == 7


def test_a_delta_that_met_no_code_is_fetched():
    handled: list = []
    shadow, driver = _online()
    shadow.on("a")(handled.append)
    with NoCode(CODE):
        _delta(shadow, {"a": 5}, 8)
        assert shadow.state == PAUSED and driver.reports == [MISSING]
    _pass_ms(shadow, driver, SHADOW_PAUSE_MS)
    (get,) = driver.take()
    _answer(shadow, get, _document({}, 8, {"a": 5}))
    assert handled == [5] and shadow.state == UPDATING


def test_a_handler_that_met_no_code_is_called_after_the_next_connection():
    handled: list = []
    shadow, driver = _online(None, 7, {"a": 5})
    shadow.closed()
    with NoCode(CODE):
        shadow.on("a")(handled.append)
    assert shadow.state == OFFLINE and driver.reports == [MISSING] and not handled
    shadow.connected()
    (get,) = driver.take()
    _answer(shadow, get, _document({}, 7, {"a": 5}))
    assert handled == [5]


# The table


def _brought_to(state):
    shadow, driver = _online()
    if state == OFFLINE:
        shadow.closed()
    elif state == GETTING:
        shadow.closed()
        shadow.connected()
    elif state == UPDATING:
        shadow.report_nowait({"a": 1})
    elif state == PAUSED:
        shadow.report_nowait({"a": 1})
        (update,) = driver.take()
        _answer(shadow, update, None, SHADOW_INTERNAL)
    assert shadow.state == state
    return shadow, driver


def _step(shadow, driver, state, following):
    """What leads from one state to the other."""
    if following == OFFLINE:
        shadow.closed()
    elif state == OFFLINE:
        if following == PAUSED:
            with NoCode(CODE):
                shadow.connected()
        else:
            shadow.connected()
    elif state == PAUSED:
        _pass_ms(shadow, driver, SHADOW_PAUSE_MS)
    elif state == IDLE:
        if following == UPDATING:
            shadow.report_nowait({"b": 1})
        elif following == PAUSED:
            with NoCode(CODE):
                _delta(shadow, {"c": 1}, 8)
        else:
            _delta(shadow, {"c": 1}, 20)
    elif following == PAUSED:
        _pass_ms(shadow, driver, 3 * SHADOW_ANSWER_MS)
    elif state == GETTING:
        if following == UPDATING:
            shadow.report_nowait({"b": 1})
        _answer(shadow, driver.take()[-1], _document({}, 7))
    else:
        _accept(shadow, driver.take()[-1], 8 if following == IDLE else 9)


def test_every_step_of_the_table_is_taken_and_no_other():
    met.clear()
    for state, following in steps(NEXT_STATES):
        shadow, driver = _brought_to(state)
        _step(shadow, driver, state, following)
        assert shadow.state == following, (state, following)
    assert met == steps(NEXT_STATES)
