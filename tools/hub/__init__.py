"""The local hub: Tencent Cloud IoT Hub as its documents describe it, on the developer's desk.

`async with Hub(HubConfig(mqtt_port=0, api_port=0)) as hub:` runs one inside a test, with
`tls_port=0, ws_port=0, wss_port=0` on every transport;
`python -m tools.hub` runs one in the foreground.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.hub.app import Hub
    from tools.hub.config import HubConfig

__all__ = ["Hub", "HubConfig"]


def __getattr__(name: str) -> Any:
    # On first use: a command that talks to a running hub needs neither.
    if name == "Hub":
        from tools.hub.app import Hub

        return Hub
    if name == "HubConfig":
        from tools.hub.config import HubConfig

        return HubConfig
    raise AttributeError(name)
