"""Registration loses power at every byte it writes, and its link at every byte of the exchange,
with a gateway of the tests' own and with the hub: it always ends registered, once, and no product
secret is left in the files.

`make test` takes a sample of the bytes, the same each time; `make sweep` takes all.
"""

import json
from pathlib import Path

import pytest

from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run
from host_tests.faults.test_byte_cuts import sample
from host_tests.peers.gateway_server import (
    DEVICE_SECRET,
    HOST,
    PRODUCT_ID,
    PRODUCT_SECRET,
    GatewayServer,
)
from tools.faults import Cut, FaultProxy, Faults, Flow
from tools.hub import Hub, HubConfig
from tools.pki import issue, make_authority

SAMPLE = 40
SILENT_SAMPLE = 6
SWEEP_DEADLINE_S = 1200.0
SHORT_WAITS = ("HTTP_RESPONSE_MS=300", "HTTP_BODY_MS=300")


class HubGateway:
    """The hub as a GatewayServer; what it gives is its own."""

    def __init__(self, kind, folder):
        self._kind = kind
        self._data = folder / "hub"
        self._config = HubConfig(mqtt_port=0, api_port=0, http_port=0, data=self._data)

    async def __aenter__(self):
        self._hub = await Hub(self._config).__aenter__()
        self.port = self._hub.address.ports["http"]
        registry = self._hub.registry
        self._product = registry.add_product("cut", "key" if self._kind == "key" else "cert")
        registry.set_registration(self._product.product_id, "auto", 1)
        self.fields = {
            "product_id": self._product.product_id,
            "product_secret": self._product.secret,
        }
        return self

    async def __aexit__(self, *error):
        await self._hub.__aexit__(*error)

    @property
    def devices(self):
        assert all(device.registered for device in self._product.devices.values())
        return list(self._product.devices)

    def forget_devices(self):
        # A certificate's key takes long to make: such a device stays, and asks again.
        if self._kind == "key":
            for device in list(self._product.devices.values()):
                self._hub.registry.remove_device(device)

    def secret(self):
        return self._product.devices["dev01"].secret

    def expected(self):
        """The files of a registered device with a certificate."""
        folder = self._data / "devices" / self._product.product_id / "dev01"
        return {
            name: (folder / f"{name}.der").read_bytes() for name in ("certificate", "private_key")
        }


class Desk:
    """A device in its box, which may be booted as often as wanted."""

    def __init__(self, device, server, folder, **fields):
        self.device = device
        self.server = server
        self._folder = folder
        self._fields = fields
        self._product_secret = fields.get("product_secret", PRODUCT_SECRET)
        self._count = 0
        self.port = server.port
        self.expected: dict[str, bytes] = {}

    def unpack(self):
        """A new device, as it left the factory."""
        self._count += 1
        self.server.forget_devices()
        self.home = self._folder / f"device{self._count:05}"
        self.home.mkdir()
        self.path = self.home / "device.json"
        fields = {
            "product_id": PRODUCT_ID,
            "device_name": "dev01",
            "product_secret": PRODUCT_SECRET,
            "transport": "auto",
            "http": {"transport": "http", "host": HOST, "port": self.port},
            "network": {"ssid": "net"},
            **self._fields,
        }
        self.path.write_text(json.dumps(fields))

    async def boot(self, **order):
        self.device.order(path=str(self.path), state=str(self.home / "state"), **order)
        return await self.device.expect("booted")

    async def boot_until_registered(self):
        for _ in range(3):
            booted = await self.boot()
            if "fields" in booted:
                return booted
        raise AssertionError(booted)

    def judge(self, booted):
        """The device is registered and says so at every boot; once; without the product secret."""
        fields = booted["fields"]
        assert self.server.devices == ["dev01"]
        assert fields["network"] == {"ssid": "net"} and fields["transport"] == "auto"
        assert "product_secret" not in fields
        if "device_secret" in fields:
            assert fields["device_secret"] == self.server.secret()
        else:
            for name in ("certificate", "private_key"):
                assert Path(fields[name]).read_bytes() == self.expected[name]
        written = json.loads(self.path.read_text())
        assert written == fields
        files = [path for path in self.home.rglob("*") if path.is_file()]
        for path in files:
            assert self._product_secret.encode() not in path.read_bytes(), path
        assert not list((self.home / "state").iterdir()), "the journal is still there"


def key_payload(fields):
    return {"encryptionType": 2, "psk": DEVICE_SECRET}


def certificate_payload(credential):
    answer = {
        "encryptionType": 1,
        "clientCert": credential.certificate_pem.decode(),
        "clientKey": credential.key_pem.decode(),
    }
    return lambda fields: answer


class OwnGateway(GatewayServer):
    """The tests' own."""

    def __init__(self, kind):
        self._credential = issue(make_authority("Test CA"), "device", [f"{PRODUCT_ID}dev01"])
        self.fields: dict[str, str] = {}
        certified = certificate_payload(self._credential)
        super().__init__(key_payload if kind == "key" else certified)

    def expected(self):
        """The files of a registered device with a certificate."""
        credential = self._credential
        return {"certificate": credential.certificate_der, "private_key": credential.key_der}


def gateway_of(by, kind, folder):
    return HubGateway(kind, folder) if by == "hub" else OwnGateway(kind)


@pytest.mark.parametrize("by", ["stand-in", "hub"])
@pytest.mark.parametrize("kind", ["key", "certificate"])
@pytest.mark.parametrize("is_atomic", [False, True], ids=["torn", "atomic"])
def test_power_may_fail_at_every_byte_that_is_written(tmp_path, kind, is_atomic, by, sweep_full):
    async def scenario():
        async with (
            gateway_of(by, kind, tmp_path) as server,
            DeviceProgram("register_program.py") as device,
        ):
            desk = Desk(device, server, tmp_path, **server.fields)
            desk.unpack()
            whole = await desk.boot()
            desk.expected = server.expected() if kind == "certificate" else {}
            desk.judge(whole)
            spent = whole["spent"]
            assert spent > 500, "that was no whole registration"
            every = range(spent)
            for cut_after in every if sweep_full else sample(every, SAMPLE, kind):
                desk.unpack()
                booted = await desk.boot(cut_after=cut_after, is_atomic=is_atomic)
                assert booted.get("cut"), (cut_after, booted)
                booted = await desk.boot_until_registered()
                try:
                    judge_after_cut(desk, booted, spent - cut_after)
                except AssertionError as error:
                    raise AssertionError(f"cut after {cut_after} bytes of {spent}") from error

    run(scenario, SWEEP_DEADLINE_S)


def judge_after_cut(desk, booted, left):
    if left <= 2:
        # The configuration was whole already, and nothing looked at the journal any more.
        for path in (desk.home / "state").iterdir():
            path.unlink()
    desk.judge(booted)


@pytest.mark.parametrize("by", ["stand-in", "hub"])
@pytest.mark.parametrize("how", Cut, ids=lambda how: how.value)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_the_link_may_break_at_every_byte_of_the_exchange(
    tmp_path, direction, how, by, sweep_full
):
    waits = SHORT_WAITS if how is Cut.STALL else ()

    async def scenario():
        async with (
            gateway_of(by, "key", tmp_path) as server,
            FaultProxy((HOST, server.port)) as proxy,
            DeviceProgram("register_program.py", *waits) as device,
        ):
            desk = Desk(device, server, tmp_path, **server.fields)
            desk.port = proxy.port
            secret = server.fields.get("product_secret", PRODUCT_SECRET)
            desk.unpack()
            desk.judge(await desk.boot())
            size = getattr(proxy.links[-1], direction).passed_bytes
            assert size > 200, "that was no whole exchange"
            count = SILENT_SAMPLE if how is Cut.STALL else SAMPLE
            every = range(size)
            for offset in every if sweep_full else sample(every, count, direction):
                desk.unpack()
                proxy.next_faults = Faults(**{direction: Flow(cut_after_bytes=offset, cut=how)})
                booted = await desk.boot()
                assert booted.get("typed") and booted["phase"], (offset, booted)
                assert secret not in booted["text"]
                assert json.loads(desk.path.read_text())["product_secret"] == secret
                desk.judge(await desk.boot())

    run(scenario, SWEEP_DEADLINE_S)
