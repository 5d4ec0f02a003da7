"""Network faults on purpose: a TCP proxy that cuts, stalls, delays, splits and gathers."""

from tools.faults.flow import Cut, Faults, Flow
from tools.faults.proxy import FaultProxy, Link

__all__ = ["Cut", "FaultProxy", "Faults", "Flow", "Link"]
