"""The device shadow: document "设备影子", PROTOCOL section 6. Pure; see service.py.

    OFFLINE --connected()--> GETTING --document--> IDLE --changes--> UPDATING --accepted--> IDLE
    UPDATING --5005, with the server's document--> UPDATING again, of its version
    IDLE, UPDATING --a version was missed--> GETTING
    GETTING, UPDATING --no answer, or the service fails--> PAUSED --SHADOW_PAUSE_MS--> GETTING
    all --closed()--> OFFLINE

One update is on its way at a time; what is reported meanwhile, or offline, is gathered into the
next. Every update names the version it is based on, so that whatever this device missed shows as
5005. A desired value is cleared only while it is the one that was applied.
"""

from iothub.compat import const
from iothub.errors import BadInput, DeadlineError, IoTHubError, QueueFull, ServiceRefused
from iothub.services.codes import (
    SHADOW_DATABASE,
    SHADOW_INTERNAL,
    SHADOW_MISSING,
    SHADOW_UPDATE_FAILED,
    SHADOW_VERSION_CONFLICT,
    SHADOW_VERSION_MISMATCH,
)
from iothub.services.document import (
    NULL_ANYWHERE,
    check,
    checked_changes,
    composed,
    copied,
    fits,
    merge,
    same,
)
from iothub.services.service import Service
from iothub.timeouts import SHADOW_ANSWER_MS, SHADOW_HANDLER_MS, SHADOW_PAUSE_MS

OFFLINE = const(0)
GETTING = const(1)
IDLE = const(2)
UPDATING = const(3)
PAUSED = const(4)
_MAX_REQUESTS = const(10)  # without answer; as the C SDK
_MAX_UPDATES = const(4)  # gathered changes that cannot be one message
_MAX_TRIES = const(3)  # of one request, before the service counts as silent
_MAX_CONFLICTS = const(5)  # of one update, before it waits for SHADOW_PAUSE_MS
_MAX_CLEARED = const(32)  # keys of desired cleared one by one in a message

_WHOLE = ""  # the key under which the handler for the whole is kept; no property is called that


class _Request:
    """A get, or with `changes` to `reported` an update, and the desired values (`clears`, by key)
    that were applied with them. It is `done` when the server took it, with an `error` when nobody
    knows, or never will. On its way, `cleared` are the keys of desired it clears, and `version` is
    what was known when it was sent."""

    done = False
    error = None
    document = None
    token = ""
    tries = 0
    waited_ms = 0
    conflicts = 0
    version = 0
    cleared = ()

    def __init__(self, changes=None, clears=None):
        self.changes = changes
        self.clears = clears


class Shadow(Service):
    """`reported`, `desired` and `version` are the server's as far as this device knows;
    `metadata` that of the document it got last. `unmatched` counts answers nobody waits for."""

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

    # What an application calls

    def on_delta(self, handler):
        """Decorator: `handler(desired)`, plain or async, is given the desired values (a dict) that
        no on(key) takes, and answers those it really applied (a dict; None: all, as they were).
        They are reported and desired is cleared, in one exchange. What it raises is reported, and
        the values are tried again at the next connection."""
        return self.on(_WHOLE)(handler)

    def on(self, key):
        """Decorator: the same for one property, `handler(value)`."""

        def register(handler):
            self._handlers[key] = handler
            if key == _WHOLE:
                self._handled = {}
            self._handled.pop(key, None)
            self._proceed()
            return handler

        return register

    async def report(self, changes):
        """report_nowait(), and waits until the server has it. Raises BadInput, QueueFull,
        ServiceRefused; DeadlineError: not yet, but it is kept and goes on trying."""
        await self._settled(self.report_nowait(changes))

    def report_nowait(self, changes):
        """Changes `reported`: a dict of JSON values, of which None deletes. Offline, changes are
        gathered into one message. Raises BadInput, QueueFull."""
        return self._add(checked_changes(changes), {})

    async def get(self):
        """The server's document, {"state": {"reported": ..., ...}, "version": ..., ...}. Raises
        QueueFull, DeadlineError, ServiceRefused."""
        if len(self._requests) >= _MAX_REQUESTS:
            raise QueueFull("%d shadow requests wait already" % _MAX_REQUESTS, "shadow")
        request = self._launch(_Request())
        try:
            await self._settled(request)
        finally:
            if request in self._requests:
                self._requests.remove(request)
        return request.document

    async def clear_desired(self, *keys):
        """Clears these keys of `desired`, or all that are known here. Raises as report()."""
        clears = {}
        for key in keys or self.desired:
            if key in self.desired:
                clears[key] = copied(self.desired[key])
        if clears:
            self._handled.update(clears)
            await self._settled(self._add({}, clears))

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
            for request in self._requests:
                self._send_request(request)
            self._get()

    def closed(self):
        self.state = OFFLINE
        if self._running is not None:
            self._land(self._running)
        for request in self._requests:
            request.tries = 0

    def advance(self, elapsed_ms):
        if self._applying is not None:
            self._applying_ms += elapsed_ms
            if self._applying_ms >= SHADOW_HANDLER_MS:
                self._applying = None
                self._task.cancel()
                self._driver.report(IoTHubError("a handler for desired takes too long", "shadow"))
        if self.state == OFFLINE:
            return self._applying is not None
        if self.state == PAUSED:
            self._waited_ms += elapsed_ms
            if self._waited_ms >= SHADOW_PAUSE_MS:
                self._get()
        for request in list(self._requests):
            request.waited_ms += elapsed_ms
            if request.waited_ms >= SHADOW_ANSWER_MS:
                if request.tries < _MAX_TRIES:
                    self._send_request(request)
                else:
                    self._fail(request, DeadlineError("the shadow does not answer", "shadow"))
        self._proceed()
        return self.state == PAUSED or bool(self._requests) or self._applying is not None

    def received(self, topic, payload):
        message = self._message(payload)
        if message is not None:
            kind = message["type"]
            payload = message["payload"] or {}
            try:
                if kind == "delta":
                    self._delta(payload)
                elif kind == "get" or kind == "update":
                    self._answered(message, payload)
            except BadInput:  # what it says is not a document
                self.malformed += 1
            self._proceed()

    # Requests

    def _launch(self, request):
        self._count += 1
        request.token = self._token + str(self._count)
        request.tries = 0
        self._requests.append(request)
        if self.state != OFFLINE:
            self._send_request(request)
        return request

    def _send_request(self, request):
        message: dict = {"type": "get", "clientToken": request.token}
        if request.changes is not None:
            state: dict = {}
            if request.changes:
                state["reported"] = request.changes
            cleared = self._clearable(request)
            if cleared:
                # The documents know only null for the whole; keys are the C SDK's.
                state["desired"] = None
                if len(cleared) < len(self.desired):
                    cleared = cleared[:_MAX_CLEARED]
                    state["desired"] = dict([(key, None) for key in cleared])
            request.cleared = cleared
            message["type"] = "update"
            message["state"] = state
            message["version"] = self.version
        request.version = self.version
        request.waited_ms = 0
        request.tries += 1
        self._send(message)
        self._driver.keep_time()

    def _clearable(self, update):
        """The keys of desired that still are as they were applied."""
        keys = []
        for key in update.clears:
            if key in self.desired and same(self.desired[key], update.clears[key]):
                keys.append(key)
        return keys

    def _land(self, request):
        """It is no longer on its way."""
        self._requests.remove(request)
        if request is self._running:
            self._running = None

    def _end(self, request, error=None):
        """Tells who waits for it."""
        request.done = True
        request.error = error
        self._driver.wake()

    def _answered(self, message, payload):
        token = message.get("clientToken")
        if type(token) is int:  # the documents' example sends a number and gets a text
            token = str(token)
        is_update = message["type"] == "update"
        for request in self._requests:
            if request.token == token and (request.changes is not None) == is_update:
                break
        else:
            self.unmatched += 1
            return
        result = message.get("result")
        if type(result) is not int:
            raise BadInput("result", "must be a number")
        if is_update:
            self._update_answered(request, result, payload)
        elif result == 0 or result == SHADOW_MISSING:
            if result:
                payload = {"state": {}, "version": 0}
            self._take(payload, request.version)
            request.document = payload
            self._land(request)
            self._end(request)
        else:
            self._fail(request, _refused(result))

    def _update_answered(self, update, result, payload):
        if result == 0:
            version = payload.get("version")
            if type(version) is int and version == self.version + 1:
                self.version = version
                merge(self.reported, update.changes)
                for key in update.cleared:
                    self.desired.pop(key, None)
                    self._handled.pop(key, None)
            elif version != update.version + 1:
                self._stale = True
            # Else a document came before this answer, and has the changes.
            self._drop(update)
            if self._clearable(update):
                self._updates.insert(0, _Request({}, update.clears))
        elif result == SHADOW_VERSION_MISMATCH or result == SHADOW_VERSION_CONFLICT:
            update.conflicts += 1
            try:
                self._take(payload, update.version)
            except BadInput:
                self._stale = True
            if update.conflicts > _MAX_CONFLICTS:
                self._fail(update, _refused(result))
            else:
                self._land(update)
        elif result in (SHADOW_DATABASE, SHADOW_UPDATE_FAILED, SHADOW_INTERNAL):
            self._fail(update, _refused(result))
        else:  # it will never be taken
            self._drop(update, _refused(result))

    def _drop(self, update, error=None):
        """The update that is on its way is over."""
        self._land(update)
        del self._updates[0]
        self._end(update, error)
        if error is not None:
            self._driver.report(error)

    def _fail(self, request, error):
        """Whoever waits is told. If the state is about it, the shadow pauses; its update stays."""
        is_running = request is self._running
        self._land(request)
        self._end(request, error)
        if is_running:
            if request.changes is not None:
                self._updates[0] = _Request(request.changes, request.clears)
            self._waited_ms = 0
            self.state = PAUSED
            self._driver.report(error)
            self._driver.keep_time()

    # The document

    def _take(self, payload, asked_version):
        """A whole document. Raises BadInput."""
        state = _state(payload)
        version = payload["version"]
        # Older than what came after it was asked for: nothing new. Older than what was known then:
        # the shadow was made anew.
        if asked_version <= version < self.version:
            return
        reported: dict = {}
        desired: dict = {}
        metadata = _part(payload, "metadata")
        merge(reported, _part(state, "reported"))
        merge(desired, _part(state, "desired"))
        # All or nothing, should the memory not suffice.
        self.version = version
        self.reported = reported
        self.desired = desired
        self.metadata = metadata

    def _delta(self, payload):
        state = _state(payload)
        version = payload["version"]
        if version == self.version + 1:
            self.version = version
            merge(self.desired, state)
        elif version != self.version:
            self._stale = True  # something was missed

    def _get(self):
        self._stale = False
        self.state = GETTING
        self._running = self._launch(_Request())

    def _add(self, changes, clears, max_updates=_MAX_UPDATES):
        """Changes for the next update; returns the _Request they are part of."""
        updates = self._updates
        if len(updates) > (self.state == UPDATING):
            last = updates[-1]
            both = composed(last.changes, changes)
            if both is not None and fits(both):
                last.changes = both
                last.clears.update(clears)
                return last
        if len(updates) >= max_updates or not fits(changes):
            raise QueueFull("too much waits to be reported", "shadow")
        update = _Request(changes, clears)
        updates.append(update)
        self._proceed()
        return update

    def _proceed(self):
        """Starts what is to be done next, if nothing is on its way."""
        if self._running is None and self.state != OFFLINE and self.state != PAUSED:
            updates = self._updates
            while updates and not (updates[0].changes or self._clearable(updates[0])):
                self._end(updates.pop(0))  # the desired values are gone without it
            if self._stale:
                self._get()
            elif updates:
                self.state = UPDATING
                self._running = self._launch(updates[0])
            else:
                self.state = IDLE
        self._apply()

    # Desired values

    def _apply(self):
        """Hands the desired values that are new to their handlers."""
        handled = {}
        for key in self._handled:  # a wish taken back and made again is a new one
            if key in self.desired:
                handled[key] = self._handled[key]
        self._handled = handled
        if self._applying or not self._handlers or len(self._updates) > _MAX_UPDATES:
            return
        wanted = {}
        for key in self.desired:
            value = self.desired[key]
            if key not in self._handled or not same(self._handled[key], value):
                if key in self._handlers or _WHOLE in self._handlers:
                    wanted[key] = self._handled[key] = copied(value)
                    # What was applied before no longer holds, should it be desired once more.
                    for update in self._updates:
                        update.clears.pop(key, None)
        if wanted:
            self._applying = wanted
            self._applying_ms = 0
            self._driver.keep_time()
            self._task = self._driver.spawn(self._run_handlers(wanted))

    async def _run_handlers(self, wanted):
        parts: dict = {}  # by the key of their handler
        for key in wanted:
            parts.setdefault(key if key in self._handlers else _WHOLE, {})[key] = wanted[key]
        changes = {}
        clears = {}
        for key in parts:
            values = copied(parts[key])
            try:
                applied = self._handlers[key](values if key == _WHOLE else values[key])
                if hasattr(applied, "send"):  # a coroutine
                    applied = await applied
                if applied is None:
                    applied = values
                elif key != _WHOLE:
                    applied = {key: applied}
                changes.update(checked_changes(applied))
                clears.update(parts[key])
            except Exception as e:
                self._driver.report(e)
        if self._applying is wanted:  # else it was late, and given up
            self._applying = None
            try:
                if clears:
                    self._add(changes, clears, _MAX_UPDATES + 1)  # always one for this
            except QueueFull as e:
                self._driver.report(e)
            self._proceed()


def _state(payload):
    """The state of a document or delta, which has a version. Raises BadInput."""
    version = payload.get("version")
    if type(version) is not int or version < 0:
        raise BadInput("version", "must be a number")
    state = _part(payload, "state")
    check(state, NULL_ANYWHERE)
    return state


def _part(fields, name):
    """The dict of that name; empty if there is none. Raises BadInput."""
    part = fields.get(name)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise BadInput(name, "must be an object")
    return part


def _refused(code):
    return ServiceRefused("the shadow refuses (%d)" % code, "shadow", code)
