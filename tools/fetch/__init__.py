"""Brings pinned parts that pip cannot install: `python -m tools.fetch umqtt|pico-image|all`."""
