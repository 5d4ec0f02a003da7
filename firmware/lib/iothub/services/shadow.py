"""The device shadow: document "设备影子", PROTOCOL section 6. Pure; see service.py.

    OFFLINE --connected()--> GETTING --document--> IDLE --changes--> UPDATING --accepted--> IDLE
    UPDATING --5005, with the server's document--> UPDATING again, of its version
    IDLE, UPDATING --a version was missed--> GETTING
    GETTING, UPDATING --no answer, or the service fails--> PAUSED --SHADOW_PAUSE_MS--> GETTING
    OFFLINE, IDLE --the code below cannot be loaded--> PAUSED
    all --closed()--> OFFLINE

This module has what is known and what waits. Two thirds of the code are shadow_exchange.py, which
is loaded with what begins an exchange (a report, a delta, a connection) and stays until nothing is
under way: 21 ms of an RP2040 for all of its messages, where these are seconds or hours apart. So
nobody carries it who only knows a shadow, or is offline and needs the heap to connect.
"""

from iothub.compat import const
from iothub.errors import IoTHubError
from iothub.loading import for_now
from iothub.services.service import Service
from iothub.timeouts import SHADOW_PAUSE_MS

OFFLINE = const(0)
GETTING = const(1)
IDLE = const(2)
UPDATING = const(3)
PAUSED = const(4)

WHOLE = ""  # the key under which the handler for the whole is kept; no property is called that


class Shadow(Service):
    """`reported`, `desired` and `version` are the server's as far as this device knows;
    `metadata` that of the document it got last. `unmatched` counts answers nobody waits for.
    What an application calls also raises LinkError or MemoryError, when the code for it cannot be
    loaded; then nothing was done."""

    def __init__(self, driver, identity):
        super().__init__(driver, identity, b"$shadow/operation", b"$shadow/operation/result")
        self.state = OFFLINE
        self.reported = {}
        self.desired = {}
        self.metadata = {}
        self.version = 0
        self.unmatched = 0
        self._token = "%x-" % driver.random()
        self._count = 0
        self._requests = []  # that are on their way, or will be when connected
        self._running = None  # the one that the state is about
        self._updates = []  # the first of them is on its way while UPDATING
        self._stale = False  # the document may have changed since it was asked for last
        self._handlers = {}
        self._handled = {}  # the desired values that handlers were given, by key
        self._applying = None  # those they are at work on
        self._task = None
        self._waited_ms = 0  # in PAUSED
        self._applying_ms = 0
        self._code = None  # the module, while something is under way

    # What an application calls

    def on_delta(self, handler):
        """Decorator: `handler(desired)`, plain or async, is given the desired values (a dict) that
        no on(key) takes, and answers those it really applied (a dict; None: all, as they were).
        They are reported and desired is cleared, in one exchange. What it raises is reported, and
        the values are tried again at the next connection."""
        return self.on(WHOLE)(handler)

    def on(self, key):
        """Decorator: the same for one property, `handler(value)`."""

        def register(handler):
            self._handlers[key] = handler
            if key == WHOLE:
                self._handled = {}
            self._handled.pop(key, None)
            if self.desired and self._can_exchange():
                self._code.proceed(self)
            return handler

        return register

    async def report(self, changes):
        """report_nowait(), and waits until the server has it. Raises BadInput, QueueFull,
        ServiceRefused; DeadlineError: not yet, but it is kept and goes on trying."""
        await self._settled(self.report_nowait(changes))

    def report_nowait(self, changes):
        """Changes `reported`: a dict of JSON values, of which None deletes. Offline, changes are
        gathered into one message. Raises BadInput, QueueFull."""
        return self._load().report(self, changes)

    async def get(self):
        """The server's document, {"state": {"reported": ..., ...}, "version": ..., ...}. Raises
        QueueFull, DeadlineError, ServiceRefused."""
        request = self._load().get(self)
        try:
            await self._settled(request)
        finally:
            if request in self._requests:
                self._requests.remove(request)
        return request.document

    async def clear_desired(self, *keys):
        """Clears these keys of `desired`, or all that are known here. Raises as report()."""
        await self._settled(self._load().clear(self, keys))

    async def _settled(self, waiting):
        await self._driver.until(lambda: waiting.done)
        if waiting.error is not None:
            raise waiting.error

    # What the driver calls

    def connected(self):
        if self.state == OFFLINE:
            self._handled = dict(self._applying or {})
            for update in self._updates:
                self._handled.update(update.clears)
            super().connected()
            self._driver.spawn(self._begin())

    def closed(self):
        super().closed()
        self.state = OFFLINE
        if self._running is not None:
            self._requests.remove(self._running)
            self._running = None
        for request in self._requests:
            request.tries = 0
        if self._applying is None:
            self._code = None

    def advance(self, elapsed_ms):
        if self.state == PAUSED:
            self._waited_ms += elapsed_ms
            if self._waited_ms >= SHADOW_PAUSE_MS and self._can_exchange():
                self._code.begin(self)
        if self._code is not None:
            self._code.advance(self, elapsed_ms)
        return self.state == PAUSED or self._code is not None

    def received(self, topic, payload):
        message = self._message(payload)
        if self._code is not None and message is not None:
            self._code.received(self, message)
        elif message is not None:
            self._driver.spawn(self._take(message))

    # Loading takes more of the stack than is left where the session calls

    async def _begin(self):
        if self.is_connected and self.state == OFFLINE:
            if self._can_exchange():
                self._code.begin(self)
            else:
                self._pause()

    async def _take(self, message):
        if self._can_exchange():
            self._code.received(self, message)

    # For shadow_exchange.py, too

    def _load(self):
        if self._code is None:
            self._code = for_now("iothub.services.shadow_exchange")
        return self._code

    def _can_exchange(self):
        """Whether the code is there. If not, nothing is missed: what follows, a pause or the next
        connection, begins with the whole document."""
        try:
            self._load()
        except (IoTHubError, MemoryError) as e:
            self._driver.report(e)
            if self.state != OFFLINE:
                self._pause()
            return False
        return True

    def _pause(self):
        self._waited_ms = 0
        self.state = PAUSED
        self._driver.keep_time()
