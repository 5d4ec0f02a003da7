"""A factory reset, as an application asks for it; the board's factory.mpy does it, outside of what
updates replace.

    from iothub.port.factory import reset
    reset()                     # of what the device has learned
    reset(everything=True)      # of who it is, too
"""

import os

from iothub.errors import StorageError

_DOES_IT = "/factory.mpy"
_REQUEST = "/reset"


def reset(everything=False):
    """Resets the chip. Before an application starts again, all in /state is gone but which slot is
    good and what registration gave; with `everything` also that, the configuration, certificate
    and key, and the console is open. Power that fails meanwhile changes nothing: it is gone on
    with. Raises StorageError when the board cannot, or the request was not written."""
    from machine import reset as reset_chip

    try:
        os.stat(_DOES_IT)
    except OSError:
        raise StorageError("this board has no factory.mpy to reset it: make deploy")
    try:
        with open(_REQUEST, "w") as file:
            file.write("everything" if everything else "state")
    except OSError as e:
        raise StorageError("the factory reset was not written: %s" % e)
    reset_chip()
