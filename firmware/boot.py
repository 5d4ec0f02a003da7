"""Runs first after every reset, before main.py: what the application must not be able to break."""

import gc
import sys

# Collect early and often: TLS and large messages need one contiguous block.
gc.threshold(32 * 1024)

try:
    import slotboot  # a board whose application can be updated
except ImportError:
    if "lib" not in sys.path and "/lib" not in sys.path:
        sys.path.append("lib")
else:
    slotboot.begin()
