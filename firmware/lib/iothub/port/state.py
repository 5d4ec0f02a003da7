"""Where boards keep their state: a folder of the flash file system."""

from iothub.port.files import Files

_FOLDER = "/state"


def storage():
    return Files(_FOLDER)
