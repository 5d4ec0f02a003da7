"""The device's trust anchors, built by digest: `python -m tools.trust`, which is `make trust`."""
