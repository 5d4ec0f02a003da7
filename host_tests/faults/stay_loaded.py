"""Imported for its effect: what the library loads for a moment stays loaded. Thousands of
connections would else compile its source each time; on a board it is compiled."""

from iothub import loading


def _keep(name):
    pass


loading.let_go = _keep
