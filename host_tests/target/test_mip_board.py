"""The packages of `make mip`, installed by mpremote from a server on loopback: onto a board made
of the Unix port, and onto the emulated Pico W."""

import subprocess
import sys
from hashlib import sha256

import pytest

from host_tests.conftest import requires
from host_tests.target.desk_board import DeskBoard
from host_tests.unit.tools.package_server import package_server
from tools.mip.packages import make_packages
from tools.pico.board import START_TIMEOUT_S
from tools.pico.emulator_process import EmulatorProcess
from tools.pico.image import stock_image
from tools.repl.board import RunningBoard

TIMEOUT_S = 300


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with package_server(make_packages(), tmp_path_factory.mktemp("mip")) as url:
        yield url


def install(port: str, url: str) -> str:
    command = [sys.executable, "-m", "mpremote", "connect", port, "resume"]
    done = subprocess.run(
        [*command, "mip", "install", "--target", "/lib", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_mpremote_installs_a_service_with_its_core(server, tmp_path):
    with DeskBoard(tmp_path) as desk:
        assert "Done" in install(desk.port, f"{server}/shadow/package.json")
        with RunningBoard.opened(desk.port) as board:
            board.exec("from iothub import Device; import iothub.services.shadow")


@requires("node", "npm")
def test_mpremote_installs_onto_the_emulated_pico(tmp_path, sweep_full):
    # With the core it takes 35 s.
    emulator = EmulatorProcess([str(stock_image())])
    try:
        port = emulator.wait_for("ready", START_TIMEOUT_S)["port"]
        address = f"socket://127.0.0.1:{port}"
        with package_server(make_packages(), tmp_path, bring_core=sweep_full) as url:
            assert "Done" in install(address, f"{url}/websocket/package.json")
        with RunningBoard.opened(address) as board:
            found = board.call("files", "/lib/iothub")
            assert "/lib/iothub/net/websocket.mpy" in found
            sent = [tmp_path / "websocket" / path.removeprefix("/lib/") for path in found]
            if sweep_full:
                board.exec("from iothub import Device; import iothub.net.websocket")
            else:
                expected = [sha256(path.read_bytes()).hexdigest() for path in sent]
                assert board.call("hashes", found) == expected
    finally:
        emulator.stop()
