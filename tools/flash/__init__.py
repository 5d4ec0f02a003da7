"""Writes MicroPython onto a board: `make flash` and `make erase`."""
