"""The ports of the gateways beside MQTT that the hub is configured for: HTTP and CoAP."""

import asyncio
import logging
import ssl

from tools.hub.authority import Authority
from tools.hub.broker.broker import Broker
from tools.hub.device_coap.gateway import Gateway as CoapGateway
from tools.hub.device_http.gateway import Gateway as HttpGateway
from tools.hub.device_http.server import GatewayServer
from tools.hub.enrolment import Enrolment
from tools.hub.ota.file_server import file_routes
from tools.hub.provisioning import Provisioning
from tools.hub.transport.datagrams import DatagramServer
from tools.hub.transport.listener import ListenError
from tools.hub.transport.openssl import open_context
from tools.hub.transport.udp import UdpServer

_log = logging.getLogger("hub")


class Gateways:
    """Opened together, stopped together."""

    def __init__(
        self,
        broker: Broker,
        provisioning: Provisioning,
        authority: Authority,
        host_names: list[str],
    ) -> None:
        self._context = context = broker.context
        self._authority = authority
        self._host_names = host_names
        enrolment = Enrolment(context.registry, provisioning, context.clock)
        self._http = GatewayServer(
            HttpGateway(broker, enrolment),
            context.faults,
            file_routes(broker.updates, context.faults, context.records),
        )
        self._coap = CoapGateway(broker)
        self._datagram_servers: list[DatagramServer] = []

    async def start(self) -> dict[str, int]:
        """Listen; the ports by name. Raises ListenError, with nothing left open."""
        config, ports = self._context.config, {}
        try:
            if config.http_port is not None:
                ports["http"] = await self._http.listen(config.host, config.http_port)
            if config.https_port is not None:
                ports["https"] = await self._http.listen(
                    config.host, config.https_port, self._https_context()
                )
            if config.coap_port is not None and (server := self._dtls_server()) is not None:
                ports["coap"] = await self._listen(server, "coap", config.coap_port)
            if config.coap_udp_port is not None:
                plain = UdpServer(self._coap.open)
                ports["coap_udp"] = await self._listen(plain, "coap-udp", config.coap_udp_port)
        except BaseException:
            await self.stop()
            raise
        return ports

    async def stop(self) -> None:
        for server in self._datagram_servers:
            server.stop()
        await self._http.stop()

    async def _listen(self, server: DatagramServer, name: str, port: int) -> int:
        host = self._context.config.host
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: server, (host, port)
            )
        except OSError as error:
            raise ListenError(
                f"CoAP cannot listen on {host}:{port}: {error.strerror}; "
                f"choose another with --{name}-port (0 for any free one)"
            ) from error
        self._datagram_servers.append(server)
        return int(transport.get_extra_info("sockname")[1])

    def _https_context(self) -> ssl.SSLContext:
        credentials = self._authority.server_credentials(self._host_names)
        return open_context(each.certificate_pem + each.key_pem for each in credentials)

    def _dtls_server(self) -> DatagramServer | None:
        try:
            from tools.hub.transport.dtls import DtlsServer
        except ImportError:
            _log.warning(
                "CoAP is not listened on: DTLS needs python-mbedtls, which Python 3.13 has not"
            )
            return None
        registry, own = self._context.registry, self._authority.certificate_der
        # Mbed TLS takes one credential; the vendor's devices know RSA best.
        *_, credential = self._authority.server_credentials(self._host_names)
        return DtlsServer(
            credential,
            lambda: [own, *registry.authorities],
            registry.key,
            self._coap.open,
            self._context.records,
            self._context.config.opening_timeout_s,
        )
