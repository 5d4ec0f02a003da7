"""What a file server is asked for; what its answers mean says download.py."""

WANTED = (b"content-range", b"etag")  # the fields of an answer that are looked at


class Asked:
    """One file of `size` bytes. Who keeps what comes says came_to(), and sets `has_tail`: the last
    `tail` bytes, which are asked for first; and forgets both when `restarts` has grown. `etag`
    (str) is the server's mark of the file, "" if unknown. `tries` counts those in a row that
    brought no byte."""

    def __init__(self, size, tail, offset=0, etag="", has_tail=False):
        self.size = size
        self.tail = tail
        self.offset = offset
        self.etag = etag
        self.has_tail = has_tail
        self.tail_first = not offset
        self.with_range = True
        self.tries = 0
        self.restarts = 0

    @property
    def wants_tail(self):
        return self.tail_first and not self.has_tail

    def came_to(self, offset):
        """So many bytes from the beginning are here now."""
        if offset > self.offset:
            self.offset = offset
            self.tries = 0

    def start_over(self):
        self.restarts += 1
        self.offset = 0
        self.etag = ""
        self.has_tail = False
