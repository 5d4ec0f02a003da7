"""Whether code that the library lets go of is really given back, for programs of tests."""

# Goes before such a program: after it, held() is how many of the modules that were let go of
# somebody still holds. Each carries a weight, which goes with it.
WEIGHED = """
import gc, sys
from iothub import loading

WEIGHT = 1 << 17  # more than all else there is
forget = loading.let_go
weighed = []

def let_go(name):
    if name in sys.modules:
        sys.modules[name].weight = bytearray(WEIGHT)
        weighed.append(name)
    forget(name)

loading.let_go = let_go

def held():
    for _ in range(3):
        gc.collect()
    return gc.mem_alloc() // WEIGHT
"""
