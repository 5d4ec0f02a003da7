"""A device whose configuration is not there says so, wherever it is asked for: a board that was
deployed to before it was provisioned, for instance, which runs safe mode."""

import json
import subprocess

import pytest

from host_tests.e2e.device_program import MICROPYTHON, ROOT

AT_ONCE = """
from iothub import Device, IoTHubError

def made(path):
    try:
        Device.from_file(path)
    except IoTHubError as error:
        print(error)

made("device.json")
"""
IN_A_COROUTINE = AT_ONCE.replace(
    'made("device.json")',
    """
import asyncio

async def main():
    made("device.json")
    with open("torn.json", "w") as f:
        f.write('{"product_id": "ABCD')
    made("torn.json")

asyncio.run(main())
""",
)


def told(program: str, folder) -> list[str]:
    done = subprocess.run(
        [str(MICROPYTHON), "-c", program],
        cwd=folder,
        env={"MICROPYPATH": f".frozen:{ROOT / 'firmware/lib'}"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("program", [AT_ONCE, IN_A_COROUTINE], ids=["at once", "in a coroutine"])
def test_what_is_missing_is_the_file(program, tmp_path):
    assert told(program, tmp_path)[0].startswith("config: device.json: cannot be read")


def test_a_product_secret_that_is_a_number_is_told_by_its_field(tmp_path):
    fields = {"product_id": "ABCDE12345", "device_name": "dev", "product_secret": 1234567812345678}
    (tmp_path / "device.json").write_text(json.dumps(fields))
    text = told(AT_ONCE, tmp_path)[0]
    assert text.startswith("config: product_secret: must be of type str") and "1234" not in text


def test_a_registration_that_was_cut_off_is_gone_on_with_by_a_coroutine(tmp_path):
    assert "await net.register.from_file()" in told(IN_A_COROUTINE, tmp_path)[1]
