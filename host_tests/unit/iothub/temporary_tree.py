"""A folder of the disk with the interface of the board's whole flash."""

import os

from iothub.port.tree import Tree


class TemporaryTree:
    """`with TemporaryTree() as tree:`; `place` is the folder's path."""

    def __enter__(self):
        self.place = "%s/tree-%s" % (os.getenv("TMPDIR") or "/tmp", os.urandom(8).hex())
        os.mkdir(self.place)
        return Tree(self.place)

    def __exit__(self, *_):
        Tree(self.place).remove("")
