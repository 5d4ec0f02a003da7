"""`make provision` through mpremote, at a board made of the Unix port."""

import csv
import json

import pytest

from host_tests.target.desk_board import DeskBoard
from tools.deploy.starters import starters
from tools.pico.description import describe_board
from tools.pico.filesystem import read_flash_image
from tools.pki import issue, make_authority
from tools.provision import __main__ as provision
from tools.provision import factory
from tools.repl.board import RunningBoard

SECRET = "c2VjcmV0IG9mIHRoaXMgZGV2aWNl"
OTHER = "YW5vdGhlciBzZWNyZXQ="


@pytest.fixture(autouse=True)
def anchors(tmp_path, monkeypatch):
    """build/trust, with one anchor."""
    folder = tmp_path / "anchors"
    folder.mkdir()
    (folder / "root.der").write_bytes(make_authority("Root of a test").certificate_der)
    monkeypatch.setattr(provision, "TRUST", folder)
    return folder


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return str(path)


def files_on(desk: DeskBoard) -> dict[str, str]:
    with RunningBoard.opened(desk.port) as board:
        return {path: board.call("read", path) for path in ("/device.json", "/state/queue")}


def paths_on(desk: DeskBoard) -> set[str]:
    with RunningBoard.opened(desk.port) as board:
        return set(board.call("files", "/"))


def test_ids_as_arguments_and_the_secret_from_a_file(tmp_path, secret_file, capsys):
    with DeskBoard(tmp_path) as desk:
        arguments = ["A1B2C3D4E5", "dev-1", "--port", desk.port, "--secret-file", secret_file]
        arguments += ["--set", "region=europe", "--set", "keepalive_s=60"]
        assert provision.main(arguments) == 0
        assert json.loads(files_on(desk)["/device.json"]) == {
            "product_id": "A1B2C3D4E5",
            "device_name": "dev-1",
            "device_secret": SECRET,
            "region": "europe",
            "keepalive_s": 60,
            "ca": "/trust",
        }
        assert paths_on(desk) == {"/device.json", "/trust/root.der"}
        told = capsys.readouterr()
        assert "It is A1B2C3D4E5/dev-1. Next: make deploy" in told.out
        assert SECRET not in told.out + told.err
        assert provision.main(arguments) == 0
        assert capsys.readouterr().out.count("as it was") == 2


def test_another_identity_needs_to_be_asked_for_and_takes_the_state_along(
    tmp_path, secret_file, capsys
):
    with DeskBoard(tmp_path) as desk:
        common = ["--port", desk.port, "--secret-file", secret_file]
        assert provision.main(["A1B2C3D4E5", "dev-1", *common]) == 0
        with RunningBoard.opened(desk.port) as board:
            board.write("/state/queue", b"of dev-1")
            board.write("/state/slots.a", b"which application starts")
        assert provision.main(["A1B2C3D4E5", "dev-2", *common]) == 1
        assert "it is A1B2C3D4E5/dev-1 already" in capsys.readouterr().err
        assert "dev-1" in files_on(desk)["/device.json"]
        assert provision.main(["A1B2C3D4E5", "dev-2", *common, "--replace"]) == 0
        assert "dev-2" in files_on(desk)["/device.json"]
        assert paths_on(desk) == {"/device.json", "/trust/root.der", "/state/slots.a"}
    capsys.readouterr()  # not for the summary


def test_a_certificate_from_the_vendors_device_info(tmp_path, anchors, capsys):
    device = issue(make_authority("CA"), "device", ["A1B2C3D4E5dev-1"])
    (tmp_path / "dev.crt").write_bytes(device.certificate_pem)
    (tmp_path / "dev.key").write_bytes(device.key_pem)
    info = {
        "auth_mode": "CERT",
        "productId": "A1B2C3D4E5",
        "deviceName": "dev-1",
        "cert_deviceinfo": {"devCertFile": "dev.crt", "devPrivateKeyFile": "dev.key"},
        "region": "china",
    }
    (tmp_path / "device_info.json").write_text(json.dumps(info))
    (anchors / "new.der").write_bytes((anchors / "root.der").read_bytes())
    with DeskBoard(tmp_path) as desk:
        arguments = ["--port", desk.port, "--from", str(tmp_path / "device_info.json")]
        assert provision.main(arguments) == 0
        assert "/trust/new.der" in paths_on(desk)
        (anchors / "new.der").unlink()
        assert provision.main(arguments) == 0
        assert paths_on(desk) == {
            "/device.json",
            "/device.der",
            "/device.key.der",
            "/trust/root.der",
        }
    capsys.readouterr()  # not for the summary


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "no product id and device name"),
        (["A1B2C3D4E5", "bad name!"], "device_name"),
        (["A1B2C3D4E5", "dev", "--set", "device_secret=x"], "--set takes no such field"),
        (["A1B2C3D4E5", "dev", "--trust", "/nowhere", "--board", "pico"], "there is no board"),
    ],
    ids=["nothing", "name", "secret-argument", "board"],
)
def test_what_is_wrong_is_told_before_the_board_is_asked(arguments, reason, secret_file, capsys):
    given = [*arguments, "--secret-file", secret_file, "--port", "/dev/nowhere"]
    assert provision.main(given) == 1
    assert reason in capsys.readouterr().err


def test_without_anchors_it_says_how_to_get_them(secret_file, anchors, capsys):
    (anchors / "root.der").unlink()
    given = ["A1B2C3D4E5", "dev", "--secret-file", secret_file, "--port", "/dev/nowhere"]
    assert provision.main(given) == 1
    assert "Run `make trust` first" in capsys.readouterr().err


def test_a_factory_run_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    devices = tmp_path / "devices.csv"
    devices.write_text(
        "product_id,device_name,device_secret\n"
        f"A1B2C3D4E5,dev-1,{SECRET}\nA1B2C3D4E5,dev-2,{OTHER}\nA1B2C3D4E5,dev-3,{SECRET}\n"
    )
    desks = {}
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        desks[name] = DeskBoard(tmp_path / name, unique_id=name)
    with desks["one"] as one, desks["two"] as two, desks["three"] as three:
        plugged = iter([one.port, one.port, str(tmp_path / "gone"), two.port, None, three.port])

        def next_board(label):
            port = next(plugged)
            if port is None:
                return False
            object.__setattr__(runs[-1], "port", port)
            return True

        runs = []
        provision_all = factory.provision_all

        def watched(run, _next_board, told):
            runs.append(run)
            return provision_all(run, next_board, told)

        monkeypatch.setattr(provision, "provision_all", watched)
        # The second time the first board is still plugged in, then there is none.
        assert provision.main(["--factory", str(devices), "--set", "region=us-east"]) == 1
        assert "1 left to do" in capsys.readouterr().out
        assert provision.main(["--factory", str(devices), "--set", "region=us-east"]) == 0
        told = capsys.readouterr()
        assert "2 of 3 are done" in told.out
        assert "All are done" in told.out
        for name, board in (("dev-1", one), ("dev-2", two), ("dev-3", three)):
            fields = json.loads(files_on(board)["/device.json"])
            assert (fields["device_name"], fields["region"]) == (name, "us-east")
    results = tmp_path / "devices.results.csv"
    text = results.read_text()
    assert SECRET not in text and OTHER not in text
    rows = [
        (r["device_name"], r["status"], r["unique_id"]) for r in csv.DictReader(results.open())
    ]
    assert rows == [
        ("dev-1", "done", b"one".hex()),
        ("dev-2", "failed", b"one".hex()),
        ("dev-2", "failed", ""),
        ("dev-2", "done", b"two".hex()),
        ("dev-3", "done", b"three".hex()),
    ]
    assert "this board was made A1B2C3D4E5/dev-1 before" in text


def test_a_board_that_lacks_what_no_cable_brings_later_is_not_closed(tmp_path, capsys):
    command = ["--profile", "production", "--port"]
    with DeskBoard(tmp_path) as desk:
        assert provision.main([*command, desk.port]) == 1
        assert (
            "its /boot.py is not of this version\n  First: make deploy" in capsys.readouterr().err
        )
        with RunningBoard.opened(desk.port) as board:
            for path, content in starters().items():
                board.write(path, content)
        assert provision.main([*command, desk.port]) == 1
        assert "there is no application on it\n  First: make deploy" in capsys.readouterr().err
        assert "/closed.json" not in paths_on(desk)


def test_a_factory_run_closes_each_board_that_is_deployed(tmp_path, monkeypatch, capsys):
    devices = tmp_path / "devices.csv"
    devices.write_text(f"product_id,device_name,device_secret\nA1B2C3D4E5,dev-1,{SECRET}\n")
    tries = iter([True, True])
    with DeskBoard(tmp_path) as desk:
        arguments = ["--factory", str(devices), "--profile", "production", "--port", desk.port]

        def next_board(label):
            go_on = next(tries, False)
            if (tmp_path / "devices.results.csv").exists():  # it was refused: deployed meanwhile
                with RunningBoard.opened(desk.port) as board:
                    for path, content in {**starters(), "/slots/a": b"an application"}.items():
                        board.write(path, content)
            return go_on

        monkeypatch.setattr(provision, "_next_board", next_board)
        assert provision.main(arguments) == 0
        told = capsys.readouterr().out
        assert "failed closing the console: its /boot.py is not of this version" in told
        assert "All are done" in told
    # As a Pico W has it, below its image.
    image = bytes(describe_board().filesystem.offset_bytes)
    files = read_flash_image(image + (tmp_path / "flash.bin").read_bytes())
    assert json.loads(files["/closed.json"]) == {}
    assert json.loads(files["/device.json"])["device_name"] == "dev-1"
