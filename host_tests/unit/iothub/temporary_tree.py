"""A folder of the disk with the interface of the board's whole flash."""

import os

from iothub.port.tree import Tree


class TemporaryTree:
    """`with TemporaryTree() as tree:`"""

    def __enter__(self):
        self._path = "%s/tree-%s" % (os.getenv("TMPDIR") or "/tmp", os.urandom(8).hex())
        os.mkdir(self._path)
        return Tree(self._path)

    def __exit__(self, *_):
        Tree(self._path).remove("")
