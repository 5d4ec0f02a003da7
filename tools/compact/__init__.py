"""Makes the library small before it is compiled: modules that are always used together become one
file, constants become literals, and names that only the library uses become names that every
MicroPython has in its firmware already, and so cost no heap.

The sources stay as they read best. `python -m tools.compact` reads a board's traceback back.
"""
