"""Actions that call a device, tell all devices of a product, or set what one logs."""

import base64
from typing import Any

from tools.hub.broker.broker import Broker
from tools.hub.cloud.actions import V2021, Action, Actions, named_device, named_product
from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.messages import enabled_device, read_payload
from tools.hub.cloud.parameters import Parameters
from tools.hub.registry import RegistryError
from tools.hub.services.log_level import LEVELS


class Calls:
    """Over the hub's services."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._registry = broker.context.registry
        self._services = broker.services

    def actions(self) -> Actions:
        return {
            "PublishRRPCMessage": Action(self._call),
            "PublishBroadcastMessage": Action(self._broadcast),
            "UpdateDeviceLogLevel": Action(self._set_log_level, (V2021,)),
        }

    async def _call(self, parameters: Parameters) -> dict[str, Any]:
        """Waits for the device's answer, as long as the documents say: 10 s."""
        device = enabled_device(self._broker, parameters).identity
        payload = parameters.text("Payload").encode()
        online = self._broker.presence.is_online(device)
        try:
            answer = await self._services.rrpc.call(device, payload)
        except RegistryError as error:
            no_subscription = "FailedOperation.DeviceNoSubscription"
            codes = {
                "offline": no_subscription if online else "FailedOperation.DeviceOffline",
                "timeout": "FailedOperation.RRPCTimeout",
                "too_large": "InvalidParameterValue.PayloadOverLimit",
                "limit": "RequestLimitExceeded",
            }
            raise CloudError(codes.get(error.code, "FailedOperation"), str(error)) from None
        return {
            "MessageId": int(answer.process_id),
            "PayloadBase64": base64.b64encode(answer.payload).decode(),
        }

    async def _broadcast(self, parameters: Parameters) -> dict[str, Any]:
        """Reaches who is online, at once; there is no task to ask for."""
        product = named_product(self._registry, parameters)
        payload = read_payload(parameters)
        parameters.integer("Qos", 1, most=1)
        self._services.broadcast.send(product.product_id, payload)
        return {"TaskId": self._broker.context.clock.now_ms()}

    async def _set_log_level(self, parameters: Parameters) -> dict[str, Any]:
        device = named_device(self._registry, parameters)
        level = parameters.integer("LogLevel", most=len(LEVELS) - 1)
        self._services.log_level.set(device.identity, level)
        return {}
