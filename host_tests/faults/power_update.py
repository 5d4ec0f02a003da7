"""Cuts the power at every change of the flash that an update makes, and in pairs; what starts?

    MICROPYPATH=ROOT:ROOT/firmware/lib:ROOT/firmware micropython host_tests/faults/power_update.py
        [--scenario NAME] [--cuts N] [--seed N] [--first N] [--every N] [--pairs N]
        [--subject NAME]

A scenario is a board, an update of a kind and size, and whether the new version works. It runs
once without a cut. Then, for each change it made to the flash (one in `every`, from `first` on),
the power goes at that change, the change not done or half done: what starts then
must be the whole old version or the whole new one, and with the power staying the update comes to
its end. After one in `pairs` of these cuts, the power goes a second time at every change that
follows. It ends after `cuts`, or when the scenario has no more.
"""

import gc
import sys
from hashlib import md5, sha256

from iothub.update import checks, image, resume
from iothub.update.slots import MAX_RECORD_BYTES
from iothub.update.writer import Writer

from host_tests.faults.fuzz_dice import Dice
from host_tests.faults.power_board import Board
from host_tests.faults.power_media import HALF_DONE, NOT_DONE, SCATTERED
from host_tests.faults.power_update_broken import SUBJECTS
from host_tests.faults.stay_loaded import stay_loaded
from host_tests.unit.iothub import bundles
from host_tests.unit.iothub.signed_images import trailer_bytes

_POWER_ON = 1
_WATCHDOG = 3
_NEW = ("2.0", 6)
_MAX_STARTS = 20
BLOCK_BYTES = 4096


# Signatures are not what is tried here, and take longer than all else.
_is_signed = image.is_signed
_known: dict = {}


def _is_signed_remembered(trailer, key):
    found = _known.get(trailer.signed)
    if found is None:
        found = _known[trailer.signed] = _is_signed(trailer, key)
    return found


image.is_signed = _is_signed_remembered


class Bricked(Exception):
    """What starts is neither the old version nor the new one, or the update does not end."""


def check(condition, text):
    if not condition:
        raise Bricked(text)


class Scenario:
    """`image_bytes` of the update; `by_page`: a cut finds each page of a write apart."""

    def __init__(self, kind, image_bytes, is_good=True, by_page=False):
        self.kind = kind
        self.image_bytes = image_bytes
        self.is_good = is_good
        self.by_page = by_page


FULL_BUNDLE_BYTES = 60000
FULL_APPLICATION_BYTES = 1698016  # MicroPython v1.27.0 for the ESP32
SIX_BLOCKS_BYTES = 5 * BLOCK_BYTES + 200
SCENARIOS = {
    "bundle": Scenario(image.BUNDLE, FULL_BUNDLE_BYTES),
    "small-bundle": Scenario(image.BUNDLE, SIX_BLOCKS_BYTES),
    "small-bundle-by-page": Scenario(image.BUNDLE, SIX_BLOCKS_BYTES, by_page=True),
    "bad-bundle": Scenario(image.BUNDLE, SIX_BLOCKS_BYTES, is_good=False),
    "application": Scenario(image.ESP32_APPLICATION, FULL_APPLICATION_BYTES),
    "small-application": Scenario(image.ESP32_APPLICATION, SIX_BLOCKS_BYTES),
    "bad-application": Scenario(image.ESP32_APPLICATION, SIX_BLOCKS_BYTES, is_good=False),
}


def _noise(size):
    """So many bytes that look like code to a checksum and are quick to make."""
    out = bytearray(size)
    block = b"code"
    for at in range(0, size, 512):
        block = sha256(block).digest()
        out[at : at + 512] = (block * 16)[: size - at]
    return bytes(out)


def _application(size, name):
    head = bytearray(image.HEAD_BYTES)
    head[0] = 0xE9
    head[32:36] = b"\x32\x54\xcd\xab"
    head[40:43] = name
    return bytes(head) + _noise(size - len(head))


class Device:
    """From one start to the next: the application, as net/ota.py and net/updates.py drive it."""

    def __init__(self, board, files, scenario, subject, reached):
        self._board = board
        self._files = files
        self._scenario = scenario
        self._slots_class = subject
        self._reached = reached
        self._slots = None

    def live(self, cause):
        """Starts once. Returns the cause of the next start, or None: it is over."""
        started = self._board.on(cause)
        try:
            return self._live(started)
        finally:
            self._board.off()

    def _live(self, started):
        board = self._board
        scenario = self._scenario
        if scenario.kind == image.BUNDLE:
            runs_new = self._check_slot(started)
        else:
            check(started == "a", f"slotboot starts {started!r}")
            runs_new = self._check_partition()
        journal = board.journal("slots", MAX_RECORD_BYTES)
        slots = self._slots = self._slots_class(board, journal, board.product)
        floor = slots._state.get("floor", 0)
        check(floor in (0, _NEW[1]), f"floor {floor}")
        check(not floor or scenario.is_good, "the floor moved, and nothing was good")
        check(slots.version == (_NEW[0] if runs_new else ""), f"version {slots.version!r}")
        if runs_new:
            self._reach("trial" if slots.on_trial else "new")
            if not scenario.is_good:
                return _WATCHDOG  # it hangs
            slots.confirm()
            check(slots._state["floor"] == _NEW[1], "the floor stayed")
            return None
        if slots.rolled_back:
            self._reach("rolled back")
            if not scenario.is_good:
                return None
            # The cut was in the trial of an application: the cloud issues it again.
            board.journal("ota", 512).save(b"")
        self._download()
        return _POWER_ON

    def _check_slot(self, started):
        """Whether what starts is new."""
        check(started in ("a", "b"), f"slotboot starts {started!r}")
        with self._board.tree.open("/slots/" + started, "rb") as file:
            content = file.read()
        check(content in self._files["slots"], f"slot {started} is neither old nor new")
        return content == self._files["slots"][1]

    def _check_partition(self):
        board = self._board
        old, new = self._files["applications"]
        partition = board.running_partition()
        if partition.content(len(new)) == new:
            return True
        check(partition.content(len(old)) == old, f"{board.running} is neither old nor new")
        return False

    def _download(self):
        """As net/fetch.py, from a server that never fails."""
        board = self._board
        file = self._files["update"]
        digest = self._files["md5"]
        journal = board.journal("ota", 512)
        record = resume.load(journal)
        if record is None or record.md5 != digest or record.stage == resume.REFUSED:
            record = resume.Record(_NEW[0], digest, len(file))
        elif record.offset:
            self._reach("resumed")
        view = memoryview(file)

        def save():
            journal.save(record.packed())

        writer = Writer(record, self._slots, save)
        for _ in checks.read_again(writer):
            pass
        if not writer.taken:
            self._reach("from the beginning")
        checks.take_tail(writer, file[-image.TRAILER_BYTES :])
        try:
            if not writer.taken:
                checks.admit(writer, file[: image.HEAD_BYTES])
                writer.begin_with(file[: image.HEAD_BYTES])
            while not writer.is_complete:
                space = writer.space()
                space[:] = view[writer.taken : writer.taken + len(space)]
                writer.took(len(space))
            trailer = checks.finish(writer)
        finally:
            writer.close()
        record.stage = resume.INSTALLED
        save()
        for _ in self._slots.install(trailer):
            pass

    def _reach(self, what):
        self._reached[what] = self._reached.get(what, 0) + 1


class Cuts:
    """Counts, and knows where it is, should a device be bricked."""

    def __init__(self, scenario, subject, options):
        self.single = 0
        self.paired = 0
        self.place = "no cut"
        self.reached: dict = {}
        self._options = options
        self._dice = Dice(options["--seed"], 0)
        self._files = _files(scenario)
        old_slot, new_slot = self._files["slots"]
        blocks = 16 + 2 * ((len(new_slot) + len(self._files["update"])) // BLOCK_BYTES + 2)
        partition_blocks = 0
        if scenario.kind == image.ESP32_APPLICATION:
            blocks = 16
            partition_blocks = scenario.image_bytes // BLOCK_BYTES + 2
        self._board = Board(
            blocks, partition_blocks, scenario.by_page, old_slot, self._files["applications"][0]
        )
        self._device = Device(self._board, self._files, scenario, subject, self.reached)

    @property
    def total(self):
        return self.single + self.paired

    def run(self):
        self._run_and_cut(bytearray(self._board.flash.data), True)

    def _run_and_cut(self, flash, is_first):
        """What follows from this state of the flash, whole; then a cut at every change of it."""
        board = self._board
        board.begin(flash)
        self._to_the_end()
        log = board.flash.log
        place = self.place
        every = self._options["--every"] if is_first else 1
        next_cut = self._options["--first"] if is_first else 0
        for at in range(len(log) + 1):
            if at >= next_cut:
                next_cut += every
                self._cut(flash, log, at, place, is_first)
                if self.total >= self._options["--cuts"]:
                    return
            if at < len(log):
                board.apply(flash, log[at])

    def _cut(self, flash, log, at, place, is_first):
        board = self._board
        tears = [NOT_DONE]
        if at < len(log):
            tears.append(self._dice.pick((HALF_DONE, SCATTERED)))
        for tear in tears:
            self.place = f"{place}, cut at {at} of {len(log)}, tear {tear}"
            torn = flash
            if tear:
                torn = bytearray(flash)
                board.tear(torn, log[at], tear, self._dice)
            if is_first:
                self.single += 1
            else:
                self.paired += 1
            pairs = self._options["--pairs"]
            if is_first and pairs and self._dice.below(pairs) == 0:
                self._run_and_cut(bytearray(torn), False)
            else:
                board.begin(torn)
                self._to_the_end()

    def _to_the_end(self):
        cause = _POWER_ON
        for _ in range(_MAX_STARTS):
            cause = self._device.live(cause)
            if cause is None:
                if self.paired:
                    return
                changes = len(self._board.flash.log)
                check(self._device.live(_POWER_ON) is None, "not the end")
                check(len(self._board.flash.log) == changes, "changes after the end")
                return
        raise Bricked(f"no end after {_MAX_STARTS} starts")


def _files(scenario):
    """The old and the new version, and the file of the update."""
    old_slot = bundles.slot_file({"main.mpy": b"old" * 300})
    new_slot = bundles.slot_file(
        {"main.mpy": b"new", "app/code.mpy": _noise(scenario.image_bytes)}
    )
    old = new = b""
    if scenario.kind == image.BUNDLE:
        content = bundles.bundle(new_slot)
        unpacked = len(new_slot)
    else:
        old = _application(scenario.image_bytes - 1000, b"old")
        content = new = _application(scenario.image_bytes, b"new")
        unpacked = 0
    version, sequence = _NEW
    update = content + trailer_bytes(
        content,
        kind=scenario.kind,
        version=version,
        sequence=sequence,
        bytecode=0,
        unpacked=unpacked,
    )
    return {
        "slots": (old_slot, new_slot),
        "applications": (old, new),
        "update": update,
        "md5": md5(update).digest(),
    }


def main(given):
    stay_loaded()
    options: dict = {
        "--scenario": "small-bundle", "--subject": "real", "--cuts": 1000000, "--seed": 1,
        "--first": 0, "--every": 1, "--pairs": 0,
    }  # fmt: skip
    while given:
        if given[0] not in options or len(given) < 2:
            print("options:", " ".join(sorted(options)), "each with a value; not", given[0])
            print("scenarios:", " ".join(sorted(SCENARIOS)))
            print("subjects:", " ".join(sorted(SUBJECTS)))
            return 2
        value = given[1]
        options[given[0]] = value if given[0] in ("--scenario", "--subject") else int(value)
        given = given[2:]
    cuts = Cuts(SCENARIOS[options["--scenario"]], SUBJECTS[options["--subject"]], options)
    gc.collect()
    try:
        cuts.run()
    except Exception as e:
        print("FAILED:", *[f"{name} {options[name]}" for name in sorted(options)])
        print(f"{cuts.place}, after {cuts.total} cuts")
        sys.print_exception(e)
        return 1
    for what in sorted(cuts.reached):
        print(f"reached {cuts.reached[what]} {what}")
    print(f"{options['--scenario']}: {cuts.total} cuts, {cuts.paired} of them second, 0 bricked")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
