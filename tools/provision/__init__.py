"""Gives a board its identity: device.json, trust anchors, certificates (`make provision`)."""
