"""Cuts the power at every change of a run, and in pairs, and judges what comes out.

    MICROPYPATH=ROOT:ROOT/firmware/lib micropython host_tests/faults/power_cuts.py
        [--cuts N] [--seed N] [--first CASE] [--medium littlefs|plain] [--subject NAME]

A case is a scenario: an application that puts, takes, settles and saves. It runs once without a
cut. Then, for each change it made to the medium, the power goes at that change: the device starts
again from what is left, must find all it was promised, goes on and comes to its end. For some of
these, the power goes a second time, at every change of that second run.
"""

import gc
import sys

from host_tests.faults.fuzz_dice import Dice
from host_tests.faults.power_application import Application
from host_tests.faults.power_broken import SUBJECTS
from host_tests.faults.power_ledger import Ledger
from host_tests.faults.power_media import HALF_DONE, NOT_DONE, SCATTERED, LittleFs, PlainFiles
from host_tests.faults.stay_loaded import stay_loaded

MEDIA = {"littlefs": LittleFs, "plain": PlainFiles}
# One in so many first cuts gets a second one at every change of the run after it.
_PAIRS_AT = 80

# How an application goes on after a cut, before it drains the queue.
_AFTERWARDS = (
    ("put", 20),
    ("take", None),
    ("save", 10),
    ("put", 300),
    ("take", None),
    ("settle", 1),
    ("put", 5),
    ("settle", 0),
)


class Scenario:
    """What follows from (seed, case): the medium's size, the queue's options, the steps."""

    def __init__(self, seed, case):
        dice = Dice(seed, case)
        self.steps = []
        if dice.hits(15):
            self._long(dice)
        elif dice.hits(15):
            self._full(dice)
        else:
            self._any(dice)

    def _any(self, dice):
        self.blocks = 24
        self.options = {
            "max_messages": dice.pick((3, 8, 1000)),
            "max_bytes": dice.pick((400, 20000, 65536)),
            "drop_oldest": dice.hits(50),
            "segment_bytes": dice.pick((64, 300, 1000, 4096)),
        }
        largest = dice.pick((10, 50, 300, 300, 6000))
        for _ in range(1 + dice.below(3)):
            self._outage(dice, 3 + dice.below(8), largest)
            self._flush(dice, 2 + dice.below(10))

    def _long(self, dice):
        """So many messages in one segment that the queue notes where it is, more than once."""
        self.blocks = 24
        self.options = {"drop_oldest": dice.hits(50), "segment_bytes": dice.pick((1000, 4096))}
        self._outage(dice, 25 + dice.below(20), 8)
        self._flush(dice, 25 + dice.below(20))

    def _full(self, dice):
        """More than the flash holds."""
        self.blocks = 8 + dice.below(6)
        self.options = {"drop_oldest": dice.hits(50), "segment_bytes": dice.pick((64, 1000, 4096))}
        for _ in range(2):
            self._outage(dice, 10, 4000)
            self._flush(dice, 6)

    def _outage(self, dice, messages, largest):
        for _ in range(messages):
            self.steps.append(("put", dice.below(largest)))
            if dice.hits(20):
                self.steps.append(("save", dice.below(400)))

    def _flush(self, dice, messages):
        for _ in range(messages):
            self.steps.append(("take", None))
            if dice.hits(80):
                self.steps.append(("settle", dice.below(5)))
            if dice.hits(15):
                self.steps.append(("put", dice.below(100)))


class Cuts:
    """Counts, and knows where it is, should a promise be broken."""

    def __init__(self, medium_class, subject):
        self.single = 0
        self.paired = 0
        self.place = ""
        self.reached = {}
        self._medium_class = medium_class
        self._subject = subject

    @property
    def total(self):
        return self.single + self.paired

    def run_case(self, seed, case):
        scenario = Scenario(seed, case)
        medium = self._medium_class(scenario.blocks)
        self.place = "no cut"
        first = _Run(scenario.options, scenario.steps, Dice(seed, ~case), is_first=True)
        self._run_and_cut(medium, medium.image(), Ledger(), first)

    def _run_and_cut(self, medium, image, ledger, run):
        """The run on `image`, whole; then, at every change it made, a cut and what follows.
        `image` and `ledger` go along with the changes."""
        medium.begin(image)
        moments = self._run(medium, ledger, run.options, run.steps)
        log = medium.log
        place = self.place
        for at in range(len(log) + 1):
            while moments and moments[0][0] <= at:
                _, what, value = moments.pop(0)
                ledger.note(what, value)
            tears = [NOT_DONE]
            if at < len(log):
                tears.append(run.dice.pick((HALF_DONE, SCATTERED)))
            for tear in tears:
                self.place = f"{place}, cut at {at} of {len(log)}, tear {tear}"
                torn = image
                if tear:
                    medium.begin(image)
                    torn = medium.image()
                    medium.tear(torn, log[at], tear, run.dice)
                if run.is_first:
                    self.single += 1
                else:
                    self.paired += 1
                if run.is_first and (at == len(log) or run.dice.below(_PAIRS_AT) == 0):
                    second = _Run(run.options, _AFTERWARDS, run.dice, is_first=False)
                    self._run_and_cut(medium, medium.copy(torn), ledger.copy(), second)
                else:
                    medium.begin(torn)
                    self._run(medium, ledger, run.options, _AFTERWARDS)
            if at < len(log):
                medium.apply(image, log[at])

    def _run(self, medium, ledger, options, steps):
        """Returns the moments in the order of the changes before them."""
        application = Application(medium, ledger.copy(), self._subject, options, self.reached)
        application.start()
        application.follow(steps)
        application.finish()
        moments = application.moments
        order = sorted([(moments[i][0], i) for i in range(len(moments))])
        return [moments[i] for _, i in order]


class _Run:
    def __init__(self, options, steps, dice, is_first):
        self.options = options
        self.steps = steps
        self.dice = dice
        self.is_first = is_first


def main(given):
    stay_loaded()
    options = {
        "--cuts": "1000", "--seed": "1", "--first": "0", "--medium": "littlefs",
        "--subject": "real",
    }  # fmt: skip
    while given:
        if given[0] not in options or len(given) < 2:
            print("options:", " ".join(sorted(options)), "each with a value; not", given[0])
            print("subjects:", " ".join(sorted(SUBJECTS)))
            return 2
        options[given[0]] = given[1]
        given = given[2:]
    seed = int(options["--seed"])
    case = int(options["--first"])
    cuts = Cuts(MEDIA[options["--medium"]], SUBJECTS[options["--subject"]])
    while cuts.total < int(options["--cuts"]):
        gc.collect()
        try:
            cuts.run_case(seed, case)
        except Exception as e:
            print(f"FAILED: --seed {seed} --first {case} --medium {options['--medium']}")
            print(f"{cuts.place}, after {cuts.total} cuts")
            sys.print_exception(e)
            return 1
        case += 1
    for what in sorted(cuts.reached):
        print(f"reached {cuts.reached[what]} {what}")
    medium = options["--medium"]
    print(f"{medium}: {cuts.total} cuts, {cuts.paired} of them second ones, 0 lost")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
