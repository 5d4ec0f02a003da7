"""What a Shadow does while something is under way: functions of one, by the states in shadow.py.

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
from iothub.services.shadow import GETTING, IDLE, OFFLINE, PAUSED, UPDATING, WHOLE
from iothub.timeouts import SHADOW_ANSWER_MS, SHADOW_HANDLER_MS

_MAX_REQUESTS = const(10)  # without answer; as the C SDK
_MAX_UPDATES = const(4)  # gathered changes that cannot be one message
_MAX_TRIES = const(3)  # of one request, before the service counts as silent
_MAX_CONFLICTS = const(5)  # of one update, before it waits for SHADOW_PAUSE_MS
_MAX_CLEARED = const(32)  # keys of desired cleared one by one in a message


class _Request:
    """A get, or with `changes` to `reported` an update, and the desired values (`clears`, by key)
    that were applied with them. It is `done` when the server took it, with an `error` when nobody
    knows, or never will. On its way, `cleared` are the keys of desired it clears, and `version` is
    what was known when it was sent."""

    # Without methods: one that waits for a connection holds none of the code.

    done = False
    error = None
    document = None
    token = ""
    tries = 0
    waited_ms = 0
    conflicts = 0
    version = 0
    changes = None
    clears = None
    cleared = ()


# What an application calls


def report(shadow, changes):
    """See Shadow.report_nowait()."""
    try:
        return _add(shadow, checked_changes(changes), {})
    finally:
        proceed(shadow)


def get(shadow):
    """The _Request of Shadow.get()."""
    if len(shadow._requests) >= _MAX_REQUESTS:
        raise QueueFull("%d shadow requests wait already" % _MAX_REQUESTS, "shadow")
    request = _launch(shadow, _Request())
    _rest(shadow)
    return request


def clear(shadow, keys):
    """The _Request of Shadow.clear_desired()."""
    desired = shadow.desired
    clears = {}
    for key in keys or desired:
        if key in desired:
            clears[key] = copied(desired[key])
    try:
        if clears:
            shadow._handled.update(clears)
            return _add(shadow, {}, clears)
        nothing = _Request()
        nothing.done = True
        return nothing
    finally:
        proceed(shadow)


# What the driver calls


def begin(shadow):
    """Asks for the document, and for what was waiting for the connection."""
    for request in shadow._requests:
        if not request.tries:
            _send(shadow, request)
    _get(shadow)


def advance(shadow, elapsed_ms):
    """Time passes."""
    if shadow._applying is not None:
        shadow._applying_ms += elapsed_ms
        if shadow._applying_ms >= SHADOW_HANDLER_MS:
            shadow._applying = None
            shadow._task.cancel()
            shadow._task = None
            shadow._driver.report(IoTHubError("a handler for desired takes too long", "shadow"))
    if shadow.state != OFFLINE:
        for request in list(shadow._requests):
            request.waited_ms += elapsed_ms
            if request.waited_ms >= SHADOW_ANSWER_MS:
                if request.tries < _MAX_TRIES:
                    _send(shadow, request)
                else:
                    silent = DeadlineError("the shadow does not answer", "shadow")
                    _fail(shadow, request, silent)
        proceed(shadow)
    else:
        _rest(shadow)


def received(shadow, message):
    """An answer or a delta: what Service._message() made of it."""
    kind = message["type"]
    payload = message["payload"] or {}
    try:
        if kind == "delta":
            _delta(shadow, payload)
        elif kind == "get" or kind == "update":
            _answered(shadow, message, payload)
    except BadInput:  # what it says is not a document
        shadow.malformed += 1
    proceed(shadow)


def proceed(shadow):
    """Starts what is to be done next, if nothing is on its way."""
    if shadow._running is None and shadow.state != OFFLINE and shadow.state != PAUSED:
        updates = shadow._updates
        while updates and not (updates[0].changes or _clearable(shadow, updates[0])):
            _end(shadow, updates.pop(0))  # the desired values are gone without it
        if shadow._stale:
            _get(shadow)
        elif updates:
            shadow.state = UPDATING
            shadow._running = _launch(shadow, updates[0])
        else:
            shadow.state = IDLE
    _apply(shadow)
    _rest(shadow)


def _rest(shadow):
    """Lets go of this module when nothing is under way."""
    if shadow._applying is None and (shadow.state == OFFLINE or not shadow._requests):
        shadow._code = None


# Requests


def _update(changes, clears):
    update = _Request()
    update.changes = changes
    update.clears = clears
    return update


def _launch(shadow, request):
    shadow._count += 1
    request.token = shadow._token + str(shadow._count)
    request.tries = 0
    shadow._requests.append(request)
    if shadow.state != OFFLINE:
        _send(shadow, request)
    return request


def _send(shadow, request):
    message: dict = {"type": "get", "clientToken": request.token}
    if request.changes is not None:
        state: dict = {}
        if request.changes:
            state["reported"] = request.changes
        cleared = _clearable(shadow, request)
        if cleared:
            # The documents know only null for the whole; keys are the C SDK's.
            state["desired"] = None
            if len(cleared) < len(shadow.desired):
                cleared = cleared[:_MAX_CLEARED]
                state["desired"] = dict([(key, None) for key in cleared])
        request.cleared = cleared
        message["type"] = "update"
        message["state"] = state
        message["version"] = shadow.version
    request.version = shadow.version
    request.waited_ms = 0
    request.tries += 1
    shadow._send(message)
    shadow._driver.keep_time()


def _clearable(shadow, update):
    """The keys of desired that still are as they were applied."""
    desired = shadow.desired
    clears = update.clears
    return [key for key in clears if key in desired and same(desired[key], clears[key])]


def _land(shadow, request):
    """It is no longer on its way."""
    shadow._requests.remove(request)
    if request is shadow._running:
        shadow._running = None


def _end(shadow, request, error=None):
    """Tells who waits for it."""
    request.done = True
    request.error = error
    shadow._driver.wake()


def _answered(shadow, message, payload):
    token = message.get("clientToken")
    if type(token) is int:  # the documents' example sends a number and gets a text
        token = str(token)
    is_update = message["type"] == "update"
    for request in shadow._requests:
        if request.token == token and (request.changes is not None) == is_update:
            break
    else:
        shadow.unmatched += 1
        return
    result = message.get("result")
    if type(result) is not int:
        raise BadInput("result", "must be a number")
    if is_update:
        _update_answered(shadow, request, result, payload)
    elif result == 0 or result == SHADOW_MISSING:
        if result:
            payload = {"state": {}, "version": 0}
        _take(shadow, payload, request.version)
        request.document = payload
        _land(shadow, request)
        _end(shadow, request)
    else:
        _fail(shadow, request, _refused(result))


def _update_answered(shadow, update, result, payload):
    if result == 0:
        version = payload.get("version")
        if type(version) is int and version == shadow.version + 1:
            shadow.version = version
            merge(shadow.reported, update.changes)
            for key in update.cleared:
                shadow.desired.pop(key, None)
                shadow._handled.pop(key, None)
        elif version != update.version + 1:
            shadow._stale = True
        # Else a document came before this answer, and has the changes.
        _drop(shadow, update)
        if _clearable(shadow, update):
            shadow._updates.insert(0, _update({}, update.clears))
    elif result == SHADOW_VERSION_MISMATCH or result == SHADOW_VERSION_CONFLICT:
        update.conflicts += 1
        try:
            _take(shadow, payload, update.version)
        except BadInput:
            shadow._stale = True
        if update.conflicts > _MAX_CONFLICTS:
            _fail(shadow, update, _refused(result))
        else:
            _land(shadow, update)
    elif result in (SHADOW_DATABASE, SHADOW_UPDATE_FAILED, SHADOW_INTERNAL):
        _fail(shadow, update, _refused(result))
    else:  # it will never be taken
        _drop(shadow, update, _refused(result))


def _drop(shadow, update, error=None):
    """The update that is on its way is over."""
    _land(shadow, update)
    del shadow._updates[0]
    _end(shadow, update, error)
    if error is not None:
        shadow._driver.report(error)


def _fail(shadow, request, error):
    """Whoever waits is told. If the state is about it, the shadow pauses; its update stays."""
    is_running = request is shadow._running
    _land(shadow, request)
    _end(shadow, request, error)
    if is_running:
        if request.changes is not None:
            shadow._updates[0] = _update(request.changes, request.clears)
        shadow._pause()
        shadow._driver.report(error)


# The document


def _take(shadow, payload, asked_version):
    """A whole document. Raises BadInput."""
    state = _state(payload)
    version = payload["version"]
    # Older than what came after it was asked for: nothing new. Older than what was known then:
    # the shadow was made anew.
    if asked_version <= version < shadow.version:
        return
    reported: dict = {}
    desired: dict = {}
    metadata = _part(payload, "metadata")
    merge(reported, _part(state, "reported"))
    merge(desired, _part(state, "desired"))
    # All or nothing, should the memory not suffice.
    shadow.version = version
    shadow.reported = reported
    shadow.desired = desired
    shadow.metadata = metadata


def _delta(shadow, payload):
    state = _state(payload)
    version = payload["version"]
    if version == shadow.version + 1:
        shadow.version = version
        merge(shadow.desired, state)
    elif version != shadow.version:
        shadow._stale = True  # something was missed


def _get(shadow):
    shadow._stale = False
    shadow.state = GETTING
    shadow._running = _launch(shadow, _Request())


def _add(shadow, changes, clears, max_updates=_MAX_UPDATES):
    """Changes for the next update; returns the _Request they are part of."""
    updates = shadow._updates
    if len(updates) > (shadow.state == UPDATING):
        last = updates[-1]
        both = composed(last.changes, changes)
        if both is not None and fits(both):
            last.changes = both
            last.clears.update(clears)
            return last
    if len(updates) >= max_updates or not fits(changes):
        raise QueueFull("too much waits to be reported", "shadow")
    update = _update(changes, clears)
    updates.append(update)
    return update


# Desired values


def _apply(shadow):
    """Hands the desired values that are new to their handlers."""
    desired = shadow.desired
    handlers = shadow._handlers
    handled = {}
    for key in shadow._handled:  # a wish taken back and made again is a new one
        if key in desired:
            handled[key] = shadow._handled[key]
    shadow._handled = handled
    if shadow._applying or not handlers or len(shadow._updates) > _MAX_UPDATES:
        return
    wanted = {}
    for key in desired:
        value = desired[key]
        if key not in handled or not same(handled[key], value):
            if key in handlers or WHOLE in handlers:
                wanted[key] = handled[key] = copied(value)
                # What was applied before no longer holds, should it be desired once more.
                for update in shadow._updates:
                    update.clears.pop(key, None)
    if wanted:
        shadow._applying = wanted
        shadow._applying_ms = 0
        shadow._driver.keep_time()
        shadow._task = shadow._driver.spawn(_run_handlers(shadow, wanted))


async def _run_handlers(shadow, wanted):
    handlers = shadow._handlers
    parts: dict = {}  # by the key of their handler
    for key in wanted:
        parts.setdefault(key if key in handlers else WHOLE, {})[key] = wanted[key]
    changes = {}
    clears = {}
    for key in parts:
        values = copied(parts[key])
        try:
            applied = handlers[key](values if key == WHOLE else values[key])
            if hasattr(applied, "send"):  # a coroutine
                applied = await applied
            if applied is None:
                applied = values
            elif key != WHOLE:
                applied = {key: applied}
            changes.update(checked_changes(applied))
            clears.update(parts[key])
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as e:
            # It was late, and this task is cancelled; or something the handler waited for was.
            if shadow._applying is not wanted and not isinstance(e, Exception):
                raise
            shadow._driver.report(e)
    if shadow._applying is wanted:  # else it was late, and given up
        shadow._applying = None
        shadow._task = None  # it would hold this module
        try:
            if clears:
                _add(shadow, changes, clears, _MAX_UPDATES + 1)  # always one for this
        except QueueFull as e:
            shadow._driver.report(e)
        proceed(shadow)


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
