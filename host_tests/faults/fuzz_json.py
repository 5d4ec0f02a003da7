"""Mutation fuzz of what the library reads from JSON: the answers of the time service and the
configuration.

    PYTHONPATH=.:firmware/lib python host_tests/faults/fuzz_json.py --seed 1 --cases 1000

A case is some answers that are almost right, of which none may raise and none may set an absurd
time, then a good one, which must be believed; and a configuration that is almost right, which is
taken or refused with BadInput, its secret untold. The two interpreters' JSON parsers differ in
what they forgive, so that their digests differ. `--subject NAME` runs a service of fuzz_broken.py.
"""

import json
import sys

from iothub.config import Config
from iothub.errors import BadInput
from iothub.services.ntp import Ntp

from host_tests.faults import fuzz_run
from host_tests.faults.fuzz_broken import TIME_SERVICES
from host_tests.faults.fuzz_dice import Dice, mutate
from host_tests.faults.fuzz_run import FuzzFailure

NOW_MS = 1704363215000
EARLIEST_MS = 1577836800000
LATEST_MS = 4102444800000
MAX_WAIT_MS = 5000
SECRET = "lDZ6Uqt+I9E0wW7rvDUs7Q=="

ODD_VALUES = (
    b"null", b"true", b"false", b"0", b"-1", b"1e3", b"1e400", b"-0.0", b"1704363215", b"4" * 400,
    b"1704363215000", b"1704363215000.0", b'""', b'"1704363215"', b'"\\ud800"', b'"\\u0000"',
    b"[]", b"{}", b"[1,2]", b'{"ntptime1":1}', b"[" * 200 + b"]" * 200, b'"' + b"x" * 5000 + b'"',
    b"NaN", b"Infinity", b'"\xe6\xb8\xa9"', b'"\xff"', b"01", b"tru", b"'a'", b"",
)  # fmt: skip
CONFIG = (
    (b"product_id", b'"PRODUCTID1"'),
    (b"device_name", b'"dev01"'),
    (b"device_secret", b'"' + SECRET.encode() + b'"'),
    (b"region", b'"china"'),
    (b"transport", b'"tcp"'),
    (b"port", b"1883"),
    (b"keepalive_s", b"240"),
    (b"clean_session", b"true"),
    (b"network", b'{"ssid":"net"}'),
)


def _object(dice, fields, odd_percent):
    """The JSON text of fields, some of them odd, some left out, some twice."""
    members = []
    for name, value in fields:
        if dice.hits(odd_percent):
            value = dice.pick(ODD_VALUES)
        if dice.hits(95):
            members.append(b'"' + name + b'":' + value)
        if dice.hits(2):
            members.append(b'"' + name + b'":' + dice.pick(ODD_VALUES))
    return b"{" + b",".join(members) + b"}"


def _answer(dice, received_ms):
    """An answer that is almost right."""
    sent_ms = received_ms + dice.pick((0, 1, 5, 100, -1, 100000))
    fields = [(b"type", b'"get"'), (b"time", b"%d" % (received_ms // 1000))]
    if dice.hits(80):
        fields += [(b"ntptime1", b"%d" % received_ms), (b"ntptime2", b"%d" % sent_ms)]
    return bytes(mutate(dice, _object(dice, fields, 15), dice.pick((0, 0, 1, 1, 2, 4))))


def _ask_the_time(service, dice, tally):
    ntp = service(lambda end, start: end - start)
    asked_at = dice.below(10000)
    ntp.request(asked_at)
    for _ in range(1 + dice.below(3)):
        wait_ms = dice.pick((0, 10, 500, 4999, 6000))
        found = ntp.answer(_answer(dice, NOW_MS), asked_at + wait_ms)
        if found is None:
            tally.count("time not believed")
            continue
        tally.count("time believed")
        if type(found) is not int or not EARLIEST_MS <= found < LATEST_MS + MAX_WAIT_MS:
            raise FuzzFailure(f"the time {found!r} was believed")
    ntp.request(asked_at)
    good = b'{"type":"get","time":1704363215,"ntptime1":%d,"ntptime2":%d}' % (NOW_MS, NOW_MS)
    if ntp.answer(good, asked_at + 10) != NOW_MS + 5:
        raise FuzzFailure("a good answer was not believed")


def _configure(dice, tally):
    text = bytes(mutate(dice, _object(dice, CONFIG, 4), dice.pick((0, 0, 1, 2))))
    try:
        fields = json.loads(text)
    except (ValueError, RuntimeError):
        tally.count("configuration is not JSON")
        return
    told = ""
    try:
        Config(fields)
        tally.count("configuration taken")
    except BadInput as e:
        tally.count("configuration refused")
        told = str(e) + repr(e)
    if SECRET[:8] in told:
        raise FuzzFailure("the secret was told")


def make_run_case(service=Ntp):
    """The run_case of fuzz_run.run() for a time service."""

    def run_case(seed, case, tally):
        dice = Dice(seed, case)
        _ask_the_time(service, dice, tally)
        _configure(dice, tally)

    return run_case


if __name__ == "__main__":
    sys.exit(fuzz_run.main("fuzz_json", TIME_SERVICES, make_run_case))
