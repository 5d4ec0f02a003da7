"""One device and the hub, each with its own real code for shadows, on a line that loses, repeats
and reorders, in virtual time. An application wishes, the device reports; in the end both agree.
"""

import json
from itertools import count
from typing import Any, NamedTuple

from iothub.credentials import Identity as DeviceIdentity
from iothub.errors import QueueFull
from iothub.services.shadow import IDLE, OFFLINE
from iothub.services.shadow import Shadow as DeviceShadow
from iothub.timeouts import SERVICE_TICK_MS, SHADOW_PAUSE_MS

from host_tests.unit.hub.service_bench import ServiceBench
from host_tests.unit.iothub.service_driver import Driver, pause
from tools.hub.services.shadow_messages import ShadowMessages
from tools.hub.services.shadows import ShadowRefused, Shadows

# What the application wishes is handled; what the device reports by itself is not wished.
WISHED_KEYS = ("a", "b", "c")
REPORTED_KEYS = ("r", "s")
# A handler refuses it, but not that of "a".
REFUSED_VALUE = "not now"
_SETTLING_ROUNDS = 3 * SHADOW_PAUSE_MS // SERVICE_TICK_MS

Changes = dict[str, Any]


class Subject(NamedTuple):
    """The code that is tried."""

    hub: type[Shadows] = Shadows
    device: type[DeviceShadow] = DeviceShadow


class Desk:
    """A hub that many worlds use one after the other, since making one takes longer than a run."""

    def __init__(self) -> None:
        self.bench = ServiceBench()
        self.product_id = self.bench.registry.add_product("shadows").product_id
        self.names = count(1)


class World:
    """What may happen are the methods in ACTIONS; `settle` and `check` end a run."""

    def __init__(self, desk: Desk, subject: Subject) -> None:
        self._bench = desk.bench
        self._bench.sent.clear()
        self._bench.faults.clear()
        added = desk.bench.registry.add_device(desk.product_id, f"dev{next(desk.names)}")
        self._identity = added.identity
        self._subject = subject
        self._up: list[bytes] = []
        self._down: list[bytes] = []
        # Whether the device was told all on this connection, so that they agree without more.
        self._was_perfect = False
        self._was_deleted = False
        self._wished: Changes = {}
        self._said: Changes = {}
        self._applied: Changes = {}
        self._cleared: set[str] = set()
        self.restart()
        self._driver = Driver()
        self._device = subject.device(self._driver, DeviceIdentity(*self._identity))

        @self._device.on("a")
        def on_a(value: Any) -> None:
            self._applied["a"] = value

        @self._device.on_delta
        async def on_others(desired: Changes) -> None:
            await pause()
            if REFUSED_VALUE in desired.values():
                raise ValueError("refused by its handler")
            self._applied.update(desired)

    # The application.

    def wish(self, changes: Changes) -> None:
        self._shadows.update_desired(self._identity, changes)
        self._wished |= changes
        self._collect()

    def wish_in_vain(self, changes: Changes) -> None:
        """Based on a version that is not the latest: refused, without a trace."""
        before = self._shadows.latest(self._identity)
        try:
            self._shadows.update_desired(self._identity, changes, before.version + 1)
        except ShadowRefused as refused:
            assert refused.result == 5005
        assert self._shadows.latest(self._identity) == before

    def clear_wishes(self) -> None:
        self._shadows.update_desired(self._identity, None)
        self._wished.clear()
        self._collect()

    def delete(self) -> None:
        if self._shadows.latest(self._identity).exists:
            self._shadows.delete(self._identity)
            self._was_perfect = False  # the documents have no message that tells of it
            self._wished.clear()
            self._was_deleted = True

    # The hub.

    def restart(self) -> None:
        """The hub's shadows as its store has them."""
        self._shadows = self._subject.hub(self._bench.context)
        self._messages = ShadowMessages(self._bench.context, self._shadows)

    def fail(self, code: int) -> None:
        self._bench.faults.arm("shadow_refuse", self._identity.path, 1, {"code": code})

    # The device.

    def report(self, changes: Changes) -> None:
        try:
            self._device.report_nowait(changes)
        except QueueFull:
            return
        _merge(self._said, changes)

    def clear_at_device(self, key: str) -> None:
        # That may wait, and then take the same wish, made again, for the one that was meant.
        self._cleared.add(key)
        self._driver.spawn(self._device.clear_desired(key))

    def fetch(self) -> None:
        self._driver.spawn(self._device.get())

    def run_handlers(self) -> None:
        self._driver.run(1)

    def wait(self, ticks: int) -> None:
        self._collect()
        for _ in range(ticks):
            self._bench.clock.moved_ms += SERVICE_TICK_MS
            self._device.advance(SERVICE_TICK_MS)
        # A request that is sent again may be done twice; of the second the device hears nothing.
        self._was_perfect &= not self._driver.sent

    # The line.

    def connect(self) -> None:
        if self._device.state == OFFLINE:
            self._bench.presence.connected(self._identity)
            self._was_perfect = True
            self._device.connected()

    def disconnect(self, what_left_arrives: bool) -> None:
        if self._device.state != OFFLINE:
            if what_left_arrives:
                self._carry_up()
            self._driver.sent.clear()
            self._up.clear()
            self._down.clear()
            self._bench.presence.disconnected(self._identity)
            self._device.closed()

    def carry(self) -> None:
        """All that is on its way, without a fault."""
        self._carry_up()
        down, self._down = self._down, []
        for payload in down:
            self._device.received(b"", payload)

    def lose_up(self) -> None:
        self._collect()
        if self._up:
            self._up.pop(0)
            self._was_perfect = False

    def repeat_up(self) -> None:
        """The next message arrives, and is sent once more."""
        self._collect()
        if self._up:
            self._was_perfect = False
            self._arrive(self._up[0])

    def lose_down(self, place: int) -> None:
        self._collect()
        if self._down:
            self._down.pop(place % len(self._down))
            self._was_perfect = False

    def pick_down(self, place: int, again: bool) -> None:
        """A message overtakes those before it; with `again` it comes once more."""
        self._collect()
        if self._down:
            place %= len(self._down)
            self._was_perfect &= place == 0 and not again
            payload = self._down[place] if again else self._down.pop(place)
            self._device.received(b"", payload)

    def _carry_up(self) -> None:
        self._collect()
        up, self._up = self._up, []
        for payload in up:
            self._arrive(payload)

    def _arrive(self, payload: bytes) -> None:
        topic = f"$shadow/operation/{self._identity.path}"
        self._messages.handle(self._identity, topic, payload)
        self._collect()

    def _collect(self) -> None:
        """Put on the line what both sides sent."""
        self._up += [payload for _, payload in self._driver.sent]
        self._driver.sent.clear()
        self._down += [json.dumps(message).encode() for _, _, message, _ in self._bench.sent]
        self._bench.sent.clear()

    # The end.

    def settle(self, on_a_new_link: bool) -> None:
        """From now on nothing fails. What the device was not told on this connection shows on a
        new one, or with the next wish; what a handler took too long for is tried again there."""
        self._bench.faults.clear()
        was_late = any("too long" in str(error) for error in self._driver.reports)
        if on_a_new_link or was_late:
            self.disconnect(False)
        elif not self._was_perfect:
            self.wish({"a": 1})
        self.connect()
        for _ in range(_SETTLING_ROUNDS):
            self.carry()
            self.run_handlers()
            self._bench.clock.moved_ms += SERVICE_TICK_MS
            is_waiting = self._device.advance(SERVICE_TICK_MS)
            self._collect()
            if not is_waiting and not self._up and not self._down:
                return

    def check(self) -> None:
        """Both have the same document, and nothing of it was lost on the way."""
        document = self._shadows.latest(self._identity)
        device = self._device
        assert device.state == IDLE, f"the device is in state {device.state}"
        _assert_same(device.reported, document.reported)
        _assert_same(device.desired, document.desired)
        assert device.version == (document.version if document.exists else 0)
        if not self._was_deleted:
            said = {key: document.reported.get(key) for key in REPORTED_KEYS}
            _assert_same(said, {key: self._said.get(key) for key in REPORTED_KEYS})
        for key, wish in self._wished.items():
            if wish is None or isinstance(wish, dict) or key in self._cleared:
                continue  # how an object merges depends on when it was applied
            if key in document.desired:
                assert key != "a", "what every handler takes is still desired"
                _assert_same(document.desired[key], wish)
            else:
                _assert_same(self._applied.get(key), wish)
                _assert_same(document.reported.get(key), wish)

    def leave(self) -> None:
        """Leave the desk as it was found."""
        self._bench.presence.disconnected(self._identity)
        self._bench.registry.remove_device(self._bench.registry.device(*self._identity))
        self._bench.registry.on_removed.remove(self._shadows._forget)
        self._bench.records.sweep(100, 100)


def _merge(target: Changes, changes: Changes) -> None:
    """What the device means by its changes (RFC 7396, JSON merge patch)."""
    for key, value in changes.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            inner = target.get(key)
            target[key] = dict(inner) if isinstance(inner, dict) else {}
            _merge(target[key], value)
        else:
            target[key] = value


def _assert_same(one: Any, other: Any) -> None:
    texts = [json.dumps(each, sort_keys=True) for each in (one, other)]
    assert texts[0] == texts[1], f"{texts[0]} is not {texts[1]}"
