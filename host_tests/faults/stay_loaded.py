"""What the library loads for a moment stays loaded, for the rest of this process. Thousands of
connections would else compile its source each time; on a board it is compiled."""

from iothub import loading


def stay_loaded():
    loading.let_go = _keep


def _keep(name):
    pass
