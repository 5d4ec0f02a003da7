"""Journal and offline queue on the flash of the emulated Pico W, through resets."""

import json
import re

import pytest

from host_tests.conftest import requires
from tools.bytecode import library
from tools.pico import EmulatedPico, flash_image
from tools.size.library_files import library_files

pytestmark = requires("node", "npm")

_OPEN = """
import json
from iothub.port.files import Files
from iothub.store.flash_queue import FlashQueue
from iothub.store.journal import Journal

files = Files("/state")
journal = Journal(files, "session")
queue = FlashQueue(files)
"""


@pytest.fixture
def board(tmp_path):
    flash = tmp_path / "flash.bin"
    flash.write_bytes(flash_image(library_files()))
    with EmulatedPico(flash=flash) as pico:
        run(pico, _OPEN)
        yield pico


def run(board: EmulatedPico, code: str, **options: float) -> bytes:
    """Runs what looks inside the compact library."""
    return board.exec(library().translated(code), **options)


def told(board: EmulatedPico, code: str):
    return json.loads(run(board, f"print(json.dumps({code}))"))


def test_messages_and_state_survive_a_reset(board):
    run(
        board,
        """
for i in range(60):
    queue.put(b"PRODUCT/device/data", b"%d " % i + b"x" * 150, i, i & 1)
taken = [queue.take() for _ in range(20)]
for entry in taken[:10] + taken[15:]:
    queue.settle(entry)
for i in range(5):
    journal.save(b"state %d" % i)
""",
    )
    before = told(board, "[entry.packet_id for entry in taken]")
    assert before == list(range(32768, 32788))

    board.reset()
    run(board, _OPEN)
    assert told(board, "journal.load()") == "state 4"
    assert told(board, "[len(queue), queue.corrupt]") == [60, 0]
    run(board, "queue.put(b't', b'60 ')\nout = []")
    run(
        board,
        """
while len(queue):
    entry = queue.take()
    out.append((int(bytes(entry.payload).split()[0]), entry.packet_id, entry.retain, entry.dup))
    queue.settle(entry)
""",
    )
    assert told(board, "out") == [
        *([i, 32768 + i, i & 1, True] for i in range(60)),
        [60, 32828, 0, False],
    ]

    board.reset()
    run(board, _OPEN)
    assert told(board, "[len(queue), queue.unsettled, queue.corrupt]") == [0, 0, 0]
    assert told(board, "sorted(name for name in files.names() if '.mark.' not in name)") == [
        "session.a",
        "session.b",
    ]


@pytest.mark.parametrize("watchdog_ms", [150, 333])
def test_the_watchdog_in_the_middle_of_a_write_costs_nothing(board, watchdog_ms):
    code = f"""
import machine
machine.WDT(timeout={watchdog_ms})
i = 0
while True:
    queue.put(b"PRODUCT/device/data", b"%d " % i + b"x" * 150)
    journal.save(b"%d" % i)
    print("safe", i)
    i += 1
"""
    printed = board.exec_until_reset(library().translated(code))
    safe = [int(number) for number in re.findall(rb"safe (\d+)\r", printed)]
    assert safe
    run(board, _OPEN)
    numbers = told(
        board, "[int(bytes(queue.take().payload).split()[0]) for _ in range(len(queue))]"
    )
    # The message and the value that were being written may be there or not.
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > max(safe)
    assert int(told(board, "journal.load()")) in (len(numbers) - 1, len(numbers) - 2)
    assert told(board, "queue.corrupt") == 0
