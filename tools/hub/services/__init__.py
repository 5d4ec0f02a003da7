"""The `$…` services by topic family. A new service is one module and one line here."""

from collections.abc import Mapping

from tools.hub.services.context import Service, ServiceContext
from tools.hub.services.sys_time import SysTime


def build_services(context: ServiceContext) -> Mapping[str, Service]:
    """The services this hub has, by family name (see topics.FAMILIES)."""
    return {"sys": SysTime(context)}
