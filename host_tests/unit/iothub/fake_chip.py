"""A chip's Wi-Fi for tests of port/, its modules, and time that passes in asyncio only."""

import sys


class Wlan:
    """A station among `air`: {ssid: (dBm, password)}. With `hidden`, scan() does not show those.
    `tried` are the ssids it was told to join."""

    failing = -3
    unknown = -2

    def __init__(self, air, hidden=(), scan_error=None):
        self.air = air
        self.hidden = hidden
        self.scan_error = scan_error
        self.tried = []
        self.scans = 0
        self.is_active = False
        self._joined = None
        self._status = 0

    def active(self, on):
        self.is_active = on
        if not on:
            self._joined = None

    def scan(self):
        self.scans += 1
        if self.scan_error is not None:
            raise self.scan_error
        return [
            (ssid.encode(), b"\x00" * 6, 1, self.air[ssid][0], 3, 1)
            for ssid in sorted(self.air)
            if ssid not in self.hidden
        ]

    def connect(self, ssid, password):
        assert self.is_active
        self.tried.append(ssid)
        self._joined = None
        if ssid not in self.air:
            self._status = self.unknown
        elif self.air[ssid][1] is None:  # answers nothing
            self._status = 1
        elif self.air[ssid][1] != password:
            self._status = self.failing
        else:
            self._status = 3
            self._joined = ssid

    def disconnect(self):
        self._joined = None

    def isconnected(self):
        return self._joined is not None

    def status(self, what=None):
        return self.air[self._joined][0] if what == "rssi" else self._status

    def config(self, what):
        assert what == "ssid"
        return self._joined

    def ifconfig(self):
        return ("192.168.1.20", "255.255.255.0", "192.168.1.1", "192.168.1.1")


class _Asyncio:
    def __init__(self, clock):
        self._clock = clock

    async def sleep_ms(self, ms):
        self._clock.now_ms += ms


class _Clock:
    now_ms = 0

    def ticks_ms(self):
        return self.now_ms

    def ticks_diff(self, later, earlier):
        return later - earlier


class Modules:
    """A context in which `modules` (a dict) are imported in place of the interpreter's, and time
    and asyncio are simulated. `now_ms` is how long it took."""

    def __init__(self, modules):
        self._clock = _Clock()
        self._modules = dict(modules)
        self._modules["time"] = self._clock
        self._modules["asyncio"] = _Asyncio(self._clock)
        self._before = {}

    @property
    def now_ms(self):
        return self._clock.now_ms

    def __enter__(self):
        for name in self._modules:
            self._before[name] = sys.modules.get(name)
            sys.modules[name] = self._modules[name]
        return self

    def __exit__(self, *error):
        for name in self._modules:
            if self._before[name] is None:
                del sys.modules[name]
            else:
                sys.modules[name] = self._before[name]


def finish(coroutine):
    """Runs a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as e:
        return e.value
    raise AssertionError("it waits for something")
