"""The ports the hub is configured for, each with its layers."""

from tools.hub.authority import Authority
from tools.hub.broker.broker import Broker
from tools.hub.broker.realm import SPARE_CONNECTIONS
from tools.hub.config import HubConfig
from tools.hub.transport.listener import Layer, Listener
from tools.hub.transport.openssl import certificate_context
from tools.hub.transport.tls import TlsServer
from tools.hub.transport.websocket import open_websocket


class Listeners:
    """Opened together, stopped together."""

    def __init__(self, broker: Broker, authority: Authority, host_names: list[str]) -> None:
        self._broker = broker
        self._config: HubConfig = broker.context.config
        self._authority = authority
        self._host_names = host_names
        self._listening: list[Listener] = []

    async def start(self) -> dict[str, int]:
        """Listen; the ports by name. Raises ListenError, with nothing left open."""
        config = self._config
        wanted = {
            "tcp": config.mqtt_port,
            "tls": config.tls_port,
            "ws": config.ws_port,
            "wss": config.wss_port,
        }
        ports = {}
        try:
            for name, layers in self._layers(wanted).items():
                ports[name] = await self._listen(name, layers, wanted[name] or 0)
        except BaseException:
            self.stop()
            raise
        return ports

    def stop(self) -> None:
        """Accept no more; open connections are the broker's to close."""
        for listener in self._listening:
            listener.stop()

    async def _listen(self, name: str, layers: list[Layer], port: int) -> int:
        listener = Listener(
            name,
            layers,
            self._broker,
            self._broker.context.records,
            self._config.opening_timeout_s,
            self._config.max_connections + SPARE_CONNECTIONS,
        )
        self._listening.append(listener)
        return await listener.start(self._config.host, port)

    def _layers(self, wanted: dict[str, int | None]) -> dict[str, list[Layer]]:
        layers: dict[str, list[Layer]] = {"tcp": [], "ws": [open_websocket]}
        if wanted["tls"] is not None or wanted["wss"] is not None:
            tls = self._tls()
            layers |= {"tls": [tls.open], "wss": [tls.open, open_websocket]}
        return {name: layers[name] for name, port in wanted.items() if port is not None}

    def _tls(self) -> TlsServer:
        credentials = self._authority.server_credentials(self._host_names)
        context = certificate_context(
            (each.certificate_pem + each.key_pem for each in credentials),
            self._authority.certificate_pem,
        )
        registry = self._broker.context.registry
        return TlsServer(context, registry.key, registry.authorities)
