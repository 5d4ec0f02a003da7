"""The device's CoAP against libcoap's servers over DTLS, with certificates and with a pre-shared
key, and through a relay that loses, doubles and reorders datagrams; and against the cloud's rules
over plain UDP."""

import contextlib

import pytest

from host_tests.conftest import requires
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run
from host_tests.peers.coap_servers import SERVERS, CoapCloud, libcoap, pki_settings
from host_tests.peers.test_http_services import example
from host_tests.peers.tls_servers import CLIENT_ID, HOST, Place, free_port
from tools.faults.datagrams import DatagramFaults, DatagramRelay
from tools.pki import issue, make_authority

pytestmark = requires(*SERVERS)

GET, POST, PUT = 1, 2, 3
# A lost datagram is noticed by waiting; the real waits are for a real network.
SHORT_WAITS = ("COAP_ACK_MS=60", "COAP_ACK_LAST_MS=150", "COAP_RESPONSE_MS=9000")
TOPIC = "PRODUCTID1/dev01/event"


@pytest.fixture
def place(tmp_path):
    return Place.make(tmp_path)


def settings_of(kind, place):
    """(the server's settings, the device's fields)"""
    if kind == "psk":
        return [], {}
    credential = issue(place.authority, "device", [CLIENT_ID])
    return pki_settings(place), {"certificate": credential}


def device_config(place, kind, port, **fields):
    fields = dict(fields)
    if "certificate" in fields:
        fields.update(place.device_files(fields["certificate"]))
    coap = {"transport": kind, "host": HOST, "port": port}
    return place.config(1, coap=coap, **fields)


class Desk:
    def __init__(self, device):
        self.device = device

    async def ask(self, timeout_s=40, **order):
        self.device.order(**order)
        return await self.device.expect("done", timeout_s)


class PatientDesk(Desk):
    """Asks again when the device gave up: all six datagrams of a request may be lost, by chance.
    `gave_up` counts."""

    def __init__(self, device):
        super().__init__(device)
        self.gave_up = 0

    async def ask(self, timeout_s=40, **order):
        done = await super().ask(timeout_s, **order)
        if done.get("error") == "DeadlineError":
            self.gave_up += 1
            done = await super().ask(timeout_s, **order)
        return done


@contextlib.asynccontextmanager
async def desk(config, *arguments, kind=Desk):
    async with DeviceProgram("coap_program.py", config, *arguments) as device:
        yield kind(device)


@pytest.mark.parametrize("kind", ["dtls", "psk"])
@pytest.mark.parametrize("name", SERVERS)
def test_requests_over_dtls(place, name, kind):
    settings, fields = settings_of(kind, place)

    async def scenario():
        with libcoap(name, place, *settings) as server:
            async with desk(device_config(place, kind, server.dtls_port, **fields)) as d:
                done = await d.ask(code=GET, path=["time"])
                assert done["code"] == "2.05" and done["payload"].count(":") == 2, done
                # A separate response: the acknowledgement comes first.
                done = await d.ask(code=GET, path=["async"], query="1")
                assert (done["code"], done["payload"]) == ("2.05", "done"), done
                done = await d.ask(code=GET, path=["missing"])
                assert done["code"] == "4.04", done
                # As the cloud wants it: a path of one option, "/" and all.
                created = await d.ask(code=PUT, path=[TOPIC], payload="x" * 900)
                assert created["code"] == "2.01", created
                changed = await d.ask(code=PUT, path=[TOPIC], payload="22.5 °C")
                assert changed["code"] == "2.04", changed
                done = await d.ask(code=GET, path=[TOPIC])
                assert (done["code"], done["payload"]) == ("2.05", "22.5 °C"), done
                # A new session finds what the old one left.
                done = await d.ask(code=GET, path=[TOPIC], close=True)
                assert done["payload"] == "22.5 °C", done

    run(scenario, 60)


@pytest.mark.parametrize("kind", ["dtls", "psk", "udp"])
@pytest.mark.parametrize("name", SERVERS)
def test_lost_doubled_and_reordered_datagrams(place, name, kind, sweep_full):
    settings, fields = settings_of(kind, place)
    count = 200 if sweep_full else 25
    faults = DatagramFaults(loss=0.15, duplication=0.15, reordering=0.15)

    async def scenario():
        with libcoap(name, place, *settings) as server:
            port = server.port if kind == "udp" else server.dtls_port
            async with (
                DatagramRelay((HOST, port), faults, seed=11) as relay,
                desk(
                    device_config(place, kind, relay.port, **fields),
                    *SHORT_WAITS,
                    kind=PatientDesk,
                ) as d,
            ):
                for i in range(count):
                    done = await d.ask(code=PUT, path=[f"n{i % 10}"], payload=f"value {i}")
                    assert done["code"] in ("2.01", "2.04"), (i, done)
                    done = await d.ask(code=GET, path=[f"n{i % 10}"])
                    assert done.get("payload") == f"value {i}", (i, done)
                    if i % 10 == 9:  # in a second, which is the least there is
                        done = await d.ask(code=GET, path=["async"], query="1")
                        assert done.get("payload") == "done", (i, done)
                # One in 2,000 by arithmetic, when 15 of 100 are lost each way.
                assert d.gave_up <= 1 + count // 100
                for counts in (relay.up, relay.down):
                    assert min(counts.lost, counts.doubled, counts.held) > 3, counts

    run(scenario, 900 if sweep_full else 120)


def test_handshakes_come_through_a_bad_line(place):
    """Every flight of a handshake may be lost, and is repeated."""
    settings, fields = settings_of("dtls", place)
    faults = DatagramFaults(loss=0.2, reordering=0.2)

    async def scenario():
        with libcoap(SERVERS[0], place, *settings) as server:
            for seed in range(3):
                async with (
                    DatagramRelay((HOST, server.dtls_port), faults, seed) as relay,
                    desk(
                        device_config(place, "dtls", relay.port, **fields),
                        *SHORT_WAITS,
                        "COAP_HANDSHAKE_MS=60000",
                    ) as d,
                ):
                    done = await d.ask(code=GET, path=["time"])
                    assert done["code"] == "2.05", (seed, done)
                    assert relay.up.lost + relay.down.lost > 0

    run(scenario, 120)


def test_who_is_not_the_server_is_not_talked_to(place, tmp_path):
    settings, fields = settings_of("dtls", place)
    (tmp_path / "other").mkdir()
    foreign = Place.make(tmp_path / "other")

    async def scenario():
        with libcoap(SERVERS[0], place, *settings) as server:
            trusts_another = {**fields, "ca": str(foreign.folder / "trust")}
            config = device_config(place, "dtls", server.dtls_port, **trusts_another)
            async with desk(config) as d:
                done = await d.ask(code=GET, path=["time"])
                assert (done["error"], done["code"]) == ("TlsError", 2001), done
            # localhost is in the certificate, 127.0.0.1 is; another name is not.
            unknown = issue(make_authority("Nobody"), "device", [CLIENT_ID])
            config = device_config(place, "dtls", server.dtls_port, certificate=unknown)
            async with desk(config, "COAP_HANDSHAKE_MS=3000") as d:
                done = await d.ask(code=GET, path=["time"])
                assert done["typed"] and done["error"] in ("TlsError", "DeadlineError"), done

    run(scenario)


@pytest.mark.parametrize("name", SERVERS)
def test_a_wrong_key_is_refused(place, name):
    async def scenario():
        with libcoap(name, place) as server:
            config = device_config(
                place, "psk", server.dtls_port, device_secret="AAAAAAAAAAAAAAAAAAAAAA=="
            )
            async with desk(config, "COAP_HANDSHAKE_MS=3000") as d:
                done = await d.ask(code=GET, path=["time"])
                assert done["typed"] and done["error"] in ("TlsError", "DeadlineError"), done
                assert "AAAA" not in done["text"]

    run(scenario)


def test_nobody_there(place):
    async def scenario():
        port = free_port()
        async with desk(device_config(place, "udp", port), *SHORT_WAITS) as d:
            done = await d.ask(publish="event", payload="x")
            assert (done["error"], done["code"], done["phase"]) == ("LinkError", 111, "connect")
        config = device_config(place, "psk", port)
        async with desk(config, "COAP_HANDSHAKE_MS=500") as d:
            done = await d.ask(publish="event", payload="x")
            assert done["typed"] and done["code"] in (110, 111), done

    run(scenario)


def test_a_firmware_without_dtls_is_told(place):
    async def scenario():
        config = device_config(place, "dtls", 1)
        async with desk(config, "without-dtls") as d:
            done = await d.ask(publish="event", payload="x")
            assert done["error"] == "BadInput"
            assert "DTLS needs MicroPython 1.26, this is 1.29" in done["text"]

    run(scenario)


# The cloud's rules.


@pytest.mark.parametrize("separate", [False, True], ids=["piggybacked", "separate"])
def test_authentication_comes_first_and_is_renewed_once(place, separate):
    async def scenario():
        async with CoapCloud() as cloud:
            cloud.separate = separate
            async with desk(device_config(place, "udp", cloud.port)) as d:
                for payload in ("one", "22.5 °C"):
                    assert "error" not in await d.ask(publish="event", payload=payload)
                assert cloud.published == [(TOPIC, b"one"), (TOPIC, "22.5 °C".encode())]
                (authentication,) = cloud.authentications
                assert authentication[:9] == b"12010126;" and len(authentication) == 16
                assert authentication.endswith(b"\0\0")
                # The token expires.
                cloud.tokens.clear()
                assert "error" not in await d.ask(publish="event", payload="three")
                assert len(cloud.authentications) == 2
                # Once is enough: a cloud that takes no token is not asked for ever.
                cloud.tokens.clear()
                cloud.refusals = [0x81, 0x45, 0x81]
                done = await d.ask(publish="event", payload="four")
                assert (done["error"], done["code"]) == ("ServiceRefused", 401), done
                assert "error" not in await d.ask(publish="event", payload="five")
                assert [p for _, p in cloud.published][2:] == [b"three", b"five"]

    run(scenario)


def test_the_example(place):
    async def scenario():
        async with CoapCloud() as cloud:
            config = device_config(place, "udp", cloud.port, transport="tcp")
            config.rename(place.folder / "device.json")
            lines = await example(place.folder, "coap_publish")
            assert lines == ["published 21.5", "published 21.6"]
            payloads = [b'{"celsius": 21.5}', b'{"celsius": 21.6}']
            assert cloud.published == [(TOPIC, payload) for payload in payloads]

    run(scenario)


def test_refusals_are_told_with_what_to_do(place):
    async def scenario():
        async with (
            CoapCloud() as cloud,
            desk(device_config(place, "udp", cloud.port)) as d,
        ):
            for code, number in ((0x83, 403), (0xA0, 500)):
                await d.ask(publish="event", payload="works")
                cloud.refusals = [code]
                done = await d.ask(publish="event", payload="x")
                assert (done["error"], done["code"]) == ("ServiceRefused", number), done
                assert "on request" in done["text"]
            done = await d.ask(publish="event", payload="x" * 1025)
            assert done["error"] == "BadInput"

    run(scenario)


def test_publishing_through_a_bad_line_arrives_once(place, sweep_full):
    count = 300 if sweep_full else 40
    # Few enough losses that no request loses all six of its datagrams.
    faults = DatagramFaults(loss=0.08, duplication=0.2, reordering=0.2)

    async def scenario():
        async with (
            CoapCloud() as cloud,
            DatagramRelay((HOST, cloud.port), faults, seed=5) as relay,
            desk(device_config(place, "udp", relay.port), *SHORT_WAITS) as d,
        ):
            for i in range(count):
                cloud.separate = bool(i & 1)
                done = await d.ask(publish="event", payload=f"message {i}")
                assert "error" not in done, (i, done)
            payloads = [payload.decode() for _, payload in cloud.published]
            assert payloads == [f"message {i}" for i in range(count)]

    run(scenario, 600)
