"""Folders and files by their full paths: what an update writes. LittleFS, FAT or POSIX."""

import os

_FOLDER = 0x4000
_BLOCK_BYTES = 0  # in os.statvfs()
_FREE_BLOCKS = 3


class Tree:
    """All below the folder `root` ("" on a board); paths begin with "/". Calls raise OSError as
    the file system words it, but for those that say otherwise."""

    def __init__(self, root=""):
        self._root = root

    def open(self, path, mode):
        """The file, which the caller closes."""
        return open(self._root + path, mode)

    def size(self, path):
        """In bytes; -1 when there is no such file."""
        try:
            mode, _, _, _, _, _, size = os.stat(self._root + path)[:7]
        except OSError:
            return -1
        return -1 if mode & _FOLDER else size

    def names(self, path):
        """What is in a folder; nothing when there is no such folder."""
        try:
            return os.listdir(self._root + path)
        except OSError:
            return []

    def rename(self, old, new):
        """A file that is at `new` is replaced, in one step on LittleFS and POSIX."""
        os.rename(self._root + old, self._root + new)

    def remove(self, path):
        """Removes a file; a path where nothing is, too."""
        try:
            os.remove(self._root + path)
        except OSError as e:
            if e.errno != 2:  # it is not there
                raise

    def free_bytes(self):
        """What the file system says it has room for."""
        figures = os.statvfs(self._root or "/")
        return figures[_BLOCK_BYTES] * figures[_FREE_BLOCKS]
