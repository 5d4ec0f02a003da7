"""A TCP connection that exists in virtual time only."""


class Link:
    """Joins two ends, `device` and `server`, which have received(data) and broken(). What is sent
    arrives `latency_ms` later, as long as the link is `alive`."""

    def __init__(self, agenda, latency_ms, device):
        self.alive = True
        # A false one: what is sent that way vanishes, and nobody is told.
        self.passes_up = True
        self.passes_down = True
        self.server = None
        self._agenda = agenda
        self._latency_ms = latency_ms
        self._device = device
        self._up_bytes_left = -1

    def send_up(self, data):
        self._agenda.after(self._latency_ms, self._arrive_up, data)

    def send_down(self, data):
        self._agenda.after(self._latency_ms, self._arrive_down, data)

    def close_later(self):
        """The server closes; what it sent before still arrives."""
        self._agenda.after(self._latency_ms, self.reset)

    def cut_after(self, up_bytes):
        """The link will be reset when so many more bytes arrived at the server."""
        self._up_bytes_left = up_bytes

    def reset(self):
        if self.alive:
            self.alive = False
            self._device.broken(self)
            self.server.broken()

    def close(self):
        """The device closes it; the server hears of it if anything passes."""
        if self.alive and self.passes_up:
            self.reset()
        self.alive = False

    def abandon(self):
        """The device is no more, and the server is not told."""
        self.alive = False

    def _arrive_up(self, data):
        if not self.alive or not self.passes_up:
            return
        if self._up_bytes_left < 0:
            self.server.received(data)
            return
        data = data[: self._up_bytes_left]
        self._up_bytes_left -= len(data)
        self.server.received(data)
        if not self._up_bytes_left:
            self.reset()

    def _arrive_down(self, data):
        if self.alive and self.passes_down:
            self._device.received(self, data)
