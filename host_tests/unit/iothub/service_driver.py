"""A driver for the services of iothub.services, without a session and without a clock: it records
what is sent, and lets coroutines go on when the test says so."""

import json

from iothub.credentials import Identity
from iothub.errors import BadInput, DeadlineError

IDENTITY = Identity("PRODUCTID1", "dev01")


class _Pause:
    """What a coroutine awaits to let the test go on."""

    def __iter__(self):
        yield None

    __await__ = __iter__


class Task:
    """A coroutine, run up to each pause. `error` is what ended it, `result` what it returned."""

    def __init__(self, coroutine):
        self._coroutine = coroutine
        self.done = False
        self.cancelled = False
        self.result = None
        self.error = None
        self.step()

    def step(self):
        if self.done:
            return
        try:
            self._coroutine.send(None)
        except StopIteration as e:
            self.done = True
            self.result = e.value
        except Exception as e:
            self.done = True
            self.error = e

    def fail(self, error):
        """What the coroutine waits for raises; the coroutine deals with it, and ends."""
        try:
            self._coroutine.throw(error)
        except StopIteration:
            self.done = True

    def cancel(self):
        self.done = self.cancelled = True
        self._coroutine.close()


class Driver:
    """`is_up` false: nothing leaves. `max_bytes` of a message that can leave. `expired`: so many
    until() have waited long enough; what one waits for is looked at after each of the `wakes`."""

    def __init__(self):
        self.is_up = True
        self.max_bytes = 16384
        self.expired = 0
        self.wakes = 0
        self.ticking = False
        self.clock_s = 1589786839
        self.next_random = 121213
        self.sent = []
        self.reports = []
        self.tasks = []
        self.published = []
        self.subscriptions = {}
        self.prefixes: list = []
        self.allow = self.prefixes.append
        self.forbid = self.prefixes.remove

    # What services call

    def send(self, topic, payload):
        if isinstance(payload, str):
            payload = payload.encode()
        if self.is_up and len(payload) > self.max_bytes:
            self.report(BadInput("payload", "too large for a packet"))
            return None
        if self.is_up:
            self.sent.append((topic, payload))
        return self.is_up

    def keep_time(self):
        self.ticking = True

    async def until(self, condition, timeout_ms=None):
        while not condition():
            wakes = self.wakes
            while wakes == self.wakes:  # as the real one, it does not look in between
                if self.expired:
                    self.expired -= 1
                    raise DeadlineError("expired")
                await _Pause()

    def wake(self):
        self.wakes += 1

    def spawn(self, coroutine):
        task = Task(coroutine)
        if not task.done or task.error is not None:  # else it is over already
            self.tasks.append(task)
        return task

    def report(self, error):
        self.reports.append(error)

    def random(self):
        return self.next_random

    def now_s(self):
        return self.clock_s

    async def publish(self, topic, payload, qos):
        self.published.append((topic, payload, qos))
        await _Pause()

    def subscribe(self, pattern, handler, qos):
        self.subscriptions[pattern] = handler, qos

    def unsubscribe(self, pattern):
        del self.subscriptions[pattern]

    # What tests call

    def run(self, rounds=8):
        for _ in range(rounds):
            for task in list(self.tasks):
                task.step()

    def take(self):
        """The messages sent since the last call, as dicts."""
        messages = [json.loads(payload) for _, payload in self.sent]
        self.sent.clear()
        return messages


class Cancelled(BaseException):
    """As asyncio's CancelledError, which is no Exception either."""


def pause():
    """For handlers that take their time: awaited, it lets the test go on."""
    return _Pause()
