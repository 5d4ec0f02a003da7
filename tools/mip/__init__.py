"""Packages for mip, MicroPython's own installer: the core, one for each service (`make mip`)."""
