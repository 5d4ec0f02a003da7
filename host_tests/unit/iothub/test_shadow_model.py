"""The shadow against a small cloud of the documents' words, in random interleavings: applications
that wish, a device that reports, a wire that loses, repeats and breaks. In the end both agree."""

import json

from iothub.errors import QueueFull
from iothub.services.codes import SHADOW_MISSING, SHADOW_VERSION_MISMATCH
from iothub.services.document import same
from iothub.services.shadow import IDLE, Shadow
from iothub.timeouts import SHADOW_PAUSE_MS

from host_tests.faults.fuzz_dice import Dice
from host_tests.unit.iothub.service_driver import IDENTITY, Driver, pause

SEED = 20240104
RUNS = 300
STEPS = 60
KEYS = ("a", "b", "c", "d")
VALUES: tuple = (
    0,
    1,
    True,
    2.5,
    "x",
    [],
    [1, {"y": 2}],
    {"p": 1},
    {"p": {"q": 2}, "r": 3},
    {"p": None},
)


class Cloud:
    """One shadow, as the documents describe it. `pushes` are what it sends by itself."""

    def __init__(self):
        self.exists = False
        self.version = 0
        self.reported = {}
        self.desired = {}
        self.pushes = []

    def wish(self, changes):
        """The application's update of desired, through the cloud's API."""
        self.merge(self.desired, changes)
        self.version += 1
        self.exists = True
        payload = {"state": changes, "timestamp": 1, "version": self.version}
        self.pushes.append({"type": "delta", "payload": payload, "timestamp": 1})

    def answer(self, message):
        answer = {"type": message["type"], "clientToken": message["clientToken"], "result": 0}
        answer["timestamp"] = 1
        if message["type"] == "get":
            if not self.exists:
                answer["result"] = SHADOW_MISSING
                return answer
            answer["payload"] = self._document()
            if self.desired:
                answer["payload"]["state"]["delta"] = self.desired
        elif message["version"] not in (0, self.version):
            answer["result"] = SHADOW_VERSION_MISMATCH
            answer["payload"] = self._document()
        else:
            state = message["state"]
            self.merge(self.reported, state.get("reported", {}))
            if "desired" in state:
                if state["desired"] is None:
                    self.desired = {}
                else:
                    self.merge(self.desired, state["desired"])
            self.version += 1
            self.exists = True
            answer["payload"] = {"state": state, "timestamp": 1, "version": self.version}
        return answer

    def _document(self):
        state = {"reported": self.reported}
        if self.desired:
            state["desired"] = self.desired
        return {"state": state, "timestamp": 1, "version": self.version}

    def merge(self, target, changes):
        for key in changes:
            if changes[key] is None:
                target.pop(key, None)
            elif type(changes[key]) is dict:
                if type(target.get(key)) is not dict:
                    target[key] = {}
                self.merge(target[key], changes[key])
            else:
                target[key] = json.loads(json.dumps(changes[key]))


class World:
    def __init__(self, dice):
        self.dice = dice
        self.cloud = Cloud()
        self.driver = Driver()
        self.shadow = Shadow(self.driver, IDENTITY)
        self.loses_percent = dice.pick((0, 5, 30))
        self.down = []  # on its way to the device
        self.wanted = {}  # what the device said of itself, in its own order
        self.applied: dict = {}  # what each key was last set to

        self.wished: dict = {}  # what was last wished of each key

        @self.shadow.on("a")
        def on_a(value):
            self.applied["a"] = value

        @self.shadow.on_delta
        async def rest(desired):
            for _ in range(dice.below(3)):
                await pause()
            if dice.hits(10):
                raise ValueError("not now")
            self.applied.update(desired)

    def changes(self, keys):
        made = {}
        for _ in range(1 + self.dice.below(2)):
            made[self.dice.pick(keys)] = self.dice.pick(VALUES + (None,))
        return made

    def carry(self, loses_percent):
        """What is on the wire, each way; some of it lost, some of it twice."""
        sent = [payload for _, payload in self.driver.sent]
        self.driver.sent.clear()
        for payload in sent:
            if not self.dice.hits(loses_percent):
                self.down.append(self.cloud.answer(json.loads(payload)))
        self.down += self.cloud.pushes
        self.cloud.pushes.clear()
        down = self.down
        self.down = []
        for message in down:
            if loses_percent and self.dice.hits(15):
                self.down.append(message)  # later, and perhaps after others
                if self.dice.hits(50):
                    continue
            if not self.dice.hits(loses_percent):
                self.shadow.received(b"", json.dumps(message).encode())

    def step(self):
        kind = self.dice.below(20)
        if kind < 3:
            changes = self.changes(KEYS)
            self.wished.update(changes)
            self.cloud.wish(changes)
            if not self.shadow.state:
                self.cloud.pushes.clear()  # only who is online is told
        elif kind < 6:
            changes = self.changes(("r", "s"))
            try:
                self.shadow.report_nowait(changes)
                self.cloud.merge(self.wanted, changes)
            except QueueFull:
                pass
        elif kind < 13:
            self.carry(self.loses_percent)
        elif kind < 16:
            for _ in range(self.dice.below(30)):
                self.shadow.advance(250)
        elif kind < 17:
            self.driver.spawn(self.shadow.get())
        elif not self.shadow.state:
            self.shadow.connected()
        elif kind == 19:
            self.break_link()
        self.driver.run(2)

    def break_link(self):
        self.shadow.closed()
        self.driver.sent.clear()
        self.down.clear()
        self.cloud.pushes.clear()

    def settle(self):
        """A last reconnect, and then nothing is lost any more."""
        self.break_link()
        self.shadow.connected()
        for _ in range(40 + SHADOW_PAUSE_MS // 250):
            self.carry(0)
            self.driver.run(2)
            if not self.shadow.advance(250) and not self.driver.sent and not self.down:
                return


def _run(seed, run):
    world = World(Dice(seed, run))
    for _ in range(STEPS):
        world.step()
    world.settle()
    shadow, cloud = world.shadow, world.cloud
    assert shadow.state == IDLE, (run, shadow.state)
    assert shadow.version == cloud.version, run
    assert same(shadow.reported, cloud.reported), (run, shadow.reported, cloud.reported)
    assert same(shadow.desired, cloud.desired), (run, shadow.desired, cloud.desired)
    for key in ("r", "s"):
        said = world.wanted.get(key)
        assert same(cloud.reported.get(key), said), (run, key, cloud.reported, said)
    for key in world.wished:
        wish = world.wished[key]
        if wish is not None and not isinstance(wish, dict):
            if key in cloud.desired:  # only what a handler refused is left
                assert key != "a" and same(cloud.desired[key], wish), (run, key)
            else:
                assert same(world.applied.get(key), wish), (run, key)
                assert same(cloud.reported.get(key), wish), (run, key)


def test_device_and_cloud_agree_in_the_end():
    for run in range(RUNS):
        _run(SEED, run)
