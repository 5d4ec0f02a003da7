"""Actions that send to devices."""

import base64
import binascii
from typing import Any

from tools.hub import application
from tools.hub.broker.broker import Broker
from tools.hub.broker.packet import Publish
from tools.hub.broker.session import SENT, STORED, Outcome
from tools.hub.cloud.actions import V2018, Action, Actions, named_device
from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.parameters import Parameters
from tools.hub.identity import Identity
from tools.hub.permissions import Forbidden
from tools.hub.registry import Device, RegistryError

_BASE64 = "base64"


class Messages:
    """Over the broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._registry = broker.context.registry

    def actions(self) -> Actions:
        return {
            "PublishMessage": Action(self._publish),
            "PublishAsDevice": Action(self._publish_as_device, (V2018,)),
        }

    async def _publish(self, parameters: Parameters) -> dict[str, Any]:
        device = enabled_device(self._broker, parameters)
        topic = parameters.text("Topic")
        qos = parameters.integer("Qos", 0, most=1)
        payload = read_payload(parameters)
        if not topic.startswith(device.identity.path + "/"):
            raise CloudError(
                "FailedOperation.InvalidTopicName",
                f"a topic of this device begins with {device.identity.path}/",
            )
        try:
            _, outcome = application.publish(self._broker, self._registry, topic, payload, qos)
        except RegistryError as error:
            code = "FailedOperation.InvalidTopicName"
            if error.code == "too_large":
                code = "InvalidParameterValue.PayloadOverLimit"
            raise CloudError(code, str(error)) from None
        self._judge(device.identity, topic, qos, outcome)
        return {}

    def _judge(self, identity: Identity, topic: str, qos: int, outcome: Outcome) -> None:
        """Raise CloudError for a message that is not on its way to the device."""
        online = self._broker.presence.is_online(identity)
        subscribed = topic in dict(self._broker.subscriptions(identity))
        if outcome.state == SENT or (outcome.state == STORED and online):
            return
        if outcome.state == STORED:
            code, text = "LimitExceeded.MessageSaved", "the device is offline; it gets it later"
        elif online and not subscribed:
            code, text = "FailedOperation.DeviceNoSubscription", f"nobody subscribed to {topic}"
        elif not online and (not subscribed or qos == 0):
            code, text = "FailedOperation.DeviceOffline", outcome.reason
        elif not online:
            code, text = "LimitExceeded.OfflineMessageExceedLimit", outcome.reason
        else:
            code, text = "FailedOperation", outcome.reason
        raise CloudError(code, text)

    async def _publish_as_device(self, parameters: Parameters) -> dict[str, Any]:
        """As if the device had published to its topic `event`; a LoRa port means nothing here."""
        device = enabled_device(self._broker, parameters)
        payload = read_payload(parameters)
        publish = Publish(f"{device.identity.path}/event", payload, 0)
        try:
            self._broker.publish_as(device.identity, publish, by="application")
        except Forbidden as forbidden:
            raise CloudError("FailedOperation.InvalidTopicName", str(forbidden)) from None
        return {}


def enabled_device(broker: Broker, parameters: Parameters) -> Device:
    device = named_device(broker.context.registry, parameters)
    if not device.enabled:
        raise CloudError(
            "UnauthorizedOperation.DeviceIsNotEnabled", f"{device.identity.path} is disabled"
        )
    return device


def read_payload(parameters: Parameters) -> bytes:
    text = parameters.text("Payload")
    encoding = parameters.text("PayloadEncoding", "")
    if encoding not in ("", _BASE64):
        raise CloudError("InvalidParameterValue", f"PayloadEncoding is {_BASE64} or nothing")
    if not encoding:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CloudError("InvalidParameterValue", "Payload is not base64") from None
