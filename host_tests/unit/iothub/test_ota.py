import json

from iothub.errors import LinkError, StorageError, UpdateError
from iothub.services.ota import BURNING, DONE, DOWNLOADING, FAIL, IDLE, Ota
from iothub.services.ota_end import finish
from iothub.timeouts import OTA_PROGRESS_MS

from host_tests.unit.iothub.service_driver import IDENTITY, Driver, pause
from host_tests.unit.iothub.state_table import steps, watched

REPORT = b"$ota/report/PRODUCTID1/dev01"
MD5 = "36eb5951179db14a631463a37a9322a2"


def update(version="0.2", md5=MD5, size=708482, url="https://host/file?sign=1"):
    return {
        "type": "update_firmware",
        "version": version,
        "url": url,
        "md5sum": md5,
        "file_size": size,
    }


# What may follow on each state.
NEXT_STATES = (
    (DOWNLOADING, BURNING),
    (BURNING, FAIL, IDLE),
    (DONE, FAIL),
    (DOWNLOADING,),
    (DOWNLOADING,),
)


class Bench:
    """The service with a carry_out() that does as the test says: it pauses until it is told to go
    on, then raises `error` or is done. `steps` gathers those of all benches."""

    steps: set = set()

    def __init__(self, version="0.1"):
        self.driver = Driver()
        self.fetched = []
        self.goes_on = False
        self.error = None
        service = watched(Ota, NEXT_STATES, Bench.steps)
        self.ota = service(self.driver, IDENTITY, self._carry_out)
        self.ota.version = version
        self.ota.connected()
        self.take()

    async def _carry_out(self, update):
        self.fetched.append(update)
        while not self.goes_on:
            await pause()
        if self.error is not None:
            raise self.error
        update.burning()

    def receives(self, message):
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.ota.received(b"$ota/update/PRODUCTID1/dev01", payload)

    def take(self):
        """What was reported since the last call, in order of QoS 0, then QoS 1."""
        self.driver.run(3)
        told = [json.loads(payload) for topic, payload in self.driver.sent if topic == REPORT]
        for topic, payload, qos in self.driver.published:
            assert (topic, qos) == (REPORT, 1)
            told.append(json.loads(payload))
        self.driver.sent.clear()
        self.driver.published.clear()
        return told

    def finishes(self, error=None):
        self.goes_on = True
        self.error = error
        self.driver.run(3)

    def in_state(self, state):
        """Brings a fresh bench there."""
        if state != IDLE:
            self.receives(update())
        if state == FAIL:
            self.finishes(UpdateError("no", None, -2))
        if state in (BURNING, DONE):
            self.finishes()
        if state == DONE:
            self.driver.spawn(finish(self.ota, "0.2"))
        self.driver.run(3)
        assert self.ota.state == state
        self.goes_on = False
        self.error = None
        self.take()
        return self


def progress(state, version="0.2", code="0", text="", percent=None):
    told = {"state": state, "result_code": code, "result_msg": text}
    if percent is not None:
        told["percent"] = percent
    return {"type": "report_progress", "report": {"progress": told, "version": version}}


VERSION = {"type": "report_version", "report": {"version": "0.1"}}


def test_the_version_is_reported_at_every_connection():
    bench = Bench()
    for _ in range(3):
        bench.ota.closed()
        bench.ota.connected()
        assert bench.take() == [VERSION]
    assert (bench.ota.pattern, bench.ota.qos) == (b"$ota/update/PRODUCTID1/dev01", 1)


def test_without_a_version_nothing_is_reported():
    bench = Bench(None)
    bench.ota.connected()
    assert bench.take() == []


def test_an_answer_to_the_version_is_heard_when_it_refuses():
    bench = Bench()
    good = {"type": "report_version_rsp", "result_code": 0, "result_msg": "success"}
    bench.receives(good)
    assert bench.driver.reports == []
    good["result_code"] = 5
    bench.receives(good)
    good["result_code"] = "x"
    bench.receives(good)
    assert [e.code for e in bench.driver.reports] == [5, -1]


def test_a_whole_update_as_the_documents_tell_it():
    bench = Bench()
    bench.receives(update())
    (wanted,) = bench.fetched
    assert (wanted.version, wanted.url, wanted.size) == (
        "0.2",
        "https://host/file?sign=1",
        708482,
    )
    assert len(wanted.md5) == 16
    bench.ota.update.progress(0)
    assert bench.take() == [progress("downloading", percent="0")]
    bench.ota.update.progress(70849, OTA_PROGRESS_MS)
    assert bench.take() == [progress("downloading", percent="10")]
    bench.goes_on = True
    told = bench.take()
    assert told == [progress("downloading", percent="100"), progress("burning")]
    assert bench.ota.state == BURNING
    bench.driver.spawn(finish(bench.ota, "0.2"))
    assert bench.take() == [progress("done"), VERSION]
    assert bench.ota.state == DONE


def test_progress_is_told_once_a_second_and_when_it_changed():
    bench = Bench()
    bench.receives(update(size=1000))
    bench.ota.update.progress(0)
    bench.take()
    for _ in range(9):
        bench.ota.update.progress(500, OTA_PROGRESS_MS // 10)
        assert bench.take() == []
    bench.ota.update.progress(510, OTA_PROGRESS_MS // 10)
    assert bench.take() == [progress("downloading", percent="51")]
    bench.ota.update.progress(518, OTA_PROGRESS_MS // 2)
    bench.ota.update.progress(530, OTA_PROGRESS_MS // 2 - 1)
    assert bench.take() == [], "the second begins anew"
    for _ in range(5):
        bench.ota.update.progress(519, OTA_PROGRESS_MS)
        assert bench.take() == []


def test_progress_that_did_not_leave_is_told_later():
    bench = Bench()
    bench.receives(update(size=1000))
    bench.driver.is_up = False
    bench.ota.update.progress(0)
    bench.ota.update.progress(300, OTA_PROGRESS_MS)
    bench.driver.is_up = True
    bench.ota.update.progress(300, OTA_PROGRESS_MS)
    assert bench.take() == [progress("downloading", percent="30")]


def test_percent_is_right_for_the_largest_file():
    bench = Bench()
    bench.receives(update(size=0x3FFFFFFF))
    bench.ota.update.progress(0x3FFFFFFF - 1)
    assert bench.ota.percent == 99


# What came: how it is told.
FAILURES = (
    (UpdateError("slow", None, -1), "-1", "time_out"),
    (UpdateError("no file", None, -2), "-2", "no file"),
    (UpdateError("expired", None, -3), "-3", "expired"),
    (UpdateError("MD5", None, -4), "-4", "MD5"),
    (UpdateError("made for another board"), "-5", "made for another board"),
    (StorageError("flash is full", None, 28), "-5", "flash is full"),
    (LinkError("x" * 500), "-5", "x" * 128),
    (RuntimeError("what"), "-5", "RuntimeError what"),
    (MemoryError(), "-5", "MemoryError"),
)


def test_every_failure_has_its_code():
    for error, code, text in FAILURES:
        bench = Bench().in_state(DOWNLOADING)
        bench.finishes(error)
        assert bench.take() == [progress("fail", code=code, text=text)], error
        assert bench.ota.state == FAIL and bench.driver.reports == [error]


def test_a_failure_after_the_restart():
    bench = Bench()
    bench.ota._enter(BURNING)
    assert bench.ota.state == BURNING
    bench.driver.spawn(finish(bench.ota, "0.2", UpdateError("it hung")))
    assert bench.take() == [progress("fail", code="-5", text="it hung"), VERSION]


# state: (state after the same update_firmware again, after one for something else)
AGAIN = {
    IDLE: (DOWNLOADING, DOWNLOADING),
    DOWNLOADING: (DOWNLOADING, DOWNLOADING),
    BURNING: (BURNING, BURNING),
    DONE: (DOWNLOADING, DOWNLOADING),
    FAIL: (DOWNLOADING, DOWNLOADING),
}


def test_update_firmware_in_every_state():
    assert sorted(AGAIN) == list(range(len(NEXT_STATES)))
    for state in AGAIN:
        for number, message in enumerate((update(url="http://new"), update("0.3"))):
            bench = Bench().in_state(state)
            before = len(bench.fetched)
            bench.receives(message)
            assert bench.ota.state == AGAIN[state][number], (state, number)
            is_new = state in (IDLE, DONE, FAIL) or (state == DOWNLOADING and number == 1)
            assert len(bench.fetched) - before == is_new, (state, number)


def test_the_same_again_while_it_is_downloaded_brings_a_new_url():
    bench = Bench().in_state(DOWNLOADING)
    urls = bench.ota.urls
    bench.receives(update(url="https://host/fresh"))
    assert bench.fetched[0].url == "https://host/fresh"
    assert bench.ota.urls == urls + 1
    assert not bench.driver.tasks[-1].cancelled


def test_something_else_while_one_is_downloaded_ends_that_one():
    for other in (update("0.3"), update(md5=MD5.replace("3", "4")), update(size=1)):
        bench = Bench().in_state(DOWNLOADING)
        first = [task for task in bench.driver.tasks if not task.done]
        bench.receives(other)
        assert [task.cancelled for task in first] == [True]
        assert len(bench.fetched) == 2
        assert bench.take() == []  # nobody is told that the first one failed


def test_the_version_that_runs_is_done_already():
    bench = Bench("0.2")
    bench.receives(update())
    assert bench.fetched == []
    assert bench.take() == [progress("done")]


def test_the_version_that_runs_is_wanted_again_while_another_is_downloaded():
    bench = Bench().in_state(DOWNLOADING)
    bench.receives(update("0.1"))
    assert bench.ota.state == IDLE and bench.ota.update is None and bench.ota.percent == 0
    assert bench.take() == [progress("done", "0.1")]
    bench.receives(update())
    assert len(bench.fetched) == 2 and bench.ota.state == DOWNLOADING


def test_a_word_that_does_not_arrive_is_told():
    bench = Bench()
    lost = LinkError("lost")

    async def publish(topic, payload, qos):
        raise lost

    bench.ota._publish = publish
    bench.ota.report_version()
    assert bench.driver.reports == [lost]


def test_a_download_can_be_cancelled():
    bench = Bench().in_state(DOWNLOADING)
    (task,) = [task for task in bench.driver.tasks if not task.done]
    bench.ota.cancel()
    assert task.cancelled
    assert bench.take() == [progress("fail", code="-5", text="cancelled on the device")]
    assert bench.ota.state == FAIL
    bench.ota.cancel()
    assert bench.take() == []


def test_what_is_no_update_is_counted():
    good = update()
    wrong = [b"{", b"[]", b"null", b'{"type":1}']
    for field, values in (
        ("version", (None, 1, "", "v" * 65)),
        ("url", (None, 5, "", "u" * 2049)),
        ("md5sum", (None, 7, "", "36eb", MD5[:-1], MD5 + "0", "g" * 32)),
        ("file_size", (None, "5", 0, -1, True, 1.5, 2**30)),
    ):
        for value in values:
            message = dict(good)
            message[field] = value
            wrong.append(json.dumps(message).encode())
    for payload in wrong:
        bench = Bench()
        bench.receives(payload)
        assert (bench.ota.malformed, bench.fetched) == (1, []), payload
    bench = Bench()
    bench.receives({"type": "something else"})
    assert bench.ota.malformed == 0


def test_an_md5_in_capitals_is_the_same():
    bench = Bench().in_state(DOWNLOADING)
    bench.receives(update(md5=MD5.upper()))
    assert len(bench.fetched) == 1


def test_when_it_is_over_nothing_is_held_of_it():
    for state in (FAIL, DONE):
        bench = Bench().in_state(state)
        assert bench.ota.update is None and bench.ota.percent == 0


def test_every_step_of_the_table_was_taken():
    for state in AGAIN:
        Bench().in_state(state).receives(update("0.3"))
    bench = Bench()
    bench.ota._enter(BURNING)
    bench.driver.spawn(finish(bench.ota, "0.2", UpdateError("it hung")))
    assert Bench.steps == steps(NEXT_STATES)
