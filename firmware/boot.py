"""Runs first after every reset, before main.py: what the application must not be able to break."""

try:
    import micropython

    # Until it is known whether the console is closed, Ctrl-C does nothing.
    micropython.kbd_intr(-1)
    for _ in range(1):  # a jump: one that came before is raised here, not later
        pass
except KeyboardInterrupt:
    pass

import gc
import os
import sys

# Collect early and often: TLS and large messages need one contiguous block.
gc.threshold(32 * 1024)

# Before what failed starts again, where the console is closed.
_PAUSE_MS = 5000


def begin():
    """Makes the application what `import main` finds. Returns slotboot where there are slots."""
    try:
        import slotboot
    except ImportError:
        if "lib" not in sys.path and "/lib" not in sys.path:
            sys.path.append("lib")
        return None
    slotboot.begin()
    return slotboot


def run():
    """Runs the application and resets the chip when it ends. Here, since MicroPython comes to its
    prompt, and a Pico to its USB, only when boot.py has ended: it never does."""
    from time import sleep_ms

    from machine import reset

    try:
        try:
            slotboot = begin()  # noqa: F821 (it is deleted where this does not run)
            if slotboot:
                slotboot.run()
            else:
                __import__("main")
        except BaseException as e:
            sys.print_exception(e)
        sleep_ms(_PAUSE_MS)
    finally:
        reset()


files = os.listdir()
if "reset" in files or "closed.json" in files:
    try:
        import factory

        factory.begin()
        del factory, sys.modules["factory"]
    except Exception as e:  # it is tried again at the next start
        sys.print_exception(e)
    files = os.listdir()
if "closed.json" in files:
    run()
micropython.kbd_intr(3)
try:
    begin()
except Exception as e:  # main.py, which would not run after a failure here, sees to it
    sys.print_exception(e)
del begin, run, files  # their memory is the application's
