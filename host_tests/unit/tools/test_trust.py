"""tools.trust: anchors come by digest from packages, and what is not as pinned is refused."""

import hashlib
import io
import zipfile
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import PurePosixPath

import pytest

from host_tests.unit.tools.test_fetch import PACKAGE, index  # noqa: F401  the fixture
from tools.fetch.pins import Member, Pin, read_pins
from tools.pki import issue, make_authority
from tools.trust import __main__ as command
from tools.trust.anchors import Anchor, read_anchors
from tools.trust.build import WARN_DAYS, check
from tools.trust.errors import TrustError
from tools.trust.sources import certificates

TODAY = date(2026, 6, 1)
DAYS = 1000


def authority(name="Root", valid_days=DAYS):
    start = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=timezone.utc)
    return make_authority(name, valid_from=start, valid_days=valid_days)


def anchor_of(credential, key="root") -> Anchor:
    return Anchor(
        key=key,
        name=f"The {key}",
        purposes=("mqtt",),
        expires=credential.certificate.not_valid_after_utc.date(),
        sha256=hashlib.sha256(credential.certificate_der).hexdigest(),
    )


def found(*credentials):
    return {hashlib.sha256(c.certificate_der).hexdigest(): c.certificate_der for c in credentials}


def as_program(pem: bytes) -> bytes:
    """A certificate in a Python string, as the vendor's SDK has it."""
    lines = pem.decode().strip().split("\n")
    return ('class Ssl:\n    CA = "\\\n' + "\\n\\\n".join(lines) + '"\n').encode()


# Where they come from


def test_certificates_are_found_in_bundles_and_in_programs(tmp_path):
    first, second = authority("One"), authority("Two")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"# One\n" + first.certificate_pem + b"\n# junk\n")
    program = tmp_path / "program.py"
    program.write_bytes(as_program(second.certificate_pem))
    assert certificates(bundle, program) == found(first, second)


def test_a_block_that_is_no_base64_is_passed_over(tmp_path):
    good = authority()
    bundle = tmp_path / "bundle.pem"
    junk = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"
    bundle.write_bytes(junk + good.certificate_pem)
    assert certificates(bundle) == found(good)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(TrustError, match=r"bundle\.pem: cannot be read"):
        certificates(tmp_path / "bundle.pem")


# What is refused


def test_an_anchor_that_is_as_pinned():
    root = authority()
    checked = check(anchor_of(root), found(authority("Other"), root), TODAY)
    assert checked.der == root.certificate_der
    assert checked.days_left == DAYS and not checked.expires_soon


def test_one_that_no_package_carries_is_missing():
    with pytest.raises(TrustError, match=r"(?s)The root: no installed package.*Rotation"):
        check(anchor_of(authority()), found(authority()), TODAY)


@pytest.mark.parametrize(
    ("days_left", "soon"), [(WARN_DAYS + 1, False), (WARN_DAYS, True), (1, True)]
)
def test_expiry_is_told_half_a_year_ahead(days_left, soon):
    root = authority()
    day = TODAY + timedelta(days=DAYS - days_left)
    assert check(anchor_of(root), found(root), day).expires_soon is soon


@pytest.mark.parametrize("days_left", [0, -1])
def test_an_expired_one_is_refused(days_left):
    root = authority()
    day = TODAY + timedelta(days=DAYS - days_left)
    with pytest.raises(TrustError, match="has expired on"):
        check(anchor_of(root), found(root), day)


def test_another_expiry_than_pinned_is_refused():
    root = authority()
    pinned = replace(anchor_of(root), expires=TODAY)
    with pytest.raises(TrustError, match=r"(?s)expires 2029.*Correct \[root\]"):
        check(pinned, found(root), TODAY)


def test_what_is_no_root_is_refused():
    leaf = issue(authority(), "server", ["x.example"])
    with pytest.raises(TrustError, match="not a root"):
        check(anchor_of(leaf), found(leaf), TODAY)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('name = ""', "name"),
        ('purposes = ["mail"]', "purposes"),
        ("purposes = []", "purposes"),
        ('expires = "2030-01-01"', "expires"),
        ('sha256 = "00"', "sha256"),
    ],
)
def test_a_wrong_field_is_told_by_its_name(tmp_path, line, field):
    lines = {
        "name": 'name = "n"',
        "purposes": 'purposes = ["mqtt"]',
        "expires": "expires = 2030-01-01",
        "sha256": f'sha256 = "{"a" * 64}"',
    }
    path = tmp_path / "anchors.toml"
    path.write_text("[root]\n" + "\n".join(lines.values()))
    assert read_anchors(path)[0].expires == date(2030, 1, 1)
    lines[field] = line
    path.write_text("[root]\n" + "\n".join(lines.values()))
    with pytest.raises(TrustError, match=f"root: {field}"):
        read_anchors(path)
    path.write_text("[../root]\n")
    with pytest.raises(TrustError):
        read_anchors(path)


# The command, with a package index and a bundle of its own


@pytest.fixture
def world(index, tmp_path, monkeypatch):  # noqa: F811
    """Two roots: one in a package of the index, one in the bundle. Returns the anchors, which a
    test may change."""
    vendor, public = make_authority("Vendor"), make_authority("Public", valid_days=WARN_DAYS)
    program = as_program(vendor.certificate_pem)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("sdk/codec.py", program)
    wheel = packed.getvalue()
    index.files["sdk-1.0-py3-none-any.whl"] = wheel
    member = Member(
        path="sdk/codec.py",
        size_bytes=len(program),
        sha256=hashlib.sha256(program).hexdigest(),
        destination=PurePosixPath(".cache/trust/codec.txt"),
    )
    pin = Pin(
        name=command.PIN,
        package=PACKAGE,
        version="1.0",
        file="sdk-1.0-py3-none-any.whl",
        size_bytes=len(wheel),
        sha256=hashlib.sha256(wheel).hexdigest(),
        members=(member,),
    )
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(public.certificate_pem)
    anchors = [anchor_of(vendor, "vendor"), anchor_of(public, "public")]
    monkeypatch.setattr(command, "CLONE", tmp_path)
    monkeypatch.setattr(command, "read_pins", lambda: {command.PIN: pin})
    monkeypatch.setattr(command, "read_anchors", lambda: anchors)
    monkeypatch.setattr(command.certifi, "where", lambda: str(bundle))
    return anchors


def built(tmp_path):
    return sorted(path.name for path in (tmp_path / "build/trust").glob("*"))


def test_the_command_builds_them_and_warns_of_those_that_expire(world, tmp_path, capsys):
    assert command.main([]) == 0
    assert built(tmp_path) == ["public.der", "vendor.der"]
    told = capsys.readouterr().out
    lines = [line for line in told.splitlines() if ".der" in line]
    assert "expires soon" not in lines[0] and "The vendor" in lines[0]
    assert "expires soon" in lines[1] and str(world[1].expires) in lines[1]
    der = (tmp_path / "build/trust/vendor.der").read_bytes()
    assert hashlib.sha256(der).hexdigest() == world[0].sha256


def test_a_second_run_needs_no_network_and_removes_what_is_no_anchor_any_more(
    world, tmp_path, monkeypatch, capsys
):
    assert command.main([]) == 0
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    del world[1]
    (tmp_path / "build/trust/notes.txt").write_text("kept")
    assert command.main([]) == 0
    assert built(tmp_path) == ["notes.txt", "vendor.der"]
    assert f"removed {tmp_path}/build/trust/public.der: " in capsys.readouterr().out


def test_nothing_is_written_when_one_is_missing(world, tmp_path, capsys):
    world.append(anchor_of(make_authority("Nowhere"), "nowhere"))
    assert command.main([]) == 1
    told = capsys.readouterr()
    assert "The nowhere: no installed package" in told.err and "The vendor" in told.out
    assert built(tmp_path) == []


def test_a_file_in_its_place_is_told(world, tmp_path, capsys):
    (tmp_path / "build").write_text("mine")
    assert command.main([]) == 1
    assert f"{tmp_path}/build" in (told := capsys.readouterr().err)
    assert "Move away what is in its place" in told


def test_a_package_that_changed_is_refused(world, tmp_path, capsys, index):  # noqa: F811
    index.files["sdk-1.0-py3-none-any.whl"] += b"\0"
    assert command.main([]) == 1
    assert "trust: tencent-iot-root" in capsys.readouterr().err
    assert built(tmp_path) == []


def test_the_anchors_of_this_clone_are_well_formed_and_valid():
    anchors = read_anchors()
    assert len({anchor.sha256 for anchor in anchors}) == len(anchors)
    assert {purpose for anchor in anchors for purpose in anchor.purposes} == {
        "mqtt",
        "wss",
        "gateway",
        "download",
    }
    assert command.PIN in read_pins()
    bundle = certificates(command.Path(command.certifi.where()))
    today = datetime.now(timezone.utc).date()
    public = [anchor for anchor in anchors if anchor.key != "tencent-iot"]
    for anchor in public:
        assert check(anchor, bundle, today).days_left > 0
