"""The hub's updates by themselves: ranges, addresses, versions, roll-outs, reports."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest

from host_tests.unit.hub.service_bench import ServiceBench
from tools.hub.address import Address
from tools.hub.ota.library import MAX_VERSIONS, Firmware
from tools.hub.ota.links import VALID_S, Links
from tools.hub.ota.messages import OtaMessages
from tools.hub.ota.ranges import Part, requested
from tools.hub.ota.updates import Updates
from tools.hub.registry import RegistryError

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("wanted", "if_range", "expected"),
    [
        (None, None, Part(0, 99, True)),
        ("bytes=0-", None, Part(0, 99, False)),
        ("bytes=10-19", None, Part(10, 19, False)),
        ("Bytes=10-19", ETAG, Part(10, 19, False)),
        ("bytes=10-19", '"other"', Part(0, 99, True)),
        ("bytes=90-100", None, Part(90, 99, False)),  # the vendor's: the size as the last byte
        ("bytes=99-", None, Part(99, 99, False)),
        ("bytes=100-", None, None),
        ("bytes=-10", None, Part(90, 99, False)),
        ("bytes=-1000", None, Part(0, 99, False)),
        ("bytes=-0", None, None),
        ("bytes=20-10", None, Part(0, 99, True)),
        ("bytes=-", None, Part(0, 99, True)),
        ("bytes=0-1,5-6", None, Part(0, 99, True)),
        ("items=0-1", None, Part(0, 99, True)),
        ("bytes=+1-5", None, Part(0, 99, True)),
        ("bytes", None, Part(0, 99, True)),
        ("bytes=" + "9" * 30 + "-", None, Part(0, 99, True)),
    ],
)
def test_which_bytes_a_request_is_for(wanted, if_range, expected):
    assert requested(wanted, if_range, ETAG, 100) == expected


class Bench(ServiceBench):
    def __init__(self, database: str = ":memory:", **settings):
        super().__init__(database, **settings)
        self.updates = Updates(self.context)
        address = Address("127.0.0.1", {"http": 8081, "https": 8444})
        self.updates.links = Links(address, self.clock)
        self.messages = OtaMessages(self.context, self.updates)

    def upload(self, product_id: str, version: str, content: bytes = b"firmware") -> Firmware:
        async def pieces() -> AsyncIterator[bytes]:
            for i in range(0, len(content), 5):
                yield content[i : i + 5]

        return asyncio.run(self.updates.library.add(product_id, version, pieces()))

    def report(self, device, kind, **report):
        import json

        self.messages.handle(
            device.identity,
            f"$ota/report/{device.identity.path}",
            json.dumps({"type": kind, "report": report}).encode(),
        )

    def progress(self, device, version, **progress):
        self.report(device, "report_progress", version=version, progress=progress)

    def offers(self):
        """The update_firmware messages since the last call."""
        found = [shown for _, _, shown, _ in self.sent if shown["type"] == "update_firmware"]
        self.sent.clear()
        return found


@pytest.fixture
def bench(tmp_path):
    made = Bench(data=tmp_path)
    yield made
    made.updates.close()
    made.store.close()


def test_a_version_is_uploaded_listed_replaced_and_removed(bench, tmp_path):
    product = bench.new_device().identity.product_id
    first = bench.upload(product, "1.0")
    assert (first.md5, first.size) == (hashlib.md5(b"firmware").hexdigest(), 8)
    assert bench.updates.library.path(first).read_bytes() == b"firmware"
    second = bench.upload(product, "1.0", b"another")
    assert bench.updates.library.versions(product) == [second]
    assert not bench.updates.library.path(first).exists()
    same = bench.upload(product, "1.1", b"another")
    bench.updates.library.remove(product, "1.0")
    assert bench.updates.library.path(same).exists()  # 1.1 has the same
    bench.updates.library.remove(product, "1.1")
    assert list((tmp_path / "firmware" / product).iterdir()) == []


def test_what_is_not_taken_as_firmware(bench, tmp_path, monkeypatch):
    product = bench.new_device().identity.product_id
    for version, content, code in (
        ("", b"x", "invalid"),
        ("v" * 33, b"x", "invalid"),
        ("1\n", b"x", "invalid"),
        ("1.0", b"", "invalid"),
    ):
        with pytest.raises(RegistryError) as raised:
            bench.upload(product, version, content)
        assert raised.value.code == code
    monkeypatch.setattr("tools.hub.ota.library.MAX_FILE_BYTES", 10)
    with pytest.raises(RegistryError) as raised:
        bench.upload(product, "1.0", b"x" * 11)
    assert raised.value.code == "too_large"
    assert list((tmp_path / "firmware" / product).iterdir()) == []
    with pytest.raises(RegistryError):
        bench.upload("NOPRODUCT0", "1.0")
    for number in range(MAX_VERSIONS):
        bench.upload(product, f"{number}")
    with pytest.raises(RegistryError) as raised:
        bench.upload(product, "one more")
    assert raised.value.code == "limit"


def test_an_update_as_the_documents_tell_it(bench):
    device = bench.new_device()
    product = device.identity.product_id
    firmware = bench.upload(product, "1.1")
    bench.report(device, "report_version", version="1.0")
    _, topic, answer, _ = bench.sent[-1]
    assert topic == f"$ota/update/{device.identity.path}"
    assert answer == {
        "type": "report_version_rsp", "result_code": 0, "result_msg": "success", "version": "1.0",
    }  # fmt: skip
    bench.sent.clear()
    (update,) = bench.updates.roll_out(product, "1.1", [device.identity.device_name])
    assert update.state == "offered"
    assert bench.sent[0][3] == 1  # its QoS
    (offer,) = bench.offers()
    url = offer.pop("url")
    assert offer == {
        "type": "update_firmware", "version": "1.1", "md5sum": firmware.md5, "file_size": 8,
    }  # fmt: skip
    assert url.startswith(f"https://127.0.0.1:8444/ota/{device.identity.path}/1.1?expires=")
    # Again whenever it reports another version; not once it runs.
    bench.report(device, "report_version", version="1.0")
    assert len(bench.offers()) == 1
    bench.progress(device, "1.1", state="downloading", percent="40", result_code="0")
    (update,) = bench.updates.progress(product)
    assert (update.state, update.percent) == ("downloading", 40)
    bench.progress(device, "1.1", state="burning", result_code="0", result_msg="")
    bench.progress(device, "1.1", state="done", result_code="0", result_msg="")
    (update,) = bench.updates.progress(product, "1.1")
    assert (update.state, update.percent) == ("done", 100)
    bench.sent.clear()
    bench.report(device, "report_version", version="1.1")
    assert bench.offers() == []
    assert bench.updates.running(device.identity) == "1.1"


def test_a_device_that_runs_the_version_is_done_without_a_word(bench):
    device = bench.new_device()
    bench.upload(device.identity.product_id, "1.1")
    bench.updates.roll_out(device.identity.product_id, "1.1")
    bench.report(device, "report_version", version="1.1")
    (update,) = bench.updates.progress(device.identity.product_id)
    assert update.state == "done"


def test_a_failure_is_kept_with_its_code(bench):
    device = bench.new_device()
    bench.upload(device.identity.product_id, "1.1")
    bench.updates.roll_out(device.identity.product_id, "1.1")
    bench.progress(device, "1.1", state="fail", result_code="-4", result_msg="time_out")
    (update,) = bench.updates.progress(device.identity.product_id)
    assert (update.state, update.result_code, update.result_msg) == ("fail", -4, "time_out")


def test_a_device_that_is_away_is_offered_it_when_it_reports(bench):
    device = bench.new_device(online=False)
    bench.upload(device.identity.product_id, "1.1")
    (update,) = bench.updates.roll_out(device.identity.product_id, "1.1")
    assert update.state == "rolled out"
    assert bench.offers() == []
    bench.presence.connected(device.identity)
    bench.report(device, "report_version", version="1.0")
    assert len(bench.offers()) == 1


def test_a_share_is_the_same_devices_and_grows(bench):
    product = bench.new_device(online=False).identity.product_id
    for number in range(1, 100):
        bench.registry.add_device(product, f"lamp{number}")
    for version in ("1.1", "1.2"):
        bench.upload(product, version)
    shares = {
        percent: {u.device for u in bench.updates.roll_out(product, "1.1", None, percent)}
        for percent in (5, 10, 50, 100)
    }
    assert [len(devices) for devices in shares.values()] == [5, 10, 50, 100]
    assert shares[5] < shares[10] < shares[50] < shares[100]
    assert {u.device for u in bench.updates.roll_out(product, "1.1", None, 5)} == shares[5]
    # Not always the same ones are the first to try.
    assert {u.device for u in bench.updates.roll_out(product, "1.2", None, 5)} != shares[5]


def test_what_cannot_be_rolled_out(bench):
    device = bench.new_device()
    product = device.identity.product_id
    bench.upload(product, "1.1")
    for arguments, code in (
        (("1.2",), "not_found"),
        (("1.1", ["nobody"]), "not_found"),
        (("1.1", []), "invalid"),
        (("1.1", None, 0), "invalid"),
        (("1.1", None, 100.1), "invalid"),
        (("1.1", None, float("nan")), "invalid"),
    ):
        with pytest.raises(RegistryError) as raised:
            bench.updates.roll_out(product, *arguments)
        assert raised.value.code == code, arguments
    bench.updates.links = Links(Address("127.0.0.1", {}), bench.clock)
    with pytest.raises(RegistryError, match="--https-port"):
        bench.updates.roll_out(product, "1.1")
    with pytest.raises(RegistryError):
        bench.updates.withdraw(device.identity)


def test_a_device_that_is_named_twice_is_offered_it_once(bench):
    device = bench.new_device()
    product = device.identity.product_id
    bench.upload(product, "1.1")
    assert len(bench.updates.roll_out(product, "1.1", [device.identity.device_name] * 2)) == 1
    assert len(bench.sent) == 1


def test_the_files_of_a_product_go_with_it(tmp_path):
    bench = Bench(data=tmp_path)
    device = bench.new_device()
    product = bench.registry.product(device.identity.product_id)
    bench.upload(product.product_id, "1.1")
    bench.registry.remove_device(device)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"the first half"
        assert list(tmp_path.glob("firmware/*/*"))
        bench.registry.remove_product(product)
        yield b"and the second"

    with pytest.raises(RegistryError, match="no product"):
        asyncio.run(bench.updates.library.add(product.product_id, "1.2", pieces()))
    assert list(tmp_path.glob("firmware/*")) == []
    bench.store.flush()


def test_what_a_device_must_not_say(bench):
    device = bench.new_device()
    bench.upload(device.identity.product_id, "1.1")
    bench.updates.roll_out(device.identity.product_id, "1.1")
    bench.sent.clear()
    good = {"state": "downloading", "percent": "1", "result_code": "0", "result_msg": ""}
    for wrong in (
        {"state": "flying"},
        {"percent": "101"},
        {"percent": "-1"},
        {"percent": "--5"},
        {"percent": "5-"},
        {"percent": "x"},
        {"percent": True},
        {"result_code": "-6"},
        {"result_msg": 5},
        {"result_msg": "x" * 300},
    ):
        bench.progress(device, "1.1", **{**good, **wrong})
        (update,) = bench.updates.progress(device.identity.product_id)
        assert update.state == "offered", wrong
    for payload in (b"", b"[]", b"{", b"{}", b'{"type":"report_version"}', b"\xff"):
        bench.messages.handle(device.identity, "$ota/report/x", payload)
    for version in (None, 5, "", "v" * 33):
        bench.report(device, "report_version", version=version)
    bench.report(device, "report", version="1.0")
    bench.progress(device, "1.2", **good)  # nobody wants that one
    assert bench.sent == []
    refused = bench.store.query("SELECT COUNT(*) FROM event WHERE detail LIKE '%refused%'")
    assert refused == [(22,)]


def test_an_address_is_for_one_device_one_file_and_a_while(bench):
    device, other = bench.new_device(), bench.new_device()
    firmware = bench.upload(device.identity.product_id, "1.1")
    links = bench.updates.links
    url = links.make("http", device.identity, firmware)
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    expires, signature = query["expires"], query["signature"]

    def fault(identity=device.identity, firmware=firmware, expires=expires, signature=signature):
        return links.fault(identity, firmware, expires, signature)

    assert fault() is None
    assert fault(identity=other.identity) == "the signature is wrong"
    replaced = bench.upload(device.identity.product_id, "1.1", b"another")
    assert fault(firmware=replaced) == "the signature is wrong"
    assert fault(expires=str(int(expires) + 1)) == "the signature is wrong"
    assert fault(signature="") == "the signature is wrong"
    for nothing in ("", "x", "9" * 13, "٣"):
        assert fault(expires=nothing) == "it has no expiry"
    bench.clock.moved_ms += VALID_S * 1000 - 1000
    assert fault() is None
    bench.clock.moved_ms += 1000
    assert fault() == "it has expired"
    again = Links(Address("127.0.0.1", {"http": 1}), bench.clock)
    assert again.fault(device.identity, firmware, expires, signature) == "the signature is wrong"


def test_everything_is_there_after_a_restart(tmp_path):
    database = str(tmp_path / "hub.db")
    bench = Bench(database, data=tmp_path)
    device, gone = bench.new_device(), bench.new_device()
    for each in (device, gone):
        bench.upload(each.identity.product_id, "1.1")
        bench.updates.roll_out(each.identity.product_id, "1.1")
        bench.report(each, "report_version", version="1.0")
    bench.progress(device, "1.1", state="downloading", percent="7")
    bench.registry.remove_device(gone)
    kept = bench.updates.progress(device.identity.product_id)
    versions = bench.updates.library.versions(device.identity.product_id)
    bench.store.close()
    again = Bench(database, data=tmp_path)
    assert again.updates.progress(device.identity.product_id) == kept
    assert again.updates.library.versions(device.identity.product_id) == versions
    assert again.updates.running(device.identity) == "1.0"
    assert again.updates.running(gone.identity) is None
    assert again.updates.progress(gone.identity.product_id) == []
    again.store.close()
