"""The ports of the gateways beside MQTT that the hub is configured for: HTTP and CoAP."""

import ssl

from tools.hub.authority import Authority
from tools.hub.broker.broker import Broker
from tools.hub.device_http.gateway import Gateway
from tools.hub.device_http.server import GatewayServer
from tools.hub.enrolment import Enrolment
from tools.hub.provisioning import Provisioning
from tools.hub.transport.openssl import open_context


class Gateways:
    """Opened together, stopped together."""

    def __init__(
        self,
        broker: Broker,
        provisioning: Provisioning,
        authority: Authority,
        host_names: list[str],
    ) -> None:
        self._config = broker.context.config
        self._authority = authority
        self._host_names = host_names
        context = broker.context
        enrolment = Enrolment(context.registry, provisioning, context.clock)
        self._http = GatewayServer(Gateway(broker, enrolment), context.faults)

    async def start(self) -> dict[str, int]:
        """Listen; the ports by name. Raises ListenError, with nothing left open."""
        config, ports = self._config, {}
        try:
            if config.http_port is not None:
                ports["http"] = await self._http.listen(config.host, config.http_port)
            if config.https_port is not None:
                ports["https"] = await self._http.listen(
                    config.host, config.https_port, self._https_context()
                )
        except BaseException:
            await self.stop()
            raise
        return ports

    async def stop(self) -> None:
        await self._http.stop()

    def _https_context(self) -> ssl.SSLContext:
        credentials = self._authority.server_credentials(self._host_names)
        return open_context(each.certificate_pem + each.key_pem for each in credentials)
