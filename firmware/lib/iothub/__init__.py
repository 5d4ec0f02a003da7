"""micropython-iothub: a device of Tencent Cloud IoT Hub.

Names load on first use, so that importing the package costs nothing.
"""

_HOME = {
    "Device": "device",
    "connect": "net.repl",
    "IoTHubError": "errors",
    "BadInput": "errors",
    "LoginRefused": "errors",
    "LinkError": "errors",
}


def __getattr__(name):
    return _find("iothub.", _HOME, name)


def _find(package, homes, name):
    """What a package's `name` is: of the module that `homes` has for it, or a module, for which
    MicroPython asks here too (`from iothub import topics`)."""
    home = homes.get(name)
    try:
        module = __import__(package + (home or name), None, None, (name,))
    except ImportError:
        if home:
            raise
        raise AttributeError(package + name)
    return getattr(module, name) if home else module
