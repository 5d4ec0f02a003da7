import json

from iothub.credentials import Identity
from iothub.errors import BadInput, DeadlineError, NotConnected, ServiceRefused
from iothub.services import codes
from iothub.services.gateway import (
    COMING,
    LEAVING,
    LOST,
    OFFLINE,
    ONLINE,
    Gateway,
)
from iothub.signing import SHA256

from host_tests.unit.iothub import service_driver
from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.no_code import ERRORS, MISSING, NoCode
from host_tests.unit.iothub.service_driver import IDENTITY, pause
from host_tests.unit.iothub.state_table import steps

# For each state of a sub-device those that may follow.
NEXT_STATES = (
    (COMING,),
    (ONLINE, OFFLINE, LOST),
    (LEAVING, OFFLINE, LOST),
    (ONLINE, OFFLINE),
    (COMING, OFFLINE),
)
met: set = set()


class Driver(service_driver.Driver):
    """Watches that sub-devices keep to the table: each step of theirs wakes it."""

    def __init__(self):
        super().__init__()
        self.watched: list = []  # [sub-device, its state]

    def wake(self):
        super().wake()
        for pair in self.watched:
            sub, before = pair
            if sub.state != before:
                assert sub.state in NEXT_STATES[before], (before, sub.state)
                met.add((before, sub.state))
                pair[1] = sub.state


CODE = "iothub.services.gateway_operations"
TOPIC = b"$gateway/operation/PRODUCTID1/dev01"
ANSWERS = b"$gateway/operation/result/PRODUCTID1/dev01"
SECRET = "lDZ6Uqt+I9E0wW7rvDUs7Q=="
# PROTOCOL section 0: secret, nonce and time of the driver, client id PRODUCTID1dev01.
SIGNATURES = (
    ("hmacsha1", "gk03D2mFxuq+2MpW5Bdyq6zpsLw="),
    ("hmacsha256", "tGoFtyrd15STSEiZm2vb4OrHVqq0xHo5ZnywC8ZMTZI="),
)
# Computed with OpenSSL: the key is the digest of b"certificate" in hex, the algorithm hmacsha1.
CERTIFICATE_SIGNATURES = (
    ("md5", "ikaI832IOjF00qVp4P6yENFKEaU="),
    ("sha1", "RC1ys4AFIbO83N5wDQ65tfV8mQA="),
)
CODES = [getattr(codes, name) for name in dir(codes) if name.startswith("GATEWAY_")]
NONSENSE = (
    b"",
    b"{",
    b"[]",
    b"5",
    b"{}",
    b'{"type":5}',
    b"\xff",
    b"[" * 16000,
    b'{"type":"change"}',
    b'{"type":"change","payload":{"devices":[]}}',
    b'{"type":"change","payload":{"status":"0","devices":[]}}',
    b'{"type":"change","payload":{"status":true,"devices":[]}}',
    b'{"type":"search_devices"}',
    b'{"type":"search_devices","payload":{"status":null}}',
)
# Entries of a device list that name no device.
ABSURD_ENTRIES: tuple = (
    None,
    5,
    "dev01",
    [],
    {},
    {"product_id": "P"},
    {"device_name": "d"},
    {"product_id": 5, "device_name": "d"},
    {"product_id": "P", "device_name": None},
    {"product_id": "", "device_name": "d"},
    {"product_id": "P" * 11, "device_name": "d"},
    {"product_id": "P", "device_name": "d" * 49},
    {"product_id": "P", "device_name": "a/b"},
    {"product_id": "P", "device_name": "#"},
)


def _gateway(count=0):
    """(gateway, driver, its sub-devices): connected."""
    driver = Driver()
    gateway = Gateway(driver, IDENTITY)
    gateway.connected()
    subs = [gateway.sub_device("SUBPRODUCT", "sub%d" % i) for i in range(count)]
    driver.watched = [[sub, sub.state] for sub in subs]
    return gateway, driver, subs


def _say(gateway, kind, **payload):
    return gateway.received(ANSWERS, json.dumps({"type": kind, "payload": payload}).encode())


def _answer(gateway, request, results=0):
    """The results, one for all or a list, of a request's devices."""
    devices = []
    entries = request["payload"]["devices"]
    for i in range(len(entries)):
        devices.append(
            {
                "product_id": entries[i]["product_id"],
                "device_name": entries[i]["device_name"],
                "result": results if isinstance(results, int) else results[i],
            }
        )
    _say(gateway, request["type"], devices=devices)


def _online(count):
    gateway, driver, subs = _gateway(count)
    driver.spawn(gateway.online(*subs))
    while driver.sent:
        (request,) = driver.take()
        _answer(gateway, request)
        driver.run()
    assert [s.state for s in subs] == [ONLINE] * count
    return gateway, driver, subs


def _names(request):
    return [entry["device_name"] for entry in request["payload"]["devices"]]


# Binding


def test_bind_signs_with_the_text_of_the_secret():
    for algorithm, signature in SIGNATURES:
        gateway, driver, _ = _gateway()
        sub = gateway.sub_device("PRODUCTID1", "dev01")
        task = driver.spawn(gateway.bind(sub, SECRET, algorithm=algorithm))
        ((topic, _),) = driver.sent
        (request,) = driver.take()
        assert topic == TOPIC and gateway.pattern == ANSWERS and gateway.qos == 0
        assert request == {
            "type": "bind",
            "payload": {
                "devices": [
                    {
                        "product_id": "PRODUCTID1",
                        "device_name": "dev01",
                        "signature": signature,
                        "random": 121213,
                        "timestamp": 1589786839,
                        "signmethod": algorithm,
                        "authtype": "psk",
                    }
                ]
            },
        }
        assert not task.done
        _answer(gateway, request)
        driver.run()
        assert task.done and task.error is None


def test_bind_with_a_certificate_takes_either_reading_of_its_key():
    for digest, signature in CERTIFICATE_SIGNATURES:
        gateway, driver, _ = _gateway()
        sub = gateway.sub_device("PRODUCTID1", "dev01")
        driver.spawn(gateway.bind(sub, certificate=b"certificate", digest=digest))
        (request,) = driver.take()
        (entry,) = request["payload"]["devices"]
        assert (entry["authtype"], entry["signmethod"]) == ("certificate", "hmacsha1")
        assert entry["signature"] == signature, digest
    task = driver.spawn(gateway.bind(sub, certificate=b"certificate", digest="sha256"))
    assert isinstance(task.error, BadInput) and task.error.field == "digest"


def test_bind_waits_for_the_clock():
    gateway, driver, (sub,) = _gateway(1)
    driver.clock_s = None
    task = driver.spawn(gateway.bind(sub, SECRET, algorithm=SHA256))
    driver.run()
    assert not driver.sent and not task.done
    driver.clock_s = 5
    driver.wake()  # as every event of the device does: CLOCK_SET
    driver.run()
    assert driver.take()[0]["payload"]["devices"][0]["timestamp"] == 5


def test_a_bad_secret_is_refused_before_anything_is_sent_and_not_told():
    gateway, driver, (sub,) = _gateway(1)
    for secret in ("", "not base64!", None, "x" * 65):
        task = driver.spawn(gateway.bind(sub, secret))
        assert isinstance(task.error, BadInput) and not driver.sent
        assert task.error.field == "sub_device_secret"
        assert not secret or secret not in str(task.error)


def test_every_code_comes_out_by_its_number_with_a_hint():
    assert len(CODES) == 12
    for code in CODES + [4711]:
        gateway, driver, (sub,) = _gateway(1)
        for operation in (gateway.bind(sub, SECRET), gateway.unbind(sub), gateway.online(sub)):
            task = driver.spawn(operation)
            (request,) = driver.take()
            _answer(gateway, request, code)
            driver.run()
            assert isinstance(task.error, ServiceRefused), (code, task.error)
            assert (task.error.code, task.error.phase) == (code, "gateway")
            assert "SUBPRODUCT/sub0" in task.error.reason and task.error.hint
            assert sub.state == OFFLINE


def test_unbind_takes_offline_and_forgets():
    gateway, driver, subs = _online(2)
    task = driver.spawn(gateway.unbind(*subs))
    (request,) = driver.take()
    assert request["type"] == "unbind"
    assert request["payload"]["devices"][0] == {
        "product_id": "SUBPRODUCT",
        "device_name": "sub0",
    }
    _answer(gateway, request, [codes.GATEWAY_NOT_BOUND, 0])
    driver.run()
    assert task.error.code == codes.GATEWAY_NOT_BOUND and "sub0" in task.error.reason
    assert [s.state for s in subs] == [ONLINE, OFFLINE]
    assert driver.prefixes == [subs[0].prefix]
    assert gateway.sub_device("SUBPRODUCT", "sub0") is subs[0]
    assert gateway.sub_device("SUBPRODUCT", "sub1") is not subs[1]


def test_unbind_of_one_named_twice_asks_once():
    gateway, driver, (sub,) = _online(1)
    task = driver.spawn(gateway.unbind(sub, sub))
    (request,) = driver.take()
    assert _names(request) == ["sub0"]
    _answer(gateway, request)
    driver.run()
    assert task.done and task.error is None and sub.state == OFFLINE


def test_describe_lists_the_bound():
    gateway, driver, _ = _gateway()
    task = driver.spawn(gateway.describe())
    assert driver.take() == [{"type": "describe_sub_devices"}]
    devices = [{"product_id": "P1", "device_name": "d%d" % i} for i in range(100)]
    _say(gateway, "describe_sub_devices", devices=devices + list(ABSURD_ENTRIES))
    driver.run()
    assert [each.client_id for each in task.result] == [b"P1d%d" % i for i in range(100)]
    assert gateway.malformed == len(ABSURD_ENTRIES)
    for empty in (
        b'{"type":"describe_sub_devices","payload":{"devices":[]}}',
        b'{"type":"describe_sub_devices","payload":{"devices":null}}',
        b'{"type":"describe_sub_devices"}',
    ):
        task = driver.spawn(gateway.describe())
        gateway.received(ANSWERS, empty)
        driver.run()
        assert task.result == []


# Online and offline


def test_online_in_batches_that_fit_a_packet():
    gateway, driver, _ = _gateway()
    subs = [gateway.sub_device("P" * 10, "%02d" % i + "d" * 46) for i in range(45)]
    task = driver.spawn(gateway.online(*subs))
    sizes = []
    while driver.sent:
        assert len(driver.sent[0][1]) < 4096
        (request,) = driver.take()
        assert request["type"] == "online"
        sizes.append(len(_names(request)))
        _answer(gateway, request)
        driver.run()
    assert sizes == [20, 20, 5] and task.done and task.error is None
    assert all([s.is_online for s in subs])
    assert sorted(driver.prefixes) == sorted([s.prefix for s in subs])


def test_online_tells_of_a_refused_one_when_all_were_asked_for():
    gateway, driver, subs = _gateway(25)
    task = driver.spawn(gateway.online(*subs))
    (request,) = driver.take()
    _answer(gateway, request, [0, codes.GATEWAY_NOT_BOUND] + [0] * 18)
    driver.run()
    (request,) = driver.take()
    _answer(gateway, request)
    driver.run()
    assert task.error.code == codes.GATEWAY_NOT_BOUND and "sub1" in task.error.reason
    assert [s.is_online for s in subs] == [True, False] + [True] * 23
    # Those that are online are not asked for again.
    driver.spawn(gateway.online(*subs))
    (request,) = driver.take()
    assert _names(request) == ["sub1"]


def test_offline():
    gateway, driver, subs = _online(3)
    subs[0].on("control")(print)
    task = driver.spawn(gateway.offline(*subs))
    (request,) = driver.take()
    assert request["type"] == "offline" and [s.state for s in subs] == [LEAVING] * 3
    _answer(gateway, request, [0, codes.GATEWAY_SYSTEM, 0])
    driver.run()
    assert task.error.code == codes.GATEWAY_SYSTEM
    assert [s.state for s in subs] == [OFFLINE, ONLINE, OFFLINE]
    assert driver.prefixes == [subs[1].prefix] and not driver.subscriptions
    task = driver.spawn(gateway.offline(subs[0]))
    assert task.done and task.error is None and not driver.sent


def test_answers_in_pieces_and_in_any_order():
    gateway, driver, subs = _gateway(3)
    task = driver.spawn(gateway.online(*subs))
    for i in (2, 0, 1):
        assert not task.done
        devices = [{"product_id": "SUBPRODUCT", "device_name": "sub%d" % i, "result": 0}]
        # Of somebody else, or without a result: not counted.
        devices.append({"product_id": "OTHER", "device_name": "sub%d" % i, "result": 0})
        devices.append({"product_id": "SUBPRODUCT", "device_name": "sub1", "result": "0"})
        _say(gateway, "online", devices=devices)
        driver.run()
    assert task.done and task.error is None


def test_one_request_of_a_type_at_a_time_and_types_side_by_side():
    gateway, driver, subs = _gateway(3)
    tasks = [driver.spawn(gateway.online(s)) for s in subs]
    describe = driver.spawn(gateway.describe())
    first, listing = driver.take()
    assert _names(first) == ["sub0"] and listing["type"] == "describe_sub_devices"
    _say(gateway, "describe_sub_devices", devices=[])
    _answer(gateway, first)
    driver.run()
    assert describe.done and tasks[0].done and not tasks[1].done
    for _ in (1, 2):
        (request,) = driver.take()
        _answer(gateway, request)
        driver.run()
    assert all([t.done and t.error is None for t in tasks])


def test_requests_that_wait_for_one_another_take_their_turns():
    class Late(Driver):
        """As asyncio: until() returns a while after its condition was true."""

        async def until(self, condition, timeout_ms=None):
            await super().until(condition, timeout_ms)
            await pause()

    driver = Late()
    gateway = Gateway(driver, IDENTITY)
    subs = [gateway.sub_device("SUBPRODUCT", "sub%d" % i) for i in range(4)]
    tasks = [driver.spawn(gateway.bind(each, SECRET)) for each in subs]
    gateway.connected()
    names = []
    for _ in range(4):
        driver.run()
        (request,) = driver.take()
        names += _names(request)
        _answer(gateway, request)
    driver.run()
    assert names == ["sub0", "sub1", "sub2", "sub3"]
    assert all([task.done and task.error is None for task in tasks])


def test_the_last_wish_holds_also_while_another_is_under_way():
    gateway, driver, (sub,) = _gateway(1)
    coming = driver.spawn(gateway.online(sub))
    both = [driver.spawn(gateway.online(sub)), driver.spawn(gateway.offline(sub))]
    (request,) = driver.take()
    assert request["type"] == "online" and not any([task.done for task in both])
    _answer(gateway, request)
    driver.run()
    (request,) = driver.take()
    assert coming.done and both[0].done and request["type"] == "offline"
    coming = driver.spawn(gateway.online(sub))
    assert not driver.sent
    _answer(gateway, request)
    driver.run()
    assert both[1].done and sub.state == COMING and not coming.done
    # Nobody answers, as the link breaks: it is what was wished for last.
    leaving = driver.spawn(gateway.offline(sub))
    gateway.closed()
    driver.run()
    assert sub.state == OFFLINE and leaving.done and leaving.error is None
    assert isinstance(coming.error, NotConnected)


def test_a_topic_that_cannot_be_subscribed_harms_no_other():
    gateway, driver, subs = _gateway(3)
    for sub in subs:
        sub.on("control")(print)
    refused = subs[1].topic("control")
    subscribe = driver.subscribe

    def limited(pattern, handler, qos):
        if pattern == refused:
            raise BadInput("topic", "at most 32 subscriptions")
        subscribe(pattern, handler, qos)

    driver.subscribe = limited
    subs[1].on("data")(print)
    task = driver.spawn(gateway.online(*subs))
    _answer(gateway, driver.take()[0])
    driver.run()
    assert task.done and task.error is None and [s.state for s in subs] == [ONLINE] * 3
    assert [type(error) for error in driver.reports] == [BadInput]
    assert len(driver.subscriptions) == 3 and refused not in driver.subscriptions


def test_silence_is_a_deadline_and_the_next_request_goes_on():
    gateway, driver, (sub,) = _gateway(1)
    task = driver.spawn(gateway.online(sub))
    (request,) = driver.take()
    driver.expired = 1
    driver.run()
    assert isinstance(task.error, DeadlineError) and sub.state == OFFLINE
    # The answer, late: nobody waits for it.
    _answer(gateway, request)
    assert gateway.unmatched == 1 and sub.state == OFFLINE
    task = driver.spawn(gateway.online(sub))
    (request,) = driver.take()
    _answer(gateway, request)
    driver.run()
    assert task.error is None and sub.is_online


def _is_online_once_connected(gateway, driver, task, sub):
    gateway.connected()
    driver.run()
    (request,) = driver.take()
    _answer(gateway, request)
    driver.run()
    assert task.done and task.error is None and sub.is_online


def test_requests_wait_for_the_connection():
    driver = Driver()
    gateway = Gateway(driver, IDENTITY)
    sub = gateway.sub_device("SUBPRODUCT", "sub0")
    task = driver.spawn(gateway.online(sub))
    assert not driver.sent
    gateway.closed()  # a login that failed
    _is_online_once_connected(gateway, driver, task, sub)


def test_requests_wait_for_the_next_connection_when_one_broke():
    gateway, driver, (sub,) = _gateway(1)
    gateway.closed()
    task = driver.spawn(gateway.online(sub))
    driver.run()
    assert not driver.sent and not task.done
    _is_online_once_connected(gateway, driver, task, sub)


def test_a_sub_device_that_was_unbound_may_come_again():
    gateway, driver, (sub,) = _online(1)
    gateway.received(ANSWERS, b'{"type":"unbind_all"}')
    driver.take()
    driver.spawn(gateway.online(sub))
    (request,) = driver.take()
    _answer(gateway, request)
    driver.run()
    assert sub.is_online and gateway.sub_device("SUBPRODUCT", "sub0") is sub
    gateway.received(ANSWERS, b'{"type":"unbind_all"}')
    assert sub.state == OFFLINE, "what the cloud says of it is heard again"


def test_sub_devices_are_bounded():
    gateway, _, _ = _gateway(64)
    assert gateway.sub_device("SUBPRODUCT", "sub0")
    error = raises(BadInput, gateway.sub_device, "SUBPRODUCT", "sub64")
    assert error.field == "sub_device"
    assert raises(BadInput, gateway.sub_device, "", "x").field == "product_id"


# Reconnects


def test_sub_devices_are_brought_back_after_a_reconnect():
    gateway, driver, subs = _online(25)
    driver.spawn(gateway.offline(subs[0]))
    _answer(gateway, driver.take()[0])
    driver.run()
    subs[1].on("control")(print)
    assert list(driver.subscriptions) == [b"SUBPRODUCT/sub1/control"]
    gateway.closed()
    assert [s.state for s in subs] == [OFFLINE] + [LOST] * 24
    assert not driver.prefixes and not driver.subscriptions
    gateway.connected()
    names = []
    while driver.sent:
        (request,) = driver.take()
        assert request["type"] == "online"
        names += _names(request)
        _answer(gateway, request)
        driver.run()
    assert sorted(names) == sorted(["sub%d" % i for i in range(1, 25)])
    assert [s.state for s in subs] == [OFFLINE] + [ONLINE] * 24 and not driver.reports
    assert list(driver.subscriptions) == [b"SUBPRODUCT/sub1/control"]


def test_bringing_back_is_tried_three_times_and_refusals_are_reported():
    gateway, driver, subs = _online(2)
    gateway.closed()
    gateway.connected()
    for _ in range(3):
        (request,) = driver.take()
        _answer(gateway, request, codes.GATEWAY_SYSTEM)
        driver.run()
    assert not driver.sent and [s.state for s in subs] == [LOST, LOST]
    assert [e.code for e in driver.reports] == [codes.GATEWAY_SYSTEM] * 3
    gateway.closed()
    gateway.connected()
    (request,) = driver.take()
    _answer(gateway, request, [0, codes.GATEWAY_NOT_BOUND])
    driver.run()
    assert not driver.sent and sorted([s.state for s in subs]) == [OFFLINE, ONLINE]
    assert driver.reports[-1].code == codes.GATEWAY_NOT_BOUND


def test_silence_while_bringing_back_is_tried_again():
    gateway, driver, (sub,) = _online(1)
    gateway.closed()
    gateway.connected()
    driver.take()
    driver.expired = 1
    driver.run(1)
    (request,) = driver.take()
    _answer(gateway, request)
    driver.run()
    assert sub.is_online and isinstance(driver.reports[0], DeadlineError)


def test_a_link_that_breaks_while_going_online_is_told_and_healed():
    gateway, driver, (sub,) = _gateway(1)
    task = driver.spawn(gateway.online(sub))
    driver.take()
    gateway.closed()
    driver.run()
    assert isinstance(task.error, NotConnected) and sub.state == LOST
    gateway.connected()
    (request,) = driver.take()
    _answer(gateway, request)
    driver.run()
    assert sub.is_online
    # One that is to be offline is not brought back.
    gateway.closed()
    task = driver.spawn(gateway.offline(sub))
    gateway.connected()
    assert task.done and sub.state == OFFLINE and not driver.sent


# Messages of sub-devices


def test_a_sub_device_publishes_while_online():
    gateway, driver, (sub,) = _online(1)
    task = driver.spawn(sub.publish("event", b"x"))
    driver.run()
    assert task.done and task.error is None
    task = driver.spawn(sub.publish(b"$ota/report/SUBPRODUCT/sub0", b"y", 0))
    driver.run()
    assert driver.published == [
        (b"SUBPRODUCT/sub0/event", b"x", 1),
        (b"$ota/report/SUBPRODUCT/sub0", b"y", 0),
    ]
    other = gateway.sub_device("SUBPRODUCT", "other")
    task = driver.spawn(other.publish("event", b"x"))
    assert isinstance(task.error, NotConnected) and len(driver.published) == 2


def test_what_was_published_when_the_link_broke_follows_when_the_sub_device_is_back():
    gateway, driver, (sub,) = _online(1)
    task = driver.spawn(sub.publish("event", b"x"))
    gateway.closed()
    gateway.connected()
    # The session had it acknowledged on the new link, where the cloud did not know the sub-device.
    driver.run()
    assert len(driver.published) == 1 and not task.done
    (request,) = driver.take()
    _answer(gateway, request)
    driver.run()
    assert len(driver.published) == 2 and task.done and task.error is None


def test_handlers_of_a_sub_device_are_subscribed_while_it_is_online():
    gateway, driver, (sub,) = _gateway(1)

    @sub.on("control")
    def control(topic, payload):
        pass

    assert not driver.subscriptions
    driver.spawn(gateway.online(sub))
    _answer(gateway, driver.take()[0])
    driver.run()
    assert driver.subscriptions == {b"SUBPRODUCT/sub0/control": (control, 1)}
    assert sub.on("data", 0)(print) is print
    assert driver.subscriptions[b"SUBPRODUCT/sub0/data"] == (print, 0)


# What the cloud says


def test_a_change_is_acknowledged_in_both_shapes_and_told():
    gateway, driver, subs = _online(2)
    seen: list = []

    @gateway.on_change
    def changed(bound, identities):
        seen.append((bound, [each.client_id for each in identities]))

    devices = [
        {"product_id": "SUBPRODUCT", "device_name": "sub0"},
        {"product_id": "SUBPRODUCT", "device_name": "unknown"},
    ]
    _say(gateway, "change", status=0, devices=devices)
    (ack,) = driver.take()
    for entry in devices:
        entry["result"] = 0  # type: ignore[assignment]
    assert ack == {
        "type": "change",
        "result": 0,
        "payload": {"status": 0, "devices": devices},
    }
    assert seen == [(False, [b"SUBPRODUCTsub0", b"SUBPRODUCTunknown"])]
    assert [s.state for s in subs] == [OFFLINE, ONLINE]
    _say(gateway, "change", status=1, devices=devices)
    assert driver.take()[0]["payload"]["status"] == 1 and seen[-1][0] is True
    assert subs[0].state == OFFLINE, "bound is not online"


def test_a_change_of_very_many_is_acknowledged_as_the_documents_do():
    gateway, driver, _ = _gateway()
    devices = [{"product_id": "P", "device_name": "d%d" % i} for i in range(300)]
    _say(gateway, "change", status=1, devices=devices)
    assert driver.take() == [{"type": "change", "result": 0}]


def test_unbind_all():
    gateway, driver, subs = _online(3)
    seen: list = []
    gateway.on_change(lambda bound, identities: seen.append((bound, len(identities))))
    gateway.received(ANSWERS, b'{"type":"unbind_all"}')
    assert driver.take() == [{"type": "unbind_all", "payload": {"result": 0}}]
    assert seen == [(False, 3)] and [s.state for s in subs] == [OFFLINE] * 3
    assert not driver.prefixes
    gateway.closed()
    gateway.connected()
    assert not driver.sent


def test_search_devices():
    gateway, driver, _ = _gateway()
    seen: list = []
    for handler in (None, seen.append):
        gateway.on_search(handler)
        for status in (1, 0):
            _say(gateway, "search_devices", status=status)
            expected = {"type": "search_devices", "payload": {"status": status, "result": 0}}
            assert driver.take() == [expected]
    assert seen == [1, 0]


def test_coroutines_of_handlers_are_awaited():
    gateway, driver, _ = _gateway()
    heard: list = []

    async def handler(*arguments):
        await pause()
        heard.append(arguments)

    gateway.on_change(handler)
    gateway.on_search(handler)
    _say(gateway, "change", status=1, devices=[])
    _say(gateway, "search_devices", status=1)
    _say(gateway, "unbind_all")
    assert len(driver.sent) == 3 and not heard
    driver.run()
    assert heard == [(True, []), (1,), (False, [])]


def test_what_the_cloud_says_is_heard_where_the_stack_is_shallow():
    gateway, driver, _ = _online(1)
    spawn = driver.spawn
    spawned: list = []
    for is_asking in (False, True):
        if is_asking:
            spawn(gateway.describe())
        driver.spawn = spawned.append
        _say(gateway, "change", status=0, devices=[])
        driver.spawn = spawn
        driver.sent.clear()
        spawn(spawned.pop())
        assert driver.take()[0]["type"] == "change"


def test_nonsense_is_counted_and_changes_nothing():
    gateway, driver, (sub,) = _online(1)
    for payload in NONSENSE:
        counted = gateway.malformed
        gateway.received(ANSWERS, payload)
        assert gateway.malformed == counted + 1, payload[:60]
    for payload in (b'{"type":"other"}', b'{"type":"bind","payload":{"devices":[]}}'):
        counted = gateway.unmatched
        gateway.received(ANSWERS, payload)
        assert gateway.unmatched == counted + 1
    assert not driver.sent and sub.is_online
    task = driver.spawn(gateway.unbind(sub))
    (request,) = driver.take()
    for entry in ABSURD_ENTRIES:
        _say(gateway, "unbind", devices=[entry])
    _say(gateway, "unbind", devices="sub0")
    driver.run()
    assert not task.done
    _answer(gateway, request)
    driver.run()
    assert task.done and task.error is None


# The table


def _sub_in(state):
    gateway, driver, (sub,) = _gateway(1)
    if state != OFFLINE:
        driver.spawn(gateway.online(sub))
        if state != COMING:
            _answer(gateway, driver.take()[0])
            driver.run()
    if state == LEAVING:
        driver.spawn(gateway.offline(sub))
    elif state == LOST:
        gateway.closed()
    assert sub.state == state
    return gateway, driver, sub


def _step(gateway, driver, sub, following):
    """What leads there from where the sub-device is."""
    if following == LOST:
        gateway.closed()
    elif following == COMING:
        if sub.state == LOST:
            gateway.connected()
        else:
            driver.spawn(gateway.online(sub))
    elif following == LEAVING:
        driver.spawn(gateway.offline(sub))
    elif sub.state in (COMING, LEAVING):
        stays = (sub.state == LEAVING) == (following == ONLINE)
        _answer(gateway, driver.take()[-1], codes.GATEWAY_NOT_ALLOWED if stays else 0)
        driver.run()
    else:
        gateway.received(ANSWERS, b'{"type":"unbind_all"}')


def test_every_step_of_the_table_is_taken_and_no_other():
    met.clear()
    for state, following in steps(NEXT_STATES):
        gateway, driver, sub = _sub_in(state)
        _step(gateway, driver, sub, following)
        assert sub.state == following, (state, following)
    assert met == steps(NEXT_STATES)


def test_a_link_that_breaks_ends_leaving_and_coming():
    for state, following in (
        (COMING, LOST),
        (LEAVING, OFFLINE),
        (ONLINE, LOST),
        (OFFLINE, OFFLINE),
    ):
        gateway, driver, sub = _sub_in(state)
        gateway.closed()
        driver.run()
        assert sub.state == following, state
    for state in (COMING, ONLINE, LEAVING, LOST):
        gateway, driver, sub = _sub_in(state)
        gateway.received(ANSWERS, b'{"type":"unbind_all"}')
        assert sub.state == OFFLINE, state
        driver.run()
        assert sub.state == OFFLINE and not driver.prefixes


# The code of operations


def test_the_code_is_there_while_an_operation_runs():
    gateway, driver, subs = _gateway(2)
    assert gateway._code is None
    first = driver.spawn(gateway.online(subs[0]))
    held = gateway._code
    assert held is not None
    second = driver.spawn(gateway.describe())
    online, listing = driver.take()
    _answer(gateway, online)
    driver.run()
    assert first.done and gateway._code is held, "the second waits"
    _say(gateway, listing["type"], devices=[])
    driver.run()
    assert second.result == [] and gateway._code is None
    _say(gateway, "search_devices", status=1)
    gateway.received(ANSWERS, b'{"type":"change"}')
    assert gateway._code is None
    task = driver.spawn(gateway.bind(subs[0], "not base64!"))
    assert isinstance(task.error, BadInput) and gateway._code is None


def test_an_operation_without_the_code_does_nothing():
    for error in ERRORS:
        gateway, driver, (sub, other) = _online(2)
        with NoCode(CODE, error):
            for operation in (
                gateway.bind(sub, SECRET),
                gateway.unbind(sub),
                gateway.online(other),
                gateway.offline(sub),
                gateway.describe(),
            ):
                assert driver.spawn(operation).error is error
            _say(gateway, "change", status=1, devices=[])
            assert driver.reports == [error]
        assert not driver.sent and sub.is_online and not gateway._requests
        task = driver.spawn(gateway.offline(sub))
        _answer(gateway, driver.take()[0])
        driver.run()
        assert task.done and task.error is None and sub.state == OFFLINE


def test_sub_devices_come_back_when_the_code_can_be_loaded():
    for error in ERRORS:
        gateway, driver, (sub,) = _online(1)
        gateway.closed()
        driver.expired = 1
        with NoCode(CODE, error):
            gateway.connected()
        assert driver.reports == [error, error] and sub.state == LOST
        driver.expired = 1
        driver.run(1)
        assert sub.state == COMING
        _answer(gateway, driver.take()[0])
        driver.run()
        assert sub.is_online and gateway._code is None


def test_the_next_connection_brings_back_what_this_one_could_not():
    gateway, driver, (sub,) = _online(1)
    gateway.closed()
    with NoCode(CODE):
        gateway.connected()
        assert driver.reports == [MISSING]
    gateway.closed()
    gateway.connected()
    driver.run()
    assert sub.state == COMING and len(driver.take()) == 1, "asked for once"


def test_without_sub_devices_nothing_is_loaded_to_bring_them_back():
    gateway, driver, _ = _gateway(1)
    gateway.closed()
    with NoCode(CODE):
        gateway.connected()
    assert not driver.reports


def test_an_identity_is_what_a_sub_device_is():
    _, _, (sub,) = _gateway(1)
    assert sub.topic("event") == b"SUBPRODUCT/sub0/event" == sub.topic(b"event")
    assert sub.topic("$ota/report/x") == b"$ota/report/x"
    assert isinstance(sub, Identity) and sub.client_id == b"SUBPRODUCTsub0"
