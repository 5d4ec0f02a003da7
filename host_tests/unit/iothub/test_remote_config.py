import json

from iothub.errors import DeadlineError, ServiceRefused
from iothub.services.codes import CONFIG_DISABLED
from iothub.services.config import RemoteConfig

from host_tests.unit.iothub.service_driver import IDENTITY, Driver

TOPIC = b"$config/operation/result/PRODUCTID1/dev01"
NONSENSE = (
    b"",
    b"{",
    b"[]",
    b"5",
    b"{}",
    b'{"type":5}',
    b"\xff",
    b"[" * 16000,
    b'{"type":"reply"}',
    b'{"type":"reply","payload":{}}',
    b'{"type":"reply","result":0}',
    b'{"type":"reply","result":"0","payload":{}}',
    b'{"type":"reply","result":null,"payload":{}}',
    b'{"type":"reply","result":0,"payload":[]}',
    b'{"type":"push"}',
    b'{"type":"push","payload":null}',
    b'{"type":"push","payload":"a"}',
)


def _config():
    driver = Driver()
    config = RemoteConfig(driver, IDENTITY)
    config.connected()
    return config, driver


def _say(config, **message):
    return config.received(TOPIC, json.dumps(message).encode())


def test_a_get_asks_and_returns_the_answer():
    config, driver = _config()
    assert config.pattern == TOPIC and config.qos == 1
    task = driver.spawn(config.get())
    assert driver.sent == [(b"$config/operation/PRODUCTID1/dev01", b'{"type": "get"}')]
    _say(config, type="reply", result=0, payload={"a": 1})
    driver.run()
    assert task.result == {"a": 1} == config.current


def test_a_get_waits_for_the_connection_and_has_a_deadline():
    driver = Driver()
    config = RemoteConfig(driver, IDENTITY)
    task = driver.spawn(config.get())
    assert not driver.sent
    config.connected()
    driver.run()
    assert len(driver.sent) == 1 and not task.done
    driver.expired = 1
    driver.run()
    assert isinstance(task.error, DeadlineError)


def test_switched_off_is_told_by_its_code():
    config, driver = _config()
    task = driver.spawn(config.get())
    _say(config, type="reply", result=CONFIG_DISABLED)
    driver.run()
    assert isinstance(task.error, ServiceRefused) and task.error.code == 1001
    assert "switch" in task.error.hint.lower()
    # Switched on again.
    task = driver.spawn(config.get())
    _say(config, type="reply", result=0, payload={})
    driver.run()
    assert task.result == {}


def test_a_push_reaches_the_handler():
    config, _ = _config()
    seen: list = []
    assert config.on_change(seen.append) == seen.append
    _say(config, type="push", payload={"a": 1})
    _say(config, type="push", payload={"a": 2})
    assert seen == [{"a": 1}, {"a": 2}] and config.current == {"a": 2}
    assert not config.advance(250)


def test_what_was_pushed_while_away_is_fetched_and_the_same_is_no_change():
    config, driver = _config()
    seen: list = []
    config.on_change(seen.append)
    assert len(driver.sent) == 1, "asked for at once"
    for _ in range(3):
        _say(config, type="reply", result=0, payload={"a": 1})
        config.closed()
        config.connected()
    assert len(driver.sent) == 4 and seen == [{"a": 1}]
    _say(config, type="reply", result=0, payload={"a": 5})
    assert seen == [{"a": 1}, {"a": 5}]


def test_nobody_asks_when_nobody_listens():
    config, driver = _config()
    config.closed()
    config.connected()
    assert not driver.sent


def test_a_coroutine_is_handed_on_to_the_session():
    config, _ = _config()

    @config.on_change
    async def handler(settings):
        return settings

    coroutine = _say(config, type="push", payload={"a": 1})
    assert hasattr(coroutine, "send")
    coroutine.close()


def test_nonsense_is_counted_and_changes_nothing():
    config, driver = _config()
    seen: list = []
    config.on_change(seen.append)
    task = driver.spawn(config.get())
    for payload in NONSENSE:
        counted = config.malformed
        config.received(TOPIC, payload)
        driver.run(1)
        assert config.malformed == counted + 1 and not task.done, payload[:60]
    for payload in (b'{"type":"other","payload":{"a":1}}', b'{"type":"Push","payload":{}}'):
        config.received(TOPIC, payload)
    assert config.malformed == len(NONSENSE)
    assert not seen and config.current is None


def test_a_configuration_too_deep_to_compare_does_no_harm():
    config, _ = _config()
    for kind in (b'{"type":"push","payload":', b'{"type":"reply","result":0,"payload":'):
        for _ in range(2):
            config.received(TOPIC, kind + b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"}")
    _say(config, type="push", payload={"a": 1})
    assert config.current == {"a": 1}
