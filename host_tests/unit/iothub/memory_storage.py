"""Files in a dictionary, with the interface of iothub.port.files, that can fail on request."""


class MemoryStorage:
    """`failure` is (errno, bytes): every write fails with it after so many bytes were written; so
    does every removal, unless `can_remove_always`."""

    def __init__(self, can_remove_always=False):
        self._can_remove_always = can_remove_always
        self.files = {}
        self.changes = 0  # calls that were to change something
        self.written = None  # a list takes the names of what is written
        self.failure = None

    def names(self):
        return list(self.files)

    def size(self, name):
        return len(self.files[name]) if name in self.files else -1

    def read(self, name, offset=0, size=-1):
        if name not in self.files:
            return None
        content = self.files[name]
        return bytes(content[offset:] if size < 0 else content[offset : offset + size])

    def write(self, name, data):
        self.files[name] = b""
        self._add(name, data)

    def append(self, name, data):
        self._add(name, data)

    def remove(self, name):
        self.changes += 1
        if self.failure is not None and not self._can_remove_always:
            raise OSError(self.failure[0], "on request")
        if name not in self.files:
            raise OSError(2, "no such file")
        del self.files[name]

    def _add(self, name, data):
        self.changes += 1
        if self.written is not None:
            self.written.append(name)
        kept = bytes(data) if self.failure is None else bytes(data)[: self.failure[1]]
        self.files[name] = self.files.get(name, b"") + kept
        if self.failure is not None:
            raise OSError(self.failure[0], "on request")
