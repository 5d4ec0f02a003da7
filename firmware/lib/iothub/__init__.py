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
    home = _HOME.get(name)
    if home:
        return getattr(_load(home), name)
    # MicroPython asks here for submodules too (`from iothub import topics`).
    try:
        return _load(name)
    except ImportError:
        raise AttributeError("iothub has no " + name)


def _load(name):
    return __import__("iothub." + name, None, None, (name,))
