"""Slots and partitions from admission to confirmation, with slotboot.py at each start."""

import slotboot
from iothub.errors import StorageError, UpdateError
from iothub.update import image, slots

from host_tests.unit.iothub import bundles
from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.signed_images import LONG_PRIVATE, LONG_PUBLIC, trailer_bytes
from host_tests.unit.iothub.simulated_board import WATCHDOG, SimulatedBoard
from host_tests.unit.iothub.temporary_tree import TemporaryTree

NEW = bundles.slot_file()
BLOCK_BYTES = 4096


class OnBoard:
    """`with OnBoard(...) as board:` a SimulatedBoard on a temporary folder."""

    def __init__(self, **options):
        self._options = options

    def __enter__(self):
        self._tree = TemporaryTree()
        tree = self._tree.__enter__()
        return SimulatedBoard(tree, self._tree.place, **self._options)

    def __exit__(self, *error):
        self._tree.__exit__(*error)


def trailer_of(content, **fields):
    return image.parse(trailer_bytes(content, **fields))


def update(place, content, **fields):
    """A whole update, as net/ota.py does it."""
    trailer = trailer_of(content, **fields)
    name = place.admit(trailer, content[: image.HEAD_BYTES], len(content) + image.TRAILER_BYTES)
    target = place.target(name)
    for at in range(0, len(content), BLOCK_BYTES):
        target.write(at, content[at : at + BLOCK_BYTES])
    target.sync()
    target.close()
    for _ in place.install(trailer):
        pass
    return name


def update_slot(place, slot=NEW, **fields):
    fields.setdefault("unpacked", len(slot))
    return update(place, bundles.bundle(slot), **fields)


def test_the_constants_of_both_halves_are_the_same():
    for name in ("CONFIRMED", "TRIAL", "SAFE", "MAX_TRIES"):
        assert getattr(slots, name) == getattr(slotboot, name), name


def test_a_new_board_runs_what_was_provisioned():
    with OnBoard() as board:
        assert board.start() == "a"
        place = board.slots()
        assert not place.on_trial
        assert (place.version, place.tries, place.rolled_back) == ("", 0, None)
        changes = board.record()
        assert changes["watched"] == "a"
        place.confirm()
        board.slots()
        assert board.record() == changes, "nothing more to write"


def test_an_update_runs_on_trial_and_is_confirmed():
    with OnBoard() as board:
        board.start()
        assert update_slot(board.slots()) == slots.FILE
        assert board.start() == "b"
        place = board.slots()
        assert place.on_trial and place.tries == 1
        assert place.version == "1.2.3"
        place.confirm()
        assert not place.on_trial
        assert board.tree.size("/slots/download") == -1
        for cause in (1, WATCHDOG):
            assert board.start(cause) == "b"
        place = board.slots()
        assert (place.version, place.rolled_back) == ("1.2.3", None)
        # The next one goes into the other slot.
        update_slot(place, version="1.2.4", sequence=8)
        assert board.start() == "a"
        assert board.slots().version == "1.2.4"


def test_an_update_that_is_never_confirmed_is_given_up():
    with OnBoard() as board:
        board.start()
        update_slot(board.slots())
        started = [board.start(WATCHDOG) for _ in range(6)]
        assert started == ["b"] * 3 + ["a"] * 3
        place = board.slots()
        assert place.rolled_back == "it hung, or reset the chip"
        assert place.causes == [WATCHDOG] * 4
        assert not place.on_trial
        assert place.version == ""


def test_the_reason_is_kept():
    with OnBoard() as board:
        board.start()
        update_slot(board.slots())
        assert board.start() == "b"
        slotboot.note("it raised ValueError: x" + "y" * 100, board.root)
        assert [board.start(WATCHDOG) for _ in range(3)] == ["b", "b", "a"]
        assert board.slots().rolled_back.startswith("it raised ValueError: xyy")
        assert len(board.slots().rolled_back) == 80


def test_the_longest_reasons_have_room():
    why = "\x01" * 200  # in JSON six bytes each
    version = "v" * 31
    with OnBoard() as board:
        board.start()
        for i in range(2):
            update_slot(board.slots(), version=version + str(i), sequence=0x7FFFFFF0 + i)
            board.start()
            board.slots().confirm()
        update_slot(board.slots(), version=version + "2", sequence=0x7FFFFFFF)
        board.start()
        slotboot.note(why, board.root)
        started = [board.start(WATCHDOG) for _ in range(3)]
        assert len(set(started)) == 2 and started[2] == "a"
        slotboot.note(why, board.root)
        assert board.record()["why"] == why[:80]
        board.start(WATCHDOG)
        place = board.slots()
        assert place.tries == 1 and place.rolled_back == why[:80]
        assert board.record()["why"] == why[:80]
        place.confirm()
        assert board.slots().tries == 0


def test_giving_up_goes_back_at_the_next_start():
    with OnBoard() as board:
        board.start()
        update_slot(board.slots())
        board.start()
        board.slots().give_up("no login in time")
        assert board.start() == "a"
        assert board.slots().rolled_back == "no login in time"


def test_a_confirmed_slot_that_goes_bad_is_given_up_too():
    with OnBoard() as board:
        board.start()
        update_slot(board.slots())
        board.start()
        board.slots().confirm()
        assert [board.start(WATCHDOG) for _ in range(5)] == ["b"] * 3 + ["a"] * 2
        # So is the other one, once it began to watch itself.
        board.slots()
        assert [board.start(WATCHDOG) for _ in range(4)] == ["a"] * 3 + ["base"]
        place = board.slots()
        assert not place.on_trial
        # From base, an update brings the device back.
        update_slot(place)
        assert board.start() == "a"
        board.slots().confirm()
        assert board.start() == "a"


def test_what_nobody_watches_may_reset_the_chip():
    with OnBoard() as board:
        for _ in range(10):
            assert board.start(WATCHDOG) == "a"
        # But not fail for ever.
        assert [board.fail_at_start(WATCHDOG) for _ in range(4)] == ["a"] * 3 + ["base"]


def test_power_makes_good_what_nobody_watches():
    with OnBoard() as board:
        for _ in range(5):
            assert [board.fail_at_start(WATCHDOG) for _ in range(2)] == ["a"] * 2
            assert board.start(1) == "a"


def test_power_that_comes_back_is_no_failure():
    with OnBoard() as board:
        for _ in range(10):
            assert board.start(1) == "a"
            assert board.start(4) == "a"


def test_a_confirmation_forgets_failed_starts():
    with OnBoard() as board:
        board.slots()
        for _ in range(5):
            for _ in range(3):
                assert board.start(WATCHDOG) == "a"
            board.slots().confirm()


def test_a_confirmation_after_a_reset_leaves_the_download_that_was_broken_off():
    with OnBoard() as board:
        board.start()
        target = board.slots().target(slots.FILE)
        target.write(0, bytes(BLOCK_BYTES))
        target.close()
        board.start(WATCHDOG)
        place = board.slots()
        assert place.tries == 1
        place.confirm()
        assert board.tree.size("/slots/download") == BLOCK_BYTES


def test_a_damaged_slot_is_not_started():
    with OnBoard() as board:
        board.start()
        update_slot(board.slots())
        board.put("/slots/b", NEW[:-1])
        assert board.start() == "a"
        assert board.slots().rolled_back == "its file is damaged"
        board.put("/slots/a", b"")
        assert board.start() == "base"
        board.put("/slots/base", b"")
        assert board.start() == ""


def test_a_file_damaged_inside_is_found_when_a_start_failed():
    with OnBoard() as board:
        board.start()
        update_slot(board.slots())
        board.put("/slots/b", NEW[:-1] + b"?")
        assert [board.start() for _ in range(2)] == ["b", "a"]


def test_a_damaged_bundle_changes_nothing():
    with OnBoard() as board:
        board.start()
        place = board.slots()
        for broken in (bundles.bundle(NEW)[:-1], bundles.bundle(NEW[:-1] + b"?")):
            raises(UpdateError, update, place, broken, unpacked=len(NEW))
            assert board.start() == "a"
            assert not board.slots().on_trial
            assert board.tree.size("/slots/b") == -1


def test_a_flash_that_fails_while_unpacking_changes_nothing():
    with OnBoard() as board:
        board.start()
        place = board.slots()
        update_slot(place)  # the download is whole
        board.start()
        place.give_up("bad")
        board.start()
        place = board.slots()
        really_open = board.tree.open

        def fails(path, mode):
            if mode == "wb":
                raise OSError(28, "no room")
            return really_open(path, mode)

        def install():
            for _ in place.install(trailer_of(bundles.bundle(NEW), unpacked=len(NEW))):
                pass

        board.tree.open = fails
        assert raises(StorageError, install).errno == 28
        board.tree.open = really_open
        assert board.start() == "a"
        install()
        assert board.start() == "b"


def test_what_is_installed_is_judged_once_more():
    with OnBoard() as board:
        board.start()
        place = board.slots()
        for fields in ({"product": "OTHER12345"}, {"pair": None}):
            trailer = trailer_of(bundles.bundle(NEW), unpacked=len(NEW), **fields)
            raises(UpdateError, next, place.install(trailer))
        assert not board.slots().on_trial


def test_a_trial_begins_without_what_was_counted_and_noted_before():
    with OnBoard() as board:
        board.start()
        board.slots()
        assert [board.fail_at_start(WATCHDOG) for _ in range(2)] == ["a"] * 2
        place = board.slots()
        assert place.tries == 2
        update_slot(place)
        assert [board.start(WATCHDOG) for _ in range(4)] == ["b"] * 3 + ["a"]
        place = board.slots()
        assert place.rolled_back == "it hung, or reset the chip"
        assert place.causes == [WATCHDOG] * 3


def test_the_floor_moves_when_confirmed_only():
    with OnBoard() as board:
        board.start()
        update_slot(board.slots(), sequence=9)
        board.start()
        board.slots().give_up("bad")
        board.start()
        place = board.slots()
        update_slot(place, sequence=5)  # still taken
        board.start()
        board.slots().confirm()
        error = raises(UpdateError, update_slot, board.slots(), sequence=4)
        assert error.reason == "sequence 4 is older than 5"
        update_slot(board.slots(), sequence=5)


def test_nothing_is_taken_while_on_trial():
    with OnBoard() as board:
        board.start()
        update_slot(board.slots())
        board.start()
        error = raises(UpdateError, update_slot, board.slots(), sequence=8)
        assert error.reason == "the running version has not proved itself yet"


def test_room_is_looked_for_before_anything_is_written():
    with OnBoard() as board:
        free_bytes = 40000
        board.tree.free_bytes = lambda: free_bytes
        place = board.slots()
        large = bytes(free_bytes)
        error = raises(UpdateError, update, place, b"IHB\x01" + large, unpacked=1)
        assert error.reason == "40516 bytes, room for 23616"
        error = raises(UpdateError, update_slot, place, unpacked=23617)
        assert error.reason.startswith("unpacks to 23617 bytes, room for")
        assert board.tree.size("/slots/download") == -1
        # Without a trailer, as far as it is known.
        assert place.admit(None, b"IHB\x01" + bytes(44), 23616) == slots.FILE
        raises(UpdateError, place.admit, None, b"IHB\x01" + bytes(44), 23617)
        raises(UpdateError, place.admit, None, b"\xe9" + bytes(47), 1000)
        raises(UpdateError, place.admit, None, bytes(48), 1000)
        raises(UpdateError, place.target, slots.PARTITION)


def test_what_goes_makes_room_and_the_download_takes_it():
    with OnBoard() as board:
        board.tree.free_bytes = lambda: 40000
        place = board.slots()
        content = bundles.bundle(NEW)
        size = len(content) + image.TRAILER_BYTES

        def admit(unpacked):
            return place.admit(trailer_of(content, unpacked=unpacked), content[:48], size)

        # 23,616 bytes are not spared, of which the download takes two blocks.
        assert BLOCK_BYTES < len(content) < 2 * BLOCK_BYTES
        room = 3 * BLOCK_BYTES
        for path, blocks in (("/slots/a", 0), ("/slots/b", 2), ("/slots/download", 1)):
            board.put(path, bytes(blocks * BLOCK_BYTES))
            room += blocks * BLOCK_BYTES
            assert admit(room) == slots.FILE
            assert raises(UpdateError, admit, room + 1).reason.startswith("unpacks to")


def test_what_a_device_may_not_take():
    with OnBoard() as board:
        place = board.slots()
        for fields in (
            {"product": "OTHER12345"},
            {"board": "ESP32_GENERIC"},
            {"bytecode": 5},
            {"kind": 2},
            {"pair": None},
            {"pair": (LONG_PRIVATE, LONG_PUBLIC)},
        ):
            raises(UpdateError, update_slot, place, **fields)
            assert board.tree.size("/slots/download") == -1
        assert update_slot(board.slots(unsigned=True), pair=None) == slots.FILE


def test_without_keys_nothing_signed_is_taken():
    with OnBoard() as board:
        board.tree.remove("/slots/keys")
        raises(UpdateError, update_slot, board.slots())
        board.put("/slots/keys", b"")
        error = raises(UpdateError, update_slot, board.slots())
        assert error.reason == "the file of update keys has 0 keys"


def test_a_confirmed_version_brings_the_next_keys():
    with OnBoard() as board:
        update_slot(board.slots())
        assert board.start() == "b"
        board.tree.make_folder("/slot")  # as slotboot mounts it
        board.put("/slot/update.keys", b"\x01\x80" + LONG_PUBLIC)
        raises(UpdateError, update_slot, board.slots(), pair=(LONG_PRIVATE, LONG_PUBLIC))
        board.slots().confirm()
        raises(UpdateError, update_slot, board.slots())
        update_slot(board.slots(), pair=(LONG_PRIVATE, LONG_PUBLIC))


def test_a_version_that_brings_damaged_keys_is_not_confirmed():
    with OnBoard() as board:
        update_slot(board.slots())
        board.start()
        board.tree.make_folder("/slot")
        board.put("/slot/update.keys", b"\x01\x80" + LONG_PUBLIC[:-1])
        place = board.slots()
        raises(UpdateError, place.confirm)
        assert place.on_trial and board.slots().on_trial
        assert [board.start(WATCHDOG) for _ in range(3)] == ["b", "b", "a"]
        update_slot(board.slots(), sequence=8)  # the keys are those from before


def test_one_application_only_is_told_at_the_start():
    for options in ({"has_slots": False}, {"has_slots": False, "partitions": 1}):
        with OnBoard(**options) as board:
            error = raises(UpdateError, board.slots)
            assert "flash one with two (make flash)" in error.reason


def test_starts_with_nothing_to_count_write_nothing():
    with OnBoard(has_slots=False, partitions=2) as board:
        board.slots()
        assert board.record() == {}
    with OnBoard() as board:
        board.put("/slots/a", b"")
        assert board.start() == "base"
        before = board.record()
        board.slots()
        assert board.record() == before


# ESP32 applications.


def application(chip=0, blocks=3):
    head = bytearray(48)
    head[0] = 0xE9
    head[12] = chip
    head[32:36] = b"\x32\x54\xcd\xab"
    return bytes(head) + bytes([i & 255 for i in range(blocks * BLOCK_BYTES - 48)])


def update_application(place, content=None, **fields):
    return update(place, content or application(), kind=2, bytecode=0, **fields)


def test_an_application_runs_on_trial_and_is_confirmed():
    with OnBoard(partitions=2) as board:
        board.start()
        assert update_application(board.slots()) == slots.PARTITION
        assert bytes(board.partitions["ota_1"].flash[:12288]) == application()
        assert board.start() == "a", "the slot stays"
        assert board.running == "ota_1"
        place = board.slots()
        assert place.on_trial and place.version == "1.2.3"
        place.confirm()
        assert not place.on_trial
        board.start(WATCHDOG)
        assert board.running == "ota_1"
        place = board.slots()
        assert (place.version, place.rolled_back) == ("1.2.3", None)
        raises(UpdateError, update_application, place, sequence=6)
        # A bundle after it is the newer version.
        update_slot(place, version="2", sequence=8)
        board.start()
        assert board.slots().version == "2"


def test_an_application_that_is_not_confirmed_is_given_up():
    for why in ("", "no login in time"):
        with OnBoard(partitions=2, has_slots=False) as board:
            update_application(board.slots())
            board.start()
            if why:
                board.slots().give_up(why)
            board.start()
            assert board.running == "ota_0"
            place = board.slots()
            assert place.rolled_back == (why or "it was restarted before it proved itself")
            assert not place.on_trial and place.version == ""
            assert board.slots().rolled_back == place.rolled_back
            update_application(place)
            assert place.rolled_back is None
            board.start()
            board.start()
            assert board.slots().rolled_back == "it was restarted before it proved itself"


def test_an_application_given_up_leaves_the_version_before():
    with OnBoard(partitions=2, has_slots=False) as board:
        update_application(board.slots(), version="1", sequence=1)
        board.start()
        board.slots().confirm()
        update_application(board.slots(), version="2", sequence=2)
        board.start()
        assert board.slots().version == "2"
        board.start()
        assert board.slots().version == "1"
        assert board.slots().rolled_back


def test_power_lost_before_the_switch_is_no_rollback():
    with OnBoard(partitions=2, has_slots=False) as board:
        partition = board.partitions["ota_1"]

        class PowerCut(Exception):
            pass

        def cut():
            raise PowerCut

        partition.set_boot = cut
        raises(PowerCut, update_application, board.slots())
        board.start()
        place = board.slots()
        assert not place.on_trial and place.rolled_back is None


def test_power_lost_after_the_switch_is_a_trial_like_any_other():
    for is_confirmed in (True, False):
        with OnBoard(partitions=2, has_slots=False) as board:
            partition = board.partitions["ota_1"]

            class PowerCut(Exception):
                pass

            def switch_and_cut(set_boot=partition.set_boot, cut=PowerCut):
                set_boot()
                raise cut

            partition.set_boot = switch_and_cut
            raises(PowerCut, update_application, board.slots())
            board.start()
            place = board.slots()
            assert place.on_trial and place.version == "1.2.3"
            if is_confirmed:
                place.confirm()
            board.start()
            place = board.slots()
            assert not place.on_trial
            if is_confirmed:
                assert (place.version, place.rolled_back) == ("1.2.3", None)
            else:
                assert place.rolled_back == "it was restarted before it proved itself"


def test_an_application_for_another_chip_is_refused():
    with OnBoard(partitions=2) as board:
        error = raises(UpdateError, update_application, board.slots(), application(9))
        assert error.reason == "made for chip 9, not 0"
        board.partitions["ota_0"].flash[12] = 9
        error = raises(UpdateError, update_application, board.slots(), application(0))
        assert error.reason == "made for chip 0, not 9"
        error = raises(UpdateError, update_application, board.slots(), application(blocks=5))
        assert error.reason == "20992 bytes, room for 16896"
