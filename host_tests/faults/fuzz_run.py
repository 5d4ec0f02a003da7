"""Runs the cases of a fuzz from the command line, and counts what they ended with. The same under
CPython and MicroPython, which has neither argparse nor traceback."""

import binascii
import sys

from host_tests.faults.stay_loaded import stay_loaded

_PROGRESS_CASES = 5000


class FuzzFailure(Exception):
    """What is fuzzed broke a promise."""


class Tally:
    """How the cases ended: a count for each outcome, and one digest of everything told."""

    def __init__(self):
        self.counts = {}
        self.digest = 0

    def count(self, outcome):
        """Outcomes that differ in numbers only are one."""
        text = _without_numbers(outcome)
        self.counts[text] = self.counts.get(text, 0) + 1

    def mix(self, text):
        self.digest = binascii.crc32(text.encode(), self.digest)


def _without_numbers(text):
    out = ""
    for c in text:
        if not c.isdigit():
            out += c
        elif not out.endswith("N"):
            out += "N"
    return out


def run(run_case, seed, first, cases, tally):
    """`run_case(seed, case, tally)` for each case. Returns the number of the case that failed and
    its exception, or None."""
    for case in range(first, first + cases):
        if case % _PROGRESS_CASES == 0:
            # Where to look, should the case not end.
            print("case", case)
        try:
            run_case(seed, case, tally)
        except Exception as e:
            return case, e
    return None


def main(name, subjects, make_run_case):
    """--seed N --cases N [--first N] [--subject NAME]. `subjects` are what can be fuzzed, by
    name, "real" and the known-bad ones; make_run_case(subject) gives what run() calls."""
    stay_loaded()
    options = {"--seed": "1", "--cases": "1000", "--first": "0", "--subject": "real"}
    given = sys.argv[1:]
    while given:
        if given[0] not in options or len(given) < 2:
            print("options:", " ".join(sorted(options)), "each with a value; not", given[0])
            return 2
        options[given[0]] = given[1]
        given = given[2:]
    seed = int(options["--seed"])
    cases = int(options["--cases"])
    tally = Tally()
    failure = run(
        make_run_case(subjects[options["--subject"]]), seed, int(options["--first"]), cases, tally
    )
    if failure is not None:
        case, error = failure
        print(f"FAILED: {name} --seed {seed} --first {case} --cases 1")
        _print_exception(error)
        return 1
    for outcome in sorted(tally.counts):
        print(f"outcome {tally.counts[outcome]} {outcome}")
    print(f"{name}: {cases} cases, seed {seed}, digest {tally.digest:08x}")
    return 0


def _print_exception(error):
    if hasattr(sys, "print_exception"):
        sys.print_exception(error)
    else:
        import traceback

        traceback.print_exception(error, file=sys.stdout)
