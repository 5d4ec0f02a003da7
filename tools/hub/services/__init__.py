"""The `$…` services by topic family: what devices ask of them, and what the application does."""

from collections.abc import Mapping

from tools.hub.services.broadcast import Broadcast
from tools.hub.services.context import Service, ServiceContext
from tools.hub.services.gateway_messages import GatewayMessages
from tools.hub.services.log_level import LogLevel
from tools.hub.services.remote_config import RemoteConfig
from tools.hub.services.rrpc import Rrpc
from tools.hub.services.shadow_messages import ShadowMessages
from tools.hub.services.shadows import Shadows
from tools.hub.services.sys_time import SysTime
from tools.hub.services.topology import Topology


class Services:
    """One of each. The attributes are the application's side of them; `by_family` answers
    devices, by the names in topics.FAMILIES, with `others` that have a package of their own."""

    def __init__(
        self, context: ServiceContext, others: Mapping[str, Service] | None = None
    ) -> None:
        self.shadows = Shadows(context)
        self.rrpc = Rrpc(context)
        self.topology = Topology(context)
        self.broadcast = Broadcast(context)
        self.remote_config = RemoteConfig(context)
        self.log_level = LogLevel(context)
        self.by_family: Mapping[str, Service] = {
            "sys": SysTime(context),
            "shadow": ShadowMessages(context, self.shadows),
            "rrpc": self.rrpc,
            "gateway": GatewayMessages(context, self.topology),
            "config": self.remote_config,
            "log": self.log_level,
            **(others or {}),
        }
