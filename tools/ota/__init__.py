"""Makes updates: keys, slots, bundles, signed files. The device has firmware/lib/iothub/update
and firmware/slotboot.py; no code is shared, so that a misreading shows."""
