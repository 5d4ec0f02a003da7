"""The files of a directory and the dictionary that stands for them in tests: one contract."""

import os

from iothub.port.files import Files

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.memory_storage import MemoryStorage


class _Directory:
    def __enter__(self):
        self._path = "%s/files-%s" % (os.getenv("TMPDIR") or "/tmp", os.urandom(8).hex())
        return Files(self._path)

    def __exit__(self, *_):
        for name in os.listdir(self._path):
            os.remove(self._path + "/" + name)
        os.rmdir(self._path)


def _with_each(check):
    check(MemoryStorage())
    with _Directory() as files:
        check(files)


def test_what_is_missing():
    def check(storage):
        assert storage.names() == []
        assert storage.size("x") == -1
        assert storage.read("x") is None and storage.read("x", 5, 5) is None
        assert raises(OSError, storage.remove, "x").errno == 2

    _with_each(check)


def test_a_write_replaces_and_an_append_adds():
    def check(storage):
        storage.write("x", b"longer than this")
        storage.write("x", bytearray(b"0123"))
        storage.append("x", memoryview(b"456"))
        storage.append("y", b"new")
        assert storage.read("x") == b"0123456" and storage.size("x") == 7
        assert storage.read("y") == b"new"
        assert sorted(storage.names()) == ["x", "y"]
        storage.write("x", b"")
        assert storage.read("x") == b"" and storage.size("x") == 0
        storage.remove("x")
        assert storage.names() == ["y"] and storage.read("x") is None

    _with_each(check)


def test_a_part_is_read():
    def check(storage):
        storage.write("x", b"0123456789")
        assert storage.read("x", 3) == b"3456789"
        assert storage.read("x", 3, 4) == b"3456"
        assert storage.read("x", 0, 4) == b"0123"
        assert storage.read("x", 8, 4) == b"89"
        assert storage.read("x", 10, 4) == storage.read("x", 99) == b""

    _with_each(check)


def test_an_existing_directory_is_taken_as_it_is():
    with _Directory() as files:
        files.write("x", b"kept")
        assert Files(files._path[:-1]).read("x") == b"kept"


def test_a_directory_that_cannot_be_made_is_an_error():
    assert raises(OSError, Files, "/nowhere/at/all").errno == 2
    with _Directory() as files:
        files.write("file", b"")
        assert raises(OSError, Files, files._path[:-1] + "/file/below").errno == 20


def test_a_full_disk_is_told():
    try:
        os.stat("/dev/full")
    except OSError:
        return
    files = Files("/dev")
    assert raises(OSError, files.append, "full", b"x").errno == 28
