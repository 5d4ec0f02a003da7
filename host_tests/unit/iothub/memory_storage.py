"""Files in a dictionary, with the interface of iothub.port.files, that can fail on request."""


class MemoryStorage:
    """`failure` is (errno, bytes): every write fails with it after so many bytes were written."""

    def __init__(self):
        self.files = {}
        self.calls = []  # (method, name) of all that changed something
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
        self.calls.append(("write", name))
        self.files[name] = b""
        self._add(name, data)

    def append(self, name, data):
        self.calls.append(("append", name))
        self._add(name, data)

    def remove(self, name):
        self.calls.append(("remove", name))
        if self.failure is not None:
            raise OSError(self.failure[0])
        if name not in self.files:
            raise OSError(2)
        del self.files[name]

    def _add(self, name, data):
        kept = bytes(data) if self.failure is None else bytes(data)[: self.failure[1]]
        self.files[name] = self.files.get(name, b"") + kept
        if self.failure is not None:
            raise OSError(self.failure[0])
