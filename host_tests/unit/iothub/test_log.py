"""The log: what is kept, what leaves and what never does."""

import json

from iothub.credentials import Identity
from iothub.services import log
from iothub.services.log import DEBUG, ERROR, INFO, OFF, WARNING, Log
from iothub.store.journal import Journal

from host_tests.unit.iothub.memory_storage import MemoryStorage

IDENTITY = Identity("PRODUCTID1", "dev01")
SECRET = "lDZ6Uqt+I9E0wW7rvDUs7Q=="


def _log(level=DEBUG, secrets=(), journal=None):
    journal = journal or Journal(MemoryStorage(), "crash")
    made = Log(IDENTITY, lambda: "1704363215", secrets, journal)
    if level:
        assert made.answer(None, _level(level))
    return made


def _level(level, **more):
    message = {"type": "get_log_level", "log_level": level, "result": 0, "timestamp": 1}
    message.update(more)
    return json.dumps(message).encode()


def _lines(made, sent=True):
    """The lines of the next batch, which is sent or not."""
    body = made.batch()
    assert len(body) <= 3000 + 511 * 6
    fields = json.loads(body)
    assert (fields["ProductId"], fields["DeviceName"]) == ("PRODUCTID1", "dev01")
    if sent:
        made.sent()
    return fields["Message"]


def _all(made):
    found = []
    while made.wants_to_leave(True):
        found += _lines(made)
    return found


def test_a_text_of_several_lines_is_one():
    made = _log()
    made.error("a\nERR|1|b\rc")
    assert _lines(made) == ["ERR|1704363215|a ERR|1|b c"]


def test_a_line_has_level_time_and_text():
    made = _log()
    made.error("e")
    made.warning("%d of %s", 3, "four")
    made.info("100 %")
    made.debug("%s", None)
    assert _lines(made) == [
        "ERR|1704363215|e",
        "WRN|1704363215|3 of four",
        "INF|1704363215|100 %",
        "DBG|1704363215|None",
    ]
    assert not made.wants_to_leave(True)


def test_what_is_not_wanted_is_not_even_formatted():
    class Never:
        def __str__(self):
            raise AssertionError("formatted")

    for level, kept in ((OFF, 1), (ERROR, 1), (WARNING, 2), (INFO, 3), (DEBUG, 4)):
        made = _log(level)
        for number, write in enumerate((made.error, made.warning, made.info, made.debug)):
            if number < kept:
                write("x")
            else:
                write("%s", Never())
        assert len(_lines(made)) == kept


def test_a_wrong_format_is_logged_as_it_is():
    made = _log()
    made.error("%d", "x")
    made.error("%d %d", 1)
    made.error("none", 1)
    assert _lines(made) == ["ERR|1704363215|%d", "ERR|1704363215|%d %d", "ERR|1704363215|none"]
    for value in (float("inf"), float("nan")):  # what a sensor that broke may say
        made.error("%d degrees", value)
        assert _lines(made)[-1] == "ERR|1704363215|%d degrees"


def test_the_cloud_sets_the_level_when_asked_and_unasked():
    made = _log(OFF)
    assert json.loads(made.request()) == {"type": "get_log_level", "clientToken": "PRODUCTID1"}
    for level in (1, 4, 2, 0, 3):
        assert made.answer(None, _level(level, clientToken="PRODUCTID1"))
        assert made.level == level


def test_what_sets_no_level():
    made = _log(WARNING)
    made.error("stays")
    for payload in (
        b"", b"[]", b"{}", b"1", b"\xff", b'{"type":"get_log_level"}', b"[" * 300 + b"]" * 300,
        _level(5), _level(-1), _level("3"), _level(3.0), _level(None), _level(True),
        _level(3, type="x"), _level(3, result=1), _level(3, result="0"),
    ):  # fmt: skip
        assert made.answer(None, payload) is False, payload
    assert made.level == WARNING and len(_lines(made)) == 1


def test_a_lower_level_empties_the_log_and_a_higher_one_does_not():
    made = _log(WARNING)
    made.error("kept")
    made.answer(None, _level(DEBUG))
    made.answer(None, _level(DEBUG))
    assert len(_lines(made, False)) == 1
    made.sent()
    made.error("gone")
    made.answer(None, _level(INFO))
    assert not made.wants_to_leave(True)


def test_at_level_0_errors_leave_only_when_mqtt_failed():
    made = _log(OFF)
    made.info("not kept")
    assert not made.wants_to_leave(False)
    made.error("kept")
    assert not made.wants_to_leave(True)
    assert made.wants_to_leave(False)
    assert _lines(made) == ["ERR|1704363215|kept"]


def test_what_is_too_much_is_dropped_and_counted_errors_last():
    made = _log()
    made.error("the reason")
    for i in range(100):
        made.info("line %03d %s", i, "x" * 80)
    made.error("the end")
    assert 50 < made.dropped < 80
    found = _all(made)
    assert found[0] == "WRN|1704363215|%d lines were dropped" % made.dropped
    assert found[1] == "ERR|1704363215|the reason" and found[-1] == "ERR|1704363215|the end"
    assert len(found) == 1 + 102 - made.dropped
    assert "line 099" in found[-2]
    made.info("again")
    assert len(_all(made)) == 1  # what was told of is not told of again


def test_nothing_is_unbounded():
    made = _log()
    for i in range(300):
        made.error("%d " % i + "温" * 400)
        made.traceback("x" * 3000 + "\n" * 50 + "y")
        assert sum([len(line) for line in made._kept]) <= log.MAX_KEPT_BYTES
    found = _all(made)
    assert found and all(len(line.encode()) <= log.MAX_LINE_BYTES for line in found)


def test_a_line_is_cut_between_characters():
    for text in ("温" * 400, "a" + "温" * 400, "ab" + "温" * 400, "x" * 600, "é" * 400):
        made = _log()
        made.error(text)
        (line,) = _lines(made)
        assert 508 <= len(line.encode()) <= 511 and ("ERR|1704363215|" + text).startswith(line)


def test_every_batch_fits_and_nothing_gets_lost_between_them():
    made = _log()
    texts = ["%02d" % i + '"\\\x01' * (i % 20) for i in range(60)]
    for text in texts:
        made.info(text)
    found = []
    while made.wants_to_leave(True):
        assert len(made.batch()) <= 3000
        found += _lines(made)
    assert [line.partition("5|")[2] for line in found] == texts


def test_a_batch_that_failed_is_the_next_one_again():
    made = _log()
    made.info("first")
    body = made.batch()
    made.info("second")
    assert made.batch() == body
    assert _lines(made) == ["INF|1704363215|first"]
    assert _lines(made) == ["INF|1704363215|second"]


def test_a_line_that_is_large_as_json_leaves_alone():
    made = _log()
    made.info("\x01" * 500)
    made.info("after")
    assert len(_lines(made)) == 1
    assert _lines(made) == ["INF|1704363215|after"]


def test_secrets_never_leave():
    made = _log(secrets=(SECRET, "wifi password", "", None))
    made.error("my secret is " + SECRET)
    made.info("%s%s", SECRET, "wifi password")
    made.error("x" * 490 + SECRET)  # not in halves either
    made.traceback('  File "x"\nValueError: ' + SECRET)
    text = made.batch()
    assert SECRET.encode() not in text and b"wifi" not in text and b"lDZ6" not in text
    assert text.count(b"***") == 5


def test_the_last_traceback_outlives_a_reset_until_it_has_arrived():
    storage = MemoryStorage()
    made = _log(ERROR, (SECRET,), Journal(storage, "crash"))
    made.traceback("Traceback:\n  File x\n  File y\nValueError: " + SECRET + "\n", True)
    for content in storage.files.values():
        assert SECRET.encode() not in content
    for sent in (False, True):
        again = _log(ERROR, (), Journal(storage, "crash"))
        again.error("after")
        assert _lines(again, sent) == [
            "ERR|1704363215|Traceback:",
            "ERR|1704363215|  File x",
            "ERR|1704363215|  File y",
            "ERR|1704363215|ValueError: ***",
        ]
    assert _lines(again) == ["ERR|1704363215|after"]
    assert not _log(ERROR, (), Journal(storage, "crash")).wants_to_leave(True)


def test_a_long_traceback_is_kept_from_its_end():
    made = _log(ERROR, (), Journal(MemoryStorage(), "crash"))
    made.traceback(
        "\n".join(["frame %d" % i + "x" * 60 for i in range(100)] + ["The error"]), True
    )
    found = _all(made)
    assert 5 < len(found) < 30 and found[-1] == "ERR|1704363215|The error"
