"""Runs plain test files under MicroPython, as pytest runs them under CPython.

    MICROPYPATH=ROOT:ROOT/firmware/lib micropython host_tests/under_micropython.py FILE...

FILE is relative to ROOT. Prints a traceback for each failure, one line "FILE: tests failures" for
each file, and a last line with the totals. Ends with status 1 if anything failed.
"""

import gc
import sys


def _run_file(path):
    """(tests, failures) of one file."""
    module = __import__(path[: -len(".py")].replace("/", "."), None, None, ("*",))
    tests = failures = 0
    for name in sorted(dir(module)):
        if not name.startswith("test_"):
            continue
        gc.collect()
        tests += 1
        try:
            getattr(module, name)()
        except Exception as e:
            failures += 1
            print("FAILED", path, name)
            sys.print_exception(e)
    return tests, failures


def main(paths):
    total_tests = total_failures = 0
    for path in paths:
        try:
            tests, failures = _run_file(path)
        except Exception as e:
            tests, failures = 0, 1
            print("FAILED", path, "(import)")
            sys.print_exception(e)
        print(f"{path}: {tests} tests, {failures} failures")
        total_tests += tests
        total_failures += failures
    print(f"total: {total_tests} tests, {total_failures} failures")
    return 1 if total_failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
