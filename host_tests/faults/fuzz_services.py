"""Mutation fuzz of what the services over MQTT read: shadow, gateway, remote configuration, RRPC,
updates.

    PYTHONPATH=.:firmware/lib python host_tests/faults/fuzz_services.py --seed 1 --cases 1000

A case is, for each service, some messages that are almost right, in whatever state it is: none may
raise, what is kept stays bounded, and what nobody asked for is not believed. Then the link breaks,
and on the next one a good conversation must come out right. `--subject NAME` runs the services of
fuzz_services_broken.py, each with a fault.
"""

import json
import sys

from iothub.errors import UpdateError
from iothub.services import gateway as gateway_states
from iothub.services import shadow as shadow_states
from iothub.services.ota import BURNING, DOWNLOADING
from iothub.services.ota_end import finish

from host_tests.faults import fuzz_run
from host_tests.faults.fuzz_dice import Dice, mutate
from host_tests.faults.fuzz_json import ODD_VALUES
from host_tests.faults.fuzz_run import FuzzFailure
from host_tests.faults.fuzz_services_broken import SERVICES
from host_tests.unit.iothub.service_driver import IDENTITY, Driver, pause

# A version in answers to tokens nobody has, and a result for devices nobody asked about.
FOREIGN_VERSION = 987654
MAX_KEPT = {"_requests": 10, "_updates": 5}
VALUES = (b"1", b"null", b'"x"', b"[1,2]", b'{"x":1}', b'{"x":null}', b"true", b"2.5")
RESULTS = (b"0", b"0", b"0", b"5005", b"5005", b"5001", b"5008", b"5010", b"5011", b"5100", b"7")


def _object(dice, fields):
    """The JSON text of (name, value) fields, now and then with one odd, missing or twice."""
    members = []
    for name, value in fields:
        if dice.hits(4):
            value = dice.pick(ODD_VALUES)
        if dice.hits(98):
            members.append(b'"' + name + b'":' + value)
        if dice.hits(1):
            members.append(b'"' + name + b'":' + dice.pick(ODD_VALUES))
    return b"{" + b",".join(members) + b"}"


def _mutated(dice, text):
    return bytes(mutate(dice, text, dice.pick((0, 0, 0, 1, 2))))


def _part(dice):
    names = (b"a", b"b", b"c")
    return _object(dice, [(dice.pick(names), dice.pick(VALUES)) for _ in range(dice.below(3))])


# Shadow


def _document(dice, version):
    state = [(b"reported", _part(dice))]
    if dice.hits(60):
        state += [(b"desired", _part(dice)), (b"delta", _part(dice))]
    fields = [(b"state", _object(dice, state)), (b"version", b"%d" % version)]
    if dice.hits(30):
        fields += [(b"metadata", _part(dice)), (b"timestamp", b"1678783950012")]
    return _object(dice, fields)


def _shadow_message(dice, shadow):
    version = max(0, min(shadow.version, 1 << 40) + dice.below(4) - 1)
    if dice.hits(30):
        payload = _object(dice, [(b"state", _part(dice)), (b"version", b"%d" % version)])
        return _object(dice, [(b"type", b'"delta"'), (b"payload", payload)])
    token = b'"other-1"'
    kind = dice.pick((b'"get"', b'"update"'))
    if shadow._requests and dice.hits(85):
        request = dice.pick(shadow._requests)
        token = b'"' + request.token.encode() + b'"'
        kind = b'"update"' if request.changes is not None else b'"get"'
    else:
        version = FOREIGN_VERSION
    return _object(
        dice,
        [
            (b"type", kind),
            (b"clientToken", token),
            (b"result", dice.pick(RESULTS)),
            (b"payload", _document(dice, version)),
        ],
    )


def _use_shadow(dice, shadow, driver):
    kind = dice.below(8)
    if kind == 0:
        if len(shadow._updates) < 4:
            shadow.report_nowait({dice.pick(("a", "b")): dice.pick((1, None, {"x": 1}))})
    elif kind == 1:
        driver.spawn(shadow.get())
    elif kind == 2:
        for _ in range(dice.below(60)):
            shadow.advance(250)
    elif kind == 3 and shadow.state:
        shadow.closed()
    elif kind == 4:
        shadow.connected()
    driver.run(2)


def _fuzz_shadow(service, dice, tally):
    driver = Driver()
    shadow = service(driver, IDENTITY)
    shadow.on("a")(lambda value: None)
    shadow.on_delta(lambda desired: {} if dice.hits(20) else desired)
    shadow.connected()
    for _ in range(4 + dice.below(8)):
        _use_shadow(dice, shadow, driver)
        text = _shadow_message(dice, shadow)
        mutated = _mutated(dice, text)
        counted = shadow.malformed, shadow.unmatched
        shadow.received(shadow.pattern, mutated)
        driver.run(2)
        if (shadow.malformed, shadow.unmatched) == counted:
            tally.count("shadow message taken")
        else:
            tally.count("shadow message passed over")
        if mutated == text and shadow.version == FOREIGN_VERSION:
            raise FuzzFailure("an answer to somebody else was believed")
        for name in MAX_KEPT:
            if len(getattr(shadow, name)) > MAX_KEPT[name]:
                raise FuzzFailure(name + " grows")
    shadow.closed()
    shadow._updates.clear()
    driver.sent.clear()
    shadow.connected()
    while driver.sent:
        for request in driver.take():
            good = b'{"type":"get","clientToken":"%s","result":0,"payload":%s}' % (
                request["clientToken"].encode(),
                b'{"state":{"reported":{"good":1}},"version":3}',
            )
            shadow.received(shadow.pattern, good)
            driver.run(2)
    if shadow.state != shadow_states.IDLE or shadow.reported != {"good": 1} or shadow.desired:
        raise FuzzFailure("a good document was not taken")
    shadow.report_nowait({"b": 2})
    (update,) = driver.take()
    answer = b'{"type":"update","clientToken":"%s","result":0,"payload":{"version":4}}'
    shadow.received(shadow.pattern, answer % update["clientToken"].encode())
    if shadow.reported != {"good": 1, "b": 2} or shadow.state != shadow_states.IDLE:
        raise FuzzFailure("a good answer was not believed")
    if shadow._requests:
        raise FuzzFailure("requests that were answered are kept")


# Gateway

KINDS = (
    b"bind",
    b"unbind",
    b"online",
    b"offline",
    b"change",
    b"unbind_all",
    b"search_devices",
    b"describe_sub_devices",
)


def _gateway_message(dice):
    entries = []
    for _ in range(dice.below(4)):
        fields = [
            (b"product_id", dice.pick((b'"SUBPRODUCT"', b'"OTHER"'))),
            (b"device_name", b'"sub%d"' % dice.below(4)),
        ]
        if dice.hits(70):
            fields.append((b"result", dice.pick((b"0", b"0", b"0", b"-1", b"-2", b"802", b"810"))))
        entries.append(_object(dice, fields))
    payload = [(b"status", b"%d" % dice.below(2)), (b"devices", b"[" + b",".join(entries) + b"]")]
    kind = b'"' + dice.pick(KINDS) + b'"'
    return _object(dice, [(b"type", kind), (b"payload", _object(dice, payload))])


def _use_gateway(dice, gateway, driver, subs):
    sub = dice.pick(subs)
    kind = dice.below(9)
    if kind == 0:
        driver.spawn(gateway.bind(sub, "lDZ6Uqt+I9E0wW7rvDUs7Q=="))
    elif kind == 1:
        driver.spawn(gateway.unbind(sub))
    elif kind < 4 and sub.state in (gateway_states.OFFLINE, gateway_states.LOST):
        driver.spawn(gateway.online(*subs[: 1 + dice.below(3)]))
    elif kind == 4:
        driver.spawn(gateway.offline(*subs))
    elif kind == 5:
        driver.spawn(gateway.describe())
    elif kind == 6:
        gateway.closed()
    elif kind == 7:
        gateway.connected()
    else:
        driver.expired = dice.below(3)
    driver.run(3)


def _fuzz_gateway(service, dice, tally):
    driver = Driver()
    gateway = service(driver, IDENTITY)
    gateway.on_change(lambda bound, identities: None)
    subs = [gateway.sub_device("SUBPRODUCT", f"sub{i}") for i in range(3)]
    for sub in subs:
        sub.on("control")(lambda topic, payload: None)
    gateway.connected()
    for _ in range(4 + dice.below(8)):
        _use_gateway(dice, gateway, driver, subs)
        counted = gateway.malformed + gateway.unmatched
        gateway.received(gateway.pattern, _mutated(dice, _gateway_message(dice)))
        driver.run(3)
        taken = gateway.malformed + gateway.unmatched == counted
        tally.count("gateway message taken" if taken else "gateway message passed over")
        online = [sub for sub in subs if sub.is_online]
        if sorted(driver.prefixes) != sorted([sub.prefix for sub in online]):
            raise FuzzFailure("topics are allowed that are no online sub-device's")
        if len(driver.subscriptions) != len(online):
            raise FuzzFailure("subscriptions and sub-devices differ")
    # What a message brings about is reported, whatever it is.
    for error in driver.reports + [task.error for task in driver.tasks]:
        if error is not None and not hasattr(error, "phase"):
            raise error
    gateway.received(gateway.pattern, b'{"type":"unbind_all"}')
    if driver.prefixes or driver.subscriptions:
        raise FuzzFailure("topics of an unbound sub-device are kept")
    # Everyone who waits is told, and a new link begins with a clean slate.
    gateway.closed()
    driver.expired = 1000
    driver.run()
    driver.expired = 0
    if not all(task.done for task in driver.tasks) or gateway._requests:
        raise FuzzFailure("somebody waits for ever")
    gateway.received(gateway.pattern, b'{"type":"unbind_all"}')
    driver.sent.clear()
    gateway.connected()
    task = driver.spawn(gateway.online(*subs))
    devices = []
    for entry in driver.take()[0]["payload"]["devices"]:
        entry["result"] = 0
        devices.append(entry)
    answer = json.dumps({"type": "online", "payload": {"devices": devices}})
    gateway.received(gateway.pattern, answer.encode())
    driver.run()
    if not task.done or task.error is not None or not all(sub.is_online for sub in subs):
        raise FuzzFailure("a good answer did not bring the sub-devices online")


# Remote configuration and RRPC


def _fuzz_config(service, dice, tally):
    driver = Driver()
    config = service(driver, IDENTITY)
    seen: list = []
    config.on_change(seen.append)
    config.connected()
    task = driver.spawn(config.get())
    for _ in range(7):
        fields = [
            (b"type", dice.pick((b'"reply"', b'"push"', b'"other"'))),
            (b"result", dice.pick((b"0", b"0", b"1001"))),
            (b"payload", _part(dice)),
        ]
        config.received(config.pattern, _mutated(dice, _object(dice, fields)))
        driver.run(2)
        if config.current is not None and not isinstance(config.current, dict):
            raise FuzzFailure("a configuration that is no object was believed")
    if task.error is not None and not hasattr(task.error, "phase"):
        raise task.error
    config.received(config.pattern, b'{"type":"push","payload":{"good":1}}')
    if seen[-1:] != [{"good": 1}] or config.current != {"good": 1}:
        raise FuzzFailure("a good configuration was not taken")
    tally.count("configuration asked for and %s" % ("told" if task.done else "not told"))


def _fuzz_rrpc(service, dice, tally):
    driver = Driver()
    rrpc = service(driver, IDENTITY)

    @rrpc
    def handler(payload):
        if dice.hits(10):
            raise ValueError(payload)
        return payload

    base = rrpc.pattern[:-1]
    for _ in range(50):
        process_id = dice.octets(dice.below(6)) if dice.hits(90) else b"x" * dice.below(200)
        driver.is_up = dice.hits(80)
        rrpc.received(base + process_id, dice.octets(dice.below(4)))
        if dice.hits(10):
            rrpc.advance(dice.below(6000))
        if len(rrpc._calls) > 8 or len(rrpc._recent) > 32:
            raise FuzzFailure("calls pile up")
    for topic, _ in driver.sent:
        if not topic.startswith(b"$rrpc/txd/PRODUCTID1/dev01/") or len(topic) > 91:
            raise FuzzFailure("an answer to no call")
    driver.is_up = True
    rrpc.advance(20000)
    driver.sent.clear()
    good = None
    for i in range(60):  # of which a handler fails now and then
        rrpc.received(base + b"good-%d" % i, b"x")
        good = good or driver.sent[-1:]
    if not good or not good[0][0].startswith(b"$rrpc/txd/PRODUCTID1/dev01/good-"):
        raise FuzzFailure("good calls were not answered")
    tally.count("calls answered")


# Updates

_MD5 = b'"36eb5951179db14a631463a37a9322a2"'


def _fuzz_ota(service, dice, tally):
    driver = Driver()

    taken = []

    async def carry_out(update):
        taken.append(update)
        if not (
            isinstance(update.version, str) and 0 < len(update.version) <= 64
            and isinstance(update.url, str) and 0 < len(update.url) <= 2048
            and type(update.size) is int and update.size > 0 and len(update.md5) == 16
        ):  # fmt: skip
            raise FuzzFailure("an update that is none was believed")
        for _ in range(dice.below(3)):
            await pause()
        if dice.hits(50):
            raise UpdateError("on request", None, -dice.below(9))
        update.burning()

    ota = service(driver, IDENTITY, carry_out)
    ota.version = "0.1"
    ota.connected()
    for _ in range(7):
        fields = [
            (b"type", dice.pick((b'"update_firmware"', b'"report_version_rsp"', b'"other"'))),
            (b"version", dice.pick((b'"0.1"', b'"0.2"', b'"0.3"'))),
            (b"url", dice.pick((b'"https://a/b"', b'"https://a/c?d=e"'))),
            (b"md5sum", _MD5),
            (b"file_size", dice.pick((b"1", b"708482", b"99999999999"))),
            (b"result_code", dice.pick((b"0", b"0", b"-1"))),
        ]
        ota.received(ota.pattern, _mutated(dice, _object(dice, fields)))
        driver.run(1)
        if ota.state == DOWNLOADING:
            ota.update.progress(dice.below(1000), dice.below(2000))
        if ota.state == BURNING and dice.hits(50):
            driver.spawn(finish(ota, "0.2"))
    for report in driver.reports:
        if isinstance(report, FuzzFailure) or not hasattr(report, "phase"):
            raise report
    driver.run()
    if ota.state == BURNING:
        driver.spawn(finish(ota, "0.2"))
    good = b'{"type":"update_firmware","version":"9","url":"u","md5sum":%s,"file_size":7}' % _MD5
    ota.received(ota.pattern, good)
    if not taken or (taken[-1].version, taken[-1].size) != ("9", 7):
        raise FuzzFailure("a good update was not taken")
    tally.count("updates taken and %s" % ("malformed ones" if ota.malformed else "no others"))


def make_run_case(subject):
    """The run_case of fuzz_run.run() for services (a dict of classes)."""

    def run_case(seed, case, tally):
        dice = Dice(seed, case)
        _fuzz_shadow(subject["shadow"], dice, tally)
        _fuzz_gateway(subject["gateway"], dice, tally)
        _fuzz_config(subject["config"], dice, tally)
        _fuzz_ota(subject["ota"], dice, tally)
        if case % 4 == 0:
            _fuzz_rrpc(subject["rrpc"], dice, tally)

    return run_case


if __name__ == "__main__":
    sys.exit(fuzz_run.main("fuzz_services", SERVICES, make_run_case))
