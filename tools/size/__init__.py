"""Measures what the library costs on the emulated Pico W: `python -m tools.size`."""
