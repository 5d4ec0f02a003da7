"""Folders and files of port/tree.py."""

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.temporary_tree import TemporaryTree


def put(tree, path, content):
    with tree.open(path, "wb") as file:
        file.write(content)


def test_what_is_missing():
    with TemporaryTree() as tree:
        assert tree.names("/a") == []
        assert tree.size("/a") == -1
        tree.remove("/a")
        raises(OSError, tree.open, "/a", "rb")
        raises(OSError, tree.rename, "/a", "/b")


def test_folders_and_files():
    with TemporaryTree() as tree:
        tree.make_folder("/a")
        tree.make_folder("/a/b")
        put(tree, "/a/b/file", b"content")
        put(tree, "/a/other", b"")
        assert sorted(tree.names("/a")) == ["b", "other"]
        assert tree.size("/a/b/file") == 7
        assert tree.size("/a") == -1, "a folder is no file"
        tree.rename("/a/b/file", "/a/other")
        assert tree.size("/a/other") == 7
        tree.remove("/a/other")
        assert tree.names("/a") == ["b"]
        raises(OSError, tree.remove, "/a")
        assert tree.free_bytes() > 0
