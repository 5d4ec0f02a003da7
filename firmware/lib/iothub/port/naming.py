"""One image and one configuration for many boards: each calls itself by its chip's own number.

from iothub.port import naming

naming.name_device("device.json")   # "thermostat-*" becomes "thermostat-e6614c311b7e9a2b"
del naming                          # the library has let go of it too: its memory is free again
device = Device.from_file("device.json")
"""

import json
import os
from binascii import hexlify

from iothub.errors import BadInput, StorageError
from iothub.loading import let_go


def unique_id():
    """The chip's own number, as hex (str). Raises BadInput where there is none."""
    try:
        from machine import unique_id
    except ImportError:
        raise BadInput("device_name", "this computer has no unique id for the *")
    return hexlify(unique_id()).decode()


def name_device(path="device.json"):
    """Puts unique_id() in the place of the * in a configuration's device_name, once: the file is
    replaced by one that was written whole. Returns the name. Raises BadInput, StorageError."""
    from iothub import config  # Device.from_file(), which comes next, lets go of it

    let_go("iothub.port.naming")
    fields = config.read(path)
    name = fields.get("device_name") if isinstance(fields, dict) else None
    if not isinstance(name, str) or "*" not in name:
        return name
    fields["device_name"] = name = name.replace("*", unique_id())
    try:
        with open(path + ".new", "w") as f:
            f.write(json.dumps(fields))
        os.rename(path + ".new", path)
    except OSError as e:
        raise StorageError("cannot write " + path, None, e.errno)
    return name
