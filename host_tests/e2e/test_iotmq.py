"""The client of IoT MQ, the older service, against the hub's and against mosquitto, whose file of
passwords holds one signed by the standard library."""

import base64
import contextlib
import hashlib
import hmac
import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from host_tests.conftest import requires
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run
from tools import prerequisites
from tools.bench.mosquitto import Mosquitto
from tools.faults import FaultProxy
from tools.hub import Hub, HubConfig

pytestmark = requires("mosquitto")

TOPIC = "home/kitchen"
Login = dict[str, str]


class Service:
    """`login` is good for an instance on `port`."""

    def __init__(self, port: int, login: Login) -> None:
        self.port = port
        self.login = login | {"client_id": "any name 厨房"}

    def client(self, other: Mapping[str, str] | None = None, port: int = 0) -> DeviceProgram:
        login = json.dumps({**self.login, **(other or {})})
        return DeviceProgram("iotmq_program.py", "127.0.0.1", port or self.port, login)


@contextlib.asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[Service]:
    login = {
        "app_id": "1250000000",
        "instance_id": "mqtt-abc123xyz",
        "secret_id": "AKIDexample",
        "secret_key": "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
    }
    passwords = folder / "passwords"
    passwords.touch(0o600)
    subprocess.run(
        [
            str(prerequisites.find("mosquitto_passwd")),
            *("-b", str(passwords), login["secret_id"], password(login)),
        ],
        check=True,
        timeout=10,
    )
    with Mosquitto(folder, ("allow_anonymous false", f"password_file {passwords}")) as broker:
        yield Service(broker.port, login)


def password(login: Mapping[str, str]) -> str:
    """As the document "客户端签名计算" has it."""
    text = f"Appid={login['app_id']}&Instanceid={login['instance_id']}&Action=Connect"
    digest = hmac.digest(login["secret_key"].encode(), text.encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


@contextlib.asynccontextmanager
async def hub(_folder: Path) -> AsyncIterator[Service]:
    async with Hub(HubConfig(mqtt_port=0, api_port=0)) as running:
        instance = await running.iotmq.add_instance()
        running.iotmq.catalogue.add_topic(instance.instance_id, TOPIC, 60, 100)
        names = ("app_id", "instance_id", "secret_id", "secret_key")
        yield Service(instance.port, {name: getattr(instance, name) for name in names})


SERVICES = {"mosquitto": mosquitto, "hub": hub}
each_service = pytest.mark.parametrize("service_name", SERVICES)


@each_service
@pytest.mark.parametrize("qos", [0, 1])
def test_clients_talk_to_each_other(tmp_path, service_name, qos):
    async def scenario() -> None:
        async with (
            SERVICES[service_name](tmp_path) as service,
            service.client({"client_id": "listener"}) as listener,
            service.client() as talker,
        ):
            await listener.expect("online")
            await talker.expect("online")
            listener.order(do="subscribe", pattern=TOPIC, qos=qos)
            await listener.expect("done")
            talker.order(do="publish", topic=TOPIC, payload="22.5 °C", qos=qos)
            await talker.expect("done")
            message = await listener.expect("message")
            assert (message["topic"], message["payload"]) == (TOPIC, "22.5 °C")

    run(scenario)


@each_service
def test_a_session_is_kept_through_an_outage(tmp_path, service_name):
    async def scenario() -> None:
        async with (
            SERVICES[service_name](tmp_path) as service,
            FaultProxy(("127.0.0.1", service.port)) as proxy,
            service.client({"client_id": "listener"}, proxy.port) as listener,
            service.client() as talker,
        ):
            assert (await listener.expect("online"))["present"] is False
            listener.order(do="subscribe", pattern=TOPIC)
            await listener.expect("done")
            proxy.cut()
            await listener.expect("offline")
            await talker.expect("online")
            talker.order(do="publish", topic=TOPIC, payload="meanwhile")
            await talker.expect("done")
            proxy.heal()
            assert (await listener.expect("online"))["present"] is True
            assert (await listener.expect("message"))["payload"] == "meanwhile"

    run(scenario)


# The standard says 4, and mosquitto 5, to a password that is wrong.
@pytest.mark.parametrize(("service_name", "code"), [("mosquitto", 5), ("hub", 4)])
@pytest.mark.parametrize("field", ["app_id", "instance_id", "secret_id", "secret_key"])
def test_each_part_of_the_login_counts(tmp_path, service_name, code, field):
    async def scenario() -> None:
        async with SERVICES[service_name](tmp_path) as service:
            wrong = service.login[field][:-1] + ("8" if service.login[field][-1] == "9" else "9")
            async with service.client({field: wrong}) as client:
                offline = await client.expect("offline")
                assert (offline["error"], offline["code"]) == ("LoginRefused", code)
                assert offline["hint"]
                assert service.login["secret_key"] not in json.dumps(client.events)

    run(scenario)


def test_an_unknown_topic_is_refused(tmp_path):
    async def scenario() -> None:
        async with hub(tmp_path) as service, service.client() as client:
            await client.expect("online")
            client.order(do="subscribe", pattern="home/cellar")
            refused = await client.expect("refused")
            assert (refused["error"], refused["code"]) == ("SubscribeRefused", 128)

    run(scenario)


@each_service
def test_what_the_service_has_not_is_refused_before_it_is_sent(tmp_path, service_name):
    async def scenario() -> None:
        async with SERVICES[service_name](tmp_path) as service, service.client() as client:
            await client.expect("online")
            for order, field in (
                ({"qos": 2}, "qos"),
                ({"retain": True}, "retain"),
                ({"topic": "home/+"}, "topic"),
            ):
                client.order(**{"do": "publish", "topic": TOPIC, "payload": "x", **order})
                refused = await client.expect("refused")
                assert refused["error"] == "BadInput"
                assert refused["reason"].startswith(field + ": ")
            assert not client.of("offline")

    run(scenario)


@pytest.mark.parametrize(
    "field", ["app_id", "instance_id", "secret_id", "secret_key", "client_id"]
)
def test_a_missing_field_is_named(field):
    async def scenario() -> None:
        login = dict.fromkeys(("app_id", "instance_id", "secret_id", "secret_key"), "x")
        async with Service(1, login).client({field: ""}) as client:
            refused = await client.expect("refused")
            assert (refused["error"], refused["reason"]) == ("BadInput", f"{field}: is missing")

    run(scenario)
