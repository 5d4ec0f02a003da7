"""Small files in one directory: where store/ keeps its records. LittleFS, FAT or POSIX."""

import os

_FOLDER = "/state"  # of the flash file system


class Files:
    """Every call opens and closes its file, so that a power cut finds none open.

    Reading never raises: what cannot be read is absent. Writing raises OSError as the file system
    words it (errno 28: no space left); on LittleFS the file is then what it was before.
    """

    def __init__(self, directory):
        """Makes the directory if it is missing; the one above it must be there."""
        self._path = directory + "/"
        try:
            os.mkdir(directory)
        except OSError as e:
            if e.errno != 17:  # it exists
                raise

    def names(self):
        """The names of all files, in any order."""
        return os.listdir(self._path[:-1])  # FAT takes none that ends with a slash

    def size(self, name):
        """In bytes; -1 when there is no such file."""
        try:
            return os.stat(self._path + name)[6]
        except OSError:
            return -1

    def read(self, name, offset=0, size=-1):
        """Up to `size` bytes from `offset` on, or None."""
        try:
            with open(self._path + name, "rb") as file:
                file.seek(offset)
                return file.read(size)
        except OSError:
            return None

    def append(self, name, data):
        """Adds to the end of the file, which is made if it is missing."""
        self.write(name, data, "ab")

    def write(self, name, data, mode="wb"):
        """Replaces the whole file."""
        with open(self._path + name, mode) as file:
            if file.write(data) != len(data):  # POSIX, when the disk fills up
                raise OSError(28, "no space left")
            file.flush()  # to the disk itself: POSIX would keep it back

    def remove(self, name):
        """Raises OSError when there is no such file, too."""
        os.remove(self._path + name)


def storage():
    """Where a chip keeps the state of the library."""
    return Files(_FOLDER)
