"""The cloud API assembled: its actions, its keys and its port."""

from tools.hub.address import Address
from tools.hub.authority import Authority
from tools.hub.broker.broker import Broker
from tools.hub.cloud.actions import Action
from tools.hub.cloud.calls import Calls
from tools.hub.cloud.creation import DeviceCreation
from tools.hub.cloud.devices import Devices
from tools.hub.cloud.gateways import Gateways
from tools.hub.cloud.keys import ApiKeys
from tools.hub.cloud.logs import Logs
from tools.hub.cloud.messages import Messages
from tools.hub.cloud.products import Products
from tools.hub.cloud.rules import TopicRules
from tools.hub.cloud.server import CloudServer
from tools.hub.cloud.shadows import DeviceShadows
from tools.hub.provisioning import Provisioning
from tools.hub.rules.service import Rules
from tools.hub.transport.openssl import certificate_context


class CloudApi:
    """Listens where `HubConfig.cloud_port` says, or nowhere."""

    def __init__(
        self,
        broker: Broker,
        provisioning: Provisioning,
        rules: Rules,
        address: Address,
        authority: Authority,
        host_names: list[str],
    ) -> None:
        """Raises FileError."""
        context = broker.context
        self._config = context.config
        self._address = address
        self._authority = authority
        self._host_names = host_names
        self.keys = ApiKeys(context.config.data)
        self.actions: dict[str, Action] = {}
        for domain in (
            Products(context.registry, context.store),
            DeviceCreation(broker, provisioning),
            Devices(broker),
            Messages(broker),
            Calls(broker),
            DeviceShadows(context.registry, broker.services.shadows),
            Gateways(context.registry, broker.services.topology, context.store),
            Logs(context.store),
            TopicRules(rules),
        ):
            self.actions |= domain.actions()
        self._server = CloudServer(
            self.actions, self.keys.find, context.clock, context.records, context.store
        )

    async def start(self) -> None:
        """Raises ListenError or FileError."""
        config = self._config
        if config.cloud_port is None:
            return
        credentials = self._authority.server_credentials(self._host_names)
        tls = certificate_context(
            (each.certificate_pem + each.key_pem for each in credentials),
            self._authority.certificate_pem,
        )
        port = await self._server.start(config.host, config.cloud_port, tls)
        self._address.ports["cloud"] = port
        self.keys.write(self._address)

    async def stop(self) -> None:
        await self._server.stop()
