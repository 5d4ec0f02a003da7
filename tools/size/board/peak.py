# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""The most heap in use while something runs.

A timer asks between two instructions of Python, or in the middle of C, how much is in use.
Garbage would count as well: so the collector runs whenever some bytes were allocated. This makes
all so slow that hardly a state of the heap passes between two looks.
"""

import gc
import json
from array import array

import machine

_LOOK_MS = 16  # a look takes 6 of them

_STACK_CALLS = 8  # the stack has room for some 20

# More is faster and less exact.
least_garbage_bytes = 0

_most = array("i", (0,))


def _look(_timer):
    in_use = gc.mem_alloc()
    if in_use > _most[0]:
        _most[0] = in_use


def heap_in_use():
    """Bytes, without garbage."""
    _overwrite_stack(_STACK_CALLS)
    gc.collect()
    gc.collect()  # what finalisers let go of
    return gc.mem_alloc()


def _overwrite_stack(calls):
    # What calls that are over left there would keep alive what they knew.
    if calls:
        _overwrite_stack(calls - 1)


class Peak:
    """`with Peak() as peak:`, then `peak.bytes` at the most and `peak.kept_bytes` afterwards; both
    above what was in use before, or above `start_bytes`. Up to `garbage_bytes` may be garbage.
    `within_c` interrupts C as well, for work that leaves room on the stack: where Python is deep
    in its calls, an interrupt finds none and ends all."""

    def __init__(self, garbage_bytes=64, start_bytes=None, within_c=False):
        self._garbage_bytes = garbage_bytes
        self._within_c = within_c
        self._start_bytes = start_bytes

    def __enter__(self):
        in_use = heap_in_use()
        if self._start_bytes is None:
            self._start_bytes = in_use
        _most[0] = in_use
        self._threshold_bytes = gc.threshold()
        gc.threshold(max(self._garbage_bytes, least_garbage_bytes))
        self._timer = machine.Timer(period=_LOOK_MS, callback=_look, hard=self._within_c)
        return self

    def __exit__(self, *_raised):
        self._timer.deinit()
        gc.threshold(self._threshold_bytes)
        in_use = heap_in_use()
        self.bytes = max(_most[0], in_use) - self._start_bytes
        self.kept_bytes = in_use - self._start_bytes


def run(scene, *arguments):
    """Prints what `run` of the module `scene` answers as JSON: (name, Peak) of each."""
    found = __import__(scene).run(*arguments)
    print(json.dumps([(name, peak.bytes, peak.kept_bytes) for name, peak in found]))
