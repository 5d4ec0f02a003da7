# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""Runs on the board: measures the operations of a probe and prints what it found as JSON.

A probe is a module with OPERATIONS, pairs of a name and a function without arguments. RATIOS
(name, name, limit) says how many times as long the first may take as the second; ALLOCATIONS
(name, limit) how many bytes of heap an operation may leave behind. ONCE has pairs like OPERATIONS
that take seconds: they run a single time, and what they allocate, which without the collector
would be more than the heap, is not counted.
"""

import gc
import json
import time

import micropython

_ROUNDS = 20


def _nothing():
    pass


def _least_us(operation):
    least = None
    for _ in range(_ROUNDS):
        gc.collect()
        start = time.ticks_us()
        operation()
        elapsed = time.ticks_diff(time.ticks_us(), start)
        if least is None or elapsed < least:
            least = elapsed
    return least


def _least_allocated(operation):
    least = None
    for _ in range(_ROUNDS):
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        operation()
        allocated = gc.mem_alloc() - before
        gc.enable()
        if least is None or allocated < least:
            least = allocated
    return least


def _runs_without_heap(operation):
    """Whether the operation works while nothing can be allocated, not even to be freed again."""
    micropython.heap_lock()
    try:
        operation()
    except MemoryError:
        return False
    finally:
        micropython.heap_unlock()
    return True


def run(name):
    probe = __import__(name)
    call_us = _least_us(_nothing)
    operations = []
    for title, operation in getattr(probe, "OPERATIONS", ()):
        operation()  # warm-up: buffers that grow once, names that are interned
        least_us = _least_us(operation) - call_us
        allocated = _least_allocated(operation)
        without_heap = allocated == 0 and _runs_without_heap(operation)
        operations.append((title, least_us, allocated, without_heap))
    for title, operation in getattr(probe, "ONCE", ()):
        gc.collect()
        start = time.ticks_us()
        operation()
        elapsed_us = time.ticks_diff(time.ticks_us(), start)
        operations.append((title, elapsed_us - call_us, None, False))
    print(
        json.dumps(
            {
                "operations": operations,
                "ratios": getattr(probe, "RATIOS", ()),
                "allocations": getattr(probe, "ALLOCATIONS", ()),
            }
        )
    )
