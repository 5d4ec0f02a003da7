# Runs on the board, in the names of its REPL: called by tools/repl/board.py.
import hashlib
import os

_FILE = 0x8000


def hashes(paths):
    """The SHA-256 of each file in hex, None where there is none."""
    found: list = []
    buf = memoryview(bytearray(512))
    for path in paths:
        try:
            with open(path, "rb") as file:
                digest = hashlib.sha256()
                while True:
                    size = file.readinto(buf)
                    if not size:
                        break
                    digest.update(buf[:size])
            found.append(digest.digest().hex())
        except OSError:
            found.append(None)
    return found


def make_folders(path):
    """A folder, with those above it."""
    made = ""
    for name in path.strip("/").split("/"):
        made += "/" + name
        try:
            os.stat(made)
        except OSError:
            if name:
                os.mkdir(made)


def rename(source, target):
    os.rename(source, target)


def remove(path):
    """A file, or a folder with all there is in it; what is not there is no error."""
    try:
        is_file = os.stat(path)[0] & _FILE
    except OSError:
        return
    if is_file:
        os.remove(path)
        return
    for name in os.listdir(path):
        remove(path + "/" + name)
    os.rmdir(path)


def files(folder):
    """The paths of all files below a folder."""
    found: list = []
    try:
        entries = list(os.ilistdir(folder))
    except OSError:
        return found
    for entry in entries:
        path = folder.rstrip("/") + "/" + entry[0]
        if entry[1] & _FILE:
            found.append(path)
        else:
            found += files(path)
    return found


def free_bytes():
    about = os.statvfs("/")
    return about[0] * about[3]


def read(path):
    """A small text file, or None."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None
