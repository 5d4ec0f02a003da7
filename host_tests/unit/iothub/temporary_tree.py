"""A folder of the disk with the interface of the board's whole flash."""

import os

from iothub.port.tree import Tree


class FolderTree(Tree):
    """With what provisioning does and updates do not: `place` is the folder's path."""

    def __init__(self, place):
        super().__init__(place)
        self.place = place

    def make_folder(self, path):
        os.mkdir(self.place + path)


class TemporaryTree:
    """`with TemporaryTree() as tree:`; `place` is the folder's path."""

    def __enter__(self):
        self.place = "%s/tree-%s" % (os.getenv("TMPDIR") or "/tmp", os.urandom(8).hex())
        os.mkdir(self.place)
        return FolderTree(self.place)

    def __exit__(self, *_):
        _remove_folder(self.place)


def _remove_folder(path):
    for name in os.listdir(path):
        inner = path + "/" + name
        if os.stat(inner)[0] & 0x4000:
            _remove_folder(inner)
        else:
            os.remove(inner)
    os.rmdir(path)
