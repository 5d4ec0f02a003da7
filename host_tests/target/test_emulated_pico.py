"""The emulated Pico W itself: what other tests take for granted when they run code on it."""

import contextlib
import json
import math
import signal
import subprocess
import time

import pytest

from host_tests.conftest import requires
from host_tests.target.conftest import EchoServer
from tools.pico import BoardError, EmulatedPico, EmulatorError, flash_image
from tools.pico.description import describe_board
from tools.pico.emulator_process import PROGRAM
from tools.pico.filesystem import read_flash_image
from tools.pico.image import stock_image
from tools.pico.node_packages import node_command

pytestmark = requires("node", "npm")


def test_it_runs_the_stock_image(pico):
    told = pico.exec("import sys, os; print(sys.implementation._build, os.uname().release)")
    assert told == b"RPI_PICO_W 1.27.0\r\n"


def test_the_image_takes_the_bytecode_that_the_board_file_names(pico):
    description = describe_board()
    code = "import sys; mpy = sys.implementation._mpy; print(mpy & 0xFF, mpy >> 8 & 3, mpy >> 10)"
    version, sub_version, architecture = (int(word) for word in pico.exec(code).split())
    assert description.mpy_version == f"{version}.{sub_version}"
    assert (description.architecture, architecture) == ("armv6m", 4)  # as py/persistentcode.h


def test_names_stay_between_calls(pico):
    assert pico.exec("kept = 6 * 7") == b""
    assert pico.exec("print(kept)") == b"42\r\n"


def test_an_exception_on_the_board_is_told_with_its_output(pico):
    with pytest.raises(BoardError, match="ZeroDivisionError") as told:
        pico.exec("print('before'); 1 / 0")
    assert told.value.output == b"before\r\n"


def test_floating_point_of_the_boot_rom_agrees_with_the_hosts(pico):
    code = """
import math
for x in (-2.5, -0.75, 0.1, 1.0, 3.999, 123456.0):
    print(math.sqrt(abs(x)), math.exp(x / 9999), math.sin(x), math.atan2(x, 3), int(x), x / 7)
"""

    lines = pico.exec(code).decode().split("\r\n")[:-1]
    for x, line in zip((-2.5, -0.75, 0.1, 1.0, 3.999, 123456.0), lines, strict=True):
        got = [float(word) for word in line.split()]
        assert got == pytest.approx(
            [math.sqrt(abs(x)), math.exp(x / 9999), math.sin(x), math.atan2(x, 3), int(x), x / 7],
            rel=1e-4,
            abs=1e-5,
        )


def test_simulated_time_of_the_same_work_is_the_same(pico):
    code = """
import time
def work():
    value = 0
    for i in range(3000):
        value = (value * 31 + i) & 0xFFFF
    return value
times = []
for _ in range(3):
    start = time.ticks_us()
    work()
    times.append(time.ticks_diff(time.ticks_us(), start))
print(times)
"""
    times = json.loads(pico.exec(code))
    assert 10_000 < times[0] < 40_000  # 22 ms; more when the idle console takes part of the core
    assert max(times) - min(times) <= 100  # the console is still busy in the first


def test_random_numbers_differ(pico):
    numbers = pico.exec("import os\nfor _ in range(4): print(os.urandom(16).hex())").split()
    assert len(set(numbers)) == 4


def test_main_runs_from_a_filesystem_image_and_the_flash_outlives_the_board(tmp_path):
    flash = tmp_path / "flash.bin"
    flash.write_bytes(
        flash_image(
            {
                "/main.py": b"import greeting\nprint(greeting.TEXT)\n",
                "/lib/greeting.py": b"TEXT = 'main.py ran'\n",
            }
        )
    )
    with EmulatedPico(flash=flash) as board:
        assert board.read_console(b"main.py ran\r\n").startswith(b"main.py ran")
        board.exec("with open('/kept.txt', 'w') as file: file.write('since the first start')")
    assert read_flash_image(flash.read_bytes())["/kept.txt"] == b"since the first start"
    with EmulatedPico(flash=flash) as board:
        board.read_console(b"main.py ran\r\n")
        assert board.exec("print(open('/kept.txt').read())") == b"since the first start\r\n"


def test_files_survive_a_reset_and_memory_does_not():
    with EmulatedPico() as board:
        board.exec("gone = 1\nwith open('/kept.txt', 'w') as file: file.write('kept')")
        board.reset()
        cause = board.exec("import machine; print(machine.reset_cause() == machine.WDT_RESET)")
        assert cause == b"True\r\n"
        assert board.exec("print('gone' in globals(), open('/kept.txt').read())") == (
            b"False kept\r\n"
        )


def test_the_watchdog_resets_a_board_that_hangs():
    with EmulatedPico() as board:
        for _ in range(2):  # also when the watchdog was the reason of the start before
            board.exec_until_reset("import machine\nmachine.WDT(timeout=300)\nwhile True: pass")
            assert board.exec("print(1 + 1)") == b"2\r\n"


def test_a_tree_is_copied(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("VALUE = 5\n")
    (tmp_path / "data.bin").write_bytes(bytes(range(256)) * 40)
    with EmulatedPico() as board:
        board.put_tree(tmp_path, "/lib")
        code = """
import package
print(package.VALUE)
print(sum(open("/lib/data.bin", "rb").read()))
"""
        assert board.exec(code).split() == [b"5", str(sum(range(256)) * 40).encode()]


def test_uart0_carries_every_byte_both_ways_and_connects_again(echo_server):
    code = """
import machine
def exchange(data):
    uart = machine.UART(0, 115200, rxbuf=2048, timeout=3000, timeout_char=200)
    uart.write(data)
    return uart.read(len(data))
"""
    with EmulatedPico(uart0=echo_server.address) as board:
        board.exec(code)
        for _ in range(3):  # each new UART is a new connection
            told = board.exec("print(exchange(bytes(range(256)) * 4) == bytes(range(256)) * 4)")
            assert told == b"True\r\n"
        assert echo_server.connections == 3
        board.exec("uart = machine.UART(0, 115200, timeout=3000)\nuart.write(b'stop')")
        echo_server.hung_up.wait(timeout=10)
        assert board.exec("import time; time.sleep_ms(100); print(exchange(b'again'))") == (
            b"b'again'\r\n"
        )
        assert echo_server.connections == 5


def test_both_uarts_carry_their_own_bytes_at_once(echo_server):
    code = """
import machine
lines = [machine.UART(n, 115200, rxbuf=2048, timeout=3000, timeout_char=200) for n in (0, 1)]
sent = [bytes(range(256)) * 2, bytes(range(255, -1, -1)) * 2]
for at in range(0, 512, 64):
    for line, data in zip(lines, sent):
        line.write(data[at : at + 64])
print([line.read(512) == data for line, data in zip(lines, sent)])
"""
    other = EchoServer()
    with (
        contextlib.closing(other),
        EmulatedPico(uart0=echo_server.address, uart1=other.address) as board,
    ):
        assert board.exec(code) == b"[True, True]\r\n"
        board.exec("lines[1].deinit()")  # hangs up this one only
        assert board.exec("lines[0].write(b'on'); print(lines[0].read(2))").endswith(b"b'on'\r\n")
        assert other.hung_up.wait(timeout=10) and not echo_server.hung_up.is_set()
        assert echo_server.connections == other.connections == 1


def test_uart0_without_a_server_is_a_line_without_a_partner(unused_port):
    with EmulatedPico(uart0=("127.0.0.1", unused_port)) as board:
        code = """
import machine
uart = machine.UART(0, 115200, timeout=50)
uart.write(b"x")
print(uart.read(1))
"""
        assert board.exec(code) == b"None\r\n"


def test_idle_time_is_real_with_a_partner_on_the_line(echo_server):

    with EmulatedPico(uart0=echo_server.address) as board:
        board.exec("import time")
        start = time.monotonic()
        board.exec("time.sleep_ms(700)")
        assert time.monotonic() - start >= 0.6


def test_a_program_that_cannot_go_on_ends_the_emulator_with_its_reason():
    with (
        pytest.raises(EmulatorError, match=r"status 3: pico: the program asked for the USB boot"),
        EmulatedPico() as board,
    ):
        board.exec("import machine; machine.bootloader()")


def test_a_wrong_image_is_refused(tmp_path):
    image = tmp_path / "wrong.uf2"
    image.write_bytes(bytes(1024))
    with pytest.raises(EmulatorError, match="no magic numbers"), EmulatedPico(image):
        pytest.fail("it started")


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_a_signal_and_saves_the_flash(tmp_path, stop_signal):
    flash = tmp_path / "flash.bin"
    arguments = [node_command(), str(PROGRAM), str(stock_image()), "--flash", str(flash)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as emulator:
        assert emulator.stdout is not None
        ready = json.loads(emulator.stdout.readline())
        assert ready["event"] == "ready"
        assert ready["port"] > 0
        emulator.send_signal(stop_signal)
        assert emulator.wait(timeout=10) == 0


def test_the_command_line_tells_what_it_does_not_understand():
    for arguments, reason in (
        ([], "one UF2 image"),
        (["a.uf2", "--repl-port", "70000"], "no TCP port"),
        (["a.uf2", "--uart0", "1883"], "--uart0 takes HOST:PORT"),
        (["a.uf2", "--uart1", "1883"], "--uart1 takes HOST:PORT"),
        (["a.uf2", "--idle", "sometimes"], "real or skip"),
        (["missing.uf2"], "no such file"),
    ):
        done = subprocess.run(
            [node_command(), str(PROGRAM), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2
        assert reason in done.stderr
        assert done.stdout == ""
