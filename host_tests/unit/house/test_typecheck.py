"""`make check` would see a wrong type, in each of its runs."""

import pytest

from tools import typecheck

GOOD = {
    typecheck.HOST_CONFIG: "import time\nx: float = time.monotonic()\n",
    typecheck.MICROPYTHON_CONFIG: "import time\ntime.sleep_ms(time.ticks_diff(1, 2) % 5)\n",
    typecheck.APPLICATION_CONFIG: (
        "from iothub import Device\nDevice.from_file().publish_nowait('event', b'on', qos=1)\n"
    ),
}
WRONG = "def f():\n    return len(5)\n"
# Without annotations too, and what MicroPython's library lacks.
MISSING = "import time\n\n\ndef f():\n    return time.monotonic()\n"


@pytest.fixture(autouse=True)
def stubs():
    typecheck.gather_stubs()


@pytest.mark.parametrize("config", GOOD)
def test_right_types_pass_and_wrong_ones_do_not(config, tmp_path):
    good = tmp_path / "good.py"
    good.write_text(GOOD[config])
    done = typecheck.check(config, str(good))
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    done = typecheck.check(config, str(wrong))
    assert done.returncode == 1 and "[arg-type]" in done.stdout, done.stdout


def test_each_run_has_its_own_library(tmp_path):
    other = {
        typecheck.HOST_CONFIG: GOOD[typecheck.MICROPYTHON_CONFIG],
        typecheck.MICROPYTHON_CONFIG: MISSING,
    }
    for config, source in other.items():
        path = tmp_path / "other.py"
        path.write_text(source)
        done = typecheck.check(config, str(path))
        assert done.returncode == 1 and "[attr-defined]" in done.stdout, (config, done.stdout)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("device.publish_nowait('event')", "[call-arg]"),
        ("device.publish_nowait('event', 5)", "[arg-type]"),
        ("device.publish('event', 'on')", "[unused-coroutine]"),
        ("device.shadow.rapport({})", "[attr-defined]"),
        ("device.rrpc(5)", "[type-var]"),
    ],
)
def test_a_wrong_call_of_the_library_is_seen(line, complaint, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(
        "from iothub import Device\n\n\nasync def main(device: Device):\n    " + line + "\n"
    )
    done = typecheck.check(typecheck.APPLICATION_CONFIG, str(path))
    assert done.returncode == 1 and complaint in done.stdout, done.stdout
