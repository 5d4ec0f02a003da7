"""A bundle that is stored as it comes, in one file, until it is whole and verified."""

from iothub.errors import StorageError


class FileTarget:
    """Where a download is written: the file `path` of `tree` (port/tree.py). It stays open, since
    each close writes metadata; sync() makes what was written so far safe."""

    def __init__(self, tree, path):
        self._tree = tree
        self._path = path
        self._file = None
        self._position = 0

    def write(self, offset, view):
        """Writes `view` from `offset` on; from 0 on, the file begins anew. Raises StorageError."""
        if not offset:
            # Its old end would be copied along with each write by the file system.
            self.close()
            self._open("w+b")
        elif offset != self._position or self._file is None:
            self._seek(offset)
        self._position = -1  # nobody knows where, until it is written
        try:
            if self._file.write(view) != len(view):
                raise OSError(28, "no space left")
            self._position = offset + len(view)
        except OSError as e:
            raise StorageError("cannot write the download", None, e.errno)

    def read(self, offset, view):
        """Fills `view` with what lies from `offset` on. Raises StorageError: less lies there."""
        self._seek(offset)
        if self._file.readinto(view) != len(view):
            raise StorageError("the download is shorter than noted")
        self._position = offset + len(view)

    def sync(self):
        """Returns when all that was written stays through a power cut. Raises StorageError."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as e:
                raise StorageError("cannot write the download", None, e.errno)

    def close(self):
        """The target is not used any more, or by another."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _seek(self, offset):
        if self._file is None:
            self._open("r+b" if self._tree.size(self._path) >= 0 else "w+b")
        # LittleFS writes out what it holds back whenever it is told where to go on.
        if offset != self._position:
            self._file.seek(offset)
        self._position = -1

    def _open(self, mode):
        try:
            self._file = self._tree.open(self._path, mode)
            self._position = 0
        except OSError as e:
            raise StorageError("cannot open the download", None, e.errno)
