"""Every instance with its port: created while the hub runs, opened again when it starts."""

from tools.hub.broker.context import Context
from tools.hub.broker.realm import SPARE_CONNECTIONS
from tools.hub.iotmq.catalogue import Catalogue, Instance
from tools.hub.iotmq.realm import InstanceRealm
from tools.hub.registry import RegistryError
from tools.hub.transport.listener import Listener, ListenError


class IotMq:
    """The instances' realms by id, each behind a listener of its own on plain TCP."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.catalogue = Catalogue(context.store, context.clock, context.records)
        self.realms: dict[str, InstanceRealm] = {}
        self._listeners: list[Listener] = []

    async def start(self) -> None:
        """Open every instance's port. Raises ListenError, with nothing left open."""
        try:
            for instance in self.catalogue.instances.values():
                await self._listen(instance)
        except BaseException:
            self.stop()
            raise

    async def add_instance(
        self,
        port: int = 0,
        instance_id: str = "",
        app_id: str = "",
        secret_id: str = "",
        secret_key: str = "",
    ) -> Instance:
        """Create an instance and open its port; 0 takes a free one, which it then keeps. What is
        not given is made up. Raises RegistryError."""
        instance = self.catalogue.draft(instance_id, app_id, secret_id, secret_key)
        instance.port = port
        try:
            instance.port = await self._listen(instance)
        except ListenError as error:
            raise RegistryError("conflict", str(error)) from None
        self.catalogue.keep(instance)
        return instance

    async def _listen(self, instance: Instance) -> int:
        config = self._context.config
        realm = InstanceRealm(self._context, instance)
        listener = Listener(
            "iotmq",
            [],
            realm,
            self._context.records,
            config.opening_timeout_s,
            config.max_connections + SPARE_CONNECTIONS,
        )
        port = await listener.start(config.host, instance.port)
        self._listeners.append(listener)
        self.realms[instance.instance_id] = realm
        return port

    def stop(self) -> None:
        """Accept no more."""
        for listener in self._listeners:
            listener.stop()

    def sweep(self) -> None:
        for realm in self.realms.values():
            realm.sweep()

    def shut_down(self) -> None:
        for realm in self.realms.values():
            realm.shut_down()

    def connections(self) -> int:
        return sum(len(realm.connections) for realm in self.realms.values())
