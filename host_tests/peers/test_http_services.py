"""Registration, publishing and log upload over HTTP and HTTPS, by the examples a user would run
and by single boots, against a gateway of the tests' own (gateway_server.py)."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from host_tests.conftest import requires
from host_tests.e2e.application import Application
from host_tests.e2e.device_program import ROOT, DeviceProgram
from host_tests.e2e.scenario import run, until
from host_tests.faults.test_register_cuts import certificate_payload, key_payload
from host_tests.peers.gateway_server import (
    DEVICE_SECRET,
    HOST,
    PRODUCT_ID,
    PRODUCT_SECRET,
    GatewayServer,
    Refusal,
    server_context,
)
from host_tests.peers.tls_servers import Place, mosquitto
from tools.pki import issue

EXAMPLES = ROOT / "firmware/examples"
MICROPYTHON = Path(sys.executable).parent / "micropython"
IDENTITY = {"product_id": PRODUCT_ID, "device_name": "dev01"}
LOG_TOPIC = f"$log/operation/{PRODUCT_ID}/dev01"
LOG_ANSWERS = f"$log/operation/result/{PRODUCT_ID}/dev01"


@pytest.fixture
def place(tmp_path):
    return Place.make(tmp_path)


@pytest.fixture(params=["https", "http"])
def transport(request):
    return request.param


def gateway(place, transport, payload=key_payload):
    context = server_context(*place.server()) if transport == "https" else None
    return GatewayServer(payload, context)


def settings(server, scheme, /, **fields):
    http = {"transport": scheme, "host": HOST, "port": server.port, **fields.pop("http", {})}
    return {**IDENTITY, "ca": "trust", "http": http, **fields}


async def example(folder, name, status=0):
    """What an example prints, run in a folder with device.json and trust/."""
    process = await asyncio.create_subprocess_exec(
        MICROPYTHON, EXAMPLES / f"{name}.py",
        cwd=folder,
        env={**os.environ, "MICROPYPATH": f".frozen:{ROOT / 'firmware/lib'}"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == status, output.decode()
    return output.decode().splitlines()


def write_config(folder, fields):
    path = folder / "device.json"
    path.write_text(json.dumps(fields))
    return path


def test_the_examples_are_short():
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 40, path


def test_publishing(place, transport):
    async def scenario():
        async with gateway(place, transport) as server:
            fields = settings(server, transport, device_secret=DEVICE_SECRET, transport="tcp")
            for algorithm in ("hmacsha256", "hmacsha1"):
                write_config(place.folder, {**fields, "algorithm": algorithm})
                assert await example(place.folder, "http_publish") == ["request request-1"] * 2
            topic = f"{PRODUCT_ID}/dev01/event"
            text = {"ProductId": PRODUCT_ID, "DeviceName": "dev01", "TopicName": topic}
            assert server.requests == [
                ("/device/publish", {**text, "Payload": '{"celsius": 21.5}', "Qos": 1}),
                (
                    "/device/publish",
                    {**text, "Payload": "FQU=", "PayloadEncoding": "base64", "Qos": 0},
                ),
            ] * 2  # fmt: skip

    run(scenario)


def test_publishing_with_a_certificate_signs_with_its_key(place):
    async def scenario():
        credential = issue(place.authority, "device", [f"{PRODUCT_ID}dev01"], kind="rsa")
        async with gateway(place, "https") as server:
            server.public_key = credential.key.public_key()
            fields = settings(server, "https", **place.device_files(credential))
            write_config(place.folder, fields)
            assert await example(place.folder, "http_publish") == ["request request-1"] * 2
            # Another's key does not do.
            server.public_key = place.authority.key.public_key()
            other = issue(place.authority, "device", ["other"], kind="rsa")
            server.public_key = other.key.public_key()
            (line,) = await example(place.folder, "http_publish")
            assert "HTTP status 500" in line

    run(scenario)


def test_a_wrong_secret_is_told(place):
    async def scenario():
        async with gateway(place, "http") as server:
            fields = settings(server, "http", device_secret="AAAAAAAAAAAAAAAAAAAAAA==")
            write_config(place.folder, fields)
            (line,) = await example(place.folder, "http_publish")
            assert line.startswith(
                "publish: AuthFailure.SignatureFailure: refused. Check the secr"
            )

    run(scenario)


def test_a_gateway_with_the_wrong_certificate_is_not_talked_to(place, tmp_path):
    async def scenario():
        foreign = Path(tmp_path / "foreign")
        foreign.mkdir()
        async with gateway(Place.make(foreign), "https") as server:
            fields = settings(server, "https", device_secret=DEVICE_SECRET)
            write_config(place.folder, fields)
            (line,) = await example(place.folder, "http_publish")
            assert line.startswith("tls: the server's certificate is from an unknown CA")
            assert not server.requests and not server.refused

    run(scenario)


@requires("mosquitto")
def test_registration_and_first_login(place, transport):
    async def scenario():
        with mosquitto(place.folder) as broker:
            async with (
                gateway(place, transport) as server,
                Application(broker.plain_port, "#") as app,
            ):
                path = write_config(
                    place.folder,
                    settings(
                        server, transport, product_secret=PRODUCT_SECRET,
                        transport="tcp", host=HOST, port=broker.port,
                    ),
                )  # fmt: skip
                for _ in range(2):
                    lines = await example(place.folder, "register")
                    assert lines == [f"online as Identity({PRODUCT_ID}/dev01)"]
                assert [m.payload for m in await app.hears(2)] == [b'{"registered": true}'] * 2
                written = json.loads(path.read_text())
                assert written["device_secret"] == DEVICE_SECRET
                assert "product_secret" not in written and written["ca"] == "trust"
                assert [r[1] for r in server.requests] == [
                    {"ProductId": PRODUCT_ID, "DeviceName": "dev01"}
                ]

    run(scenario)


class Box:
    """Boots by register_program.py in a folder of their own."""

    def __init__(self, device, folder):
        self.path = folder / "device.json"
        self._device = device
        self._state = folder / "state"

    async def boot(self):
        self._device.order(path=str(self.path), state=str(self._state))
        return await self._device.expect("booted")


async def boot_once(place, fields):
    path = write_config(place.folder, fields)
    async with DeviceProgram("register_program.py") as device:
        return await Box(device, path.parent).boot()


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_registration_of_a_certificate_product(place, kind):
    credential = issue(place.authority, "device", [f"{PRODUCT_ID}dev01"], kind=kind)

    async def scenario():
        async with gateway(place, "https", certificate_payload(credential)) as server:
            fields = settings(server, "https", product_secret=PRODUCT_SECRET)
            fields["ca"] = str(place.folder / "trust")
            booted = await boot_once(place, fields)
            found = booted["fields"]
            assert Path(found["certificate"]).read_bytes() == credential.certificate_der
            assert Path(found["private_key"]).read_bytes() == credential.key_der
            assert "device_secret" not in found

    run(scenario)


def test_registration_with_a_certificate_of_the_customers_own_ca(place):
    credential = issue(place.authority, "device", [f"{PRODUCT_ID}dev01"], kind="rsa")

    async def scenario():
        async with gateway(place, "http", lambda fields: {"encryptionType": 1}) as server:
            files = place.device_files(credential)
            fields = settings(server, "http", product_secret=PRODUCT_SECRET, **files)
            booted = await boot_once(place, fields)
            assert booted["fields"]["certificate"] == files["certificate"]
            assert server.requests == [
                (
                    "/device/register",
                    {
                        "ProductId": PRODUCT_ID,
                        "DeviceName": "dev01",
                        "EncryptionType": 1,
                        "ClientCert": credential.certificate_pem.decode(),
                    },
                )
            ]

    run(scenario)


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("UnsupportedOperation.RegisterDisabled", 3004),
        ("LimitExceeded.DeviceExceedLimit", 3002),
        ("ResourceNotFound.DeviceNotExist", 3003),
        ("AuthFailure.SignatureFailure", 3001),
    ],
)
def test_a_refused_registration_says_what_to_do_and_may_be_tried_again(place, code, number):
    async def scenario():
        async with gateway(place, "http") as server:
            server.refusal = Refusal(code)
            fields = settings(server, "http", product_secret=PRODUCT_SECRET)
            booted = await boot_once(place, fields)
            assert (booted["error"], booted["code"]) == ("ServiceRefused", number)
            assert code in booted["text"] and len(booted["text"]) > len(booted["reason"]) + 20
            assert PRODUCT_SECRET not in json.dumps(booted)
            server.refusal = None
            assert (await boot_once(place, fields))["fields"]["device_secret"] == DEVICE_SECRET

    run(scenario)


def test_the_wrong_product_secret_is_told_without_it(place):
    async def scenario():
        async with gateway(place, "http") as server:
            fields = settings(server, "http", product_secret="AnotherSecretOf24Letters")
            booted = await boot_once(place, fields)
            assert booted["code"] == 3001 and "AnotherSecret" not in json.dumps(booted)
            # The signature is not checked, and the answer is sealed with another secret.
            server.keys["/device/register"] = b"AnotherSecretOf24Letters"
            booted = await boot_once(place, fields)
            assert booted["error"] == "ProtocolError"
            assert "AnotherSecret" not in json.dumps(booted)

    run(scenario)


def test_the_product_secret_is_kept_when_asked(place):
    async def scenario():
        async with gateway(place, "http") as server:
            fields = settings(
                server, "http", product_secret=PRODUCT_SECRET, keep_product_secret=True
            )
            path = write_config(place.folder, fields)
            before = path.read_text()
            async with DeviceProgram("register_program.py") as device:
                box = Box(device, place.folder)
                for _ in range(2):
                    found = (await box.boot())["fields"]
                    assert found["device_secret"] == DEVICE_SECRET
                    assert "product_secret" not in found
                assert path.read_text() == before
                # What is edited afterwards counts; a broken file is not replaced.
                write_config(place.folder, {**fields, "keepalive_s": 60})
                assert (await box.boot())["fields"]["keepalive_s"] == 60
                path.write_text(before[:-3])
                booted = await box.boot()
                assert "is not JSON" in booted["text"] and path.read_text() == before[:-3]
                # Another device in the same box is registered anew.
                write_config(place.folder, {**fields, "device_name": "dev02"})
                await box.boot()
            assert server.devices == ["dev01", "dev02"]

    run(scenario)


def level_answer(level):
    return json.dumps(
        {"type": "get_log_level", "clientToken": "x", "log_level": level, "result": 0}
    )


@requires("mosquitto")
@pytest.mark.parametrize("level", [1, 3, 4])
def test_the_log(place, transport, level):
    async def scenario():
        with mosquitto(place.folder) as broker:
            async with (
                gateway(place, transport) as server,
                Application(broker.plain_port, LOG_TOPIC) as app,
            ):
                app.on_message = lambda message: app.send(LOG_ANSWERS, level_answer(level))
                write_config(
                    place.folder,
                    settings(
                        server, transport, device_secret=DEVICE_SECRET,
                        transport="tcp", host=HOST, port=broker.port,
                    ),
                )  # fmt: skip
                lines = await example(place.folder, "logs")
                assert lines == ["log uploaded, 0 lines dropped"]
                (query,) = [json.loads(m.payload) for m in await app.hears(1)]
                assert query["type"] == "get_log_level"
                uploaded = [line for _, body in server.requests for line in body["Message"]]
                assert all(path == "/device/reportlog" for path, _ in server.requests)
                texts = [line.split("|", 2) for line in uploaded]
                found = {(kind, text) for kind, _, text in texts}
                assert (("INF", f"level is {level}") in found) == (level >= 3)
                assert (("DBG", "1000 bytes free") in found) == (level >= 4)
                assert any("ValueError: invalid syntax" in text for _, text in found)
                assert any(kind == "ERR" and "logs.py" in text for kind, text in found)

    run(scenario)


@requires("mosquitto")
def test_a_crash_is_uploaded_after_the_restart_and_no_secret_with_it(place):
    program = (EXAMPLES / "logs.py").read_text()
    crash = program.replace("await log.flush()", f"raise ValueError('told {DEVICE_SECRET}')")
    assert crash != program

    async def scenario():
        (place.folder / "crash.py").write_text(crash)
        with mosquitto(place.folder) as broker:
            async with (
                gateway(place, "http") as server,
                Application(broker.plain_port, LOG_TOPIC) as app,
            ):
                app.on_message = lambda message: app.send(LOG_ANSWERS, level_answer(1))
                write_config(
                    place.folder,
                    settings(
                        server, "http", device_secret=DEVICE_SECRET,
                        transport="tcp", host=HOST, port=broker.port,
                    ),
                )  # fmt: skip
                printed = await example(place.folder, place.folder / "crash", 1)
                assert printed[-1] == f"ValueError: told {DEVICE_SECRET}"
                assert not server.requests
                state = b"".join(f.read_bytes() for f in (place.folder / "state").iterdir())
                assert DEVICE_SECRET.encode() not in state and b"ValueError: told ***" in state
                await example(place.folder, "logs")
                text = json.dumps(server.requests)
                assert "ValueError: told ***" in text and DEVICE_SECRET not in text
                server.requests.clear()
                await example(place.folder, "logs")
                assert "told ***" not in json.dumps(server.requests)

    run(scenario)


@requires("mosquitto")
def test_mqtt_steps_aside_where_two_tls_sessions_do_not_fit(place):
    program = (EXAMPLES / "logs.py").read_text()

    async def scenario():
        with mosquitto(place.folder) as broker:
            async with (
                gateway(place, "https") as server,
                Application(broker.plain_port, LOG_TOPIC) as app,
            ):
                app.on_message = lambda message: app.send(LOG_ANSWERS, level_answer(4))
                write_config(
                    place.folder,
                    settings(
                        server, "https", device_secret=DEVICE_SECRET,
                        transport="tcp", host=HOST, port=broker.port, http={"alone": True},
                    ),
                )  # fmt: skip
                again = program.replace(
                    'print("log uploaded,"', 'await device.online()\n    print("log uploaded,"'
                )
                (place.folder / "alone.py").write_text(again)
                await example(place.folder, place.folder / "alone")
                # Each login asks for the level: the second came after the upload.
                await until(lambda: len(app.messages) == 2)
                text = json.dumps(server.requests)
                assert "ValueError" in text and "offline" not in text

    run(scenario)
