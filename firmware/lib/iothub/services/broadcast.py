"""Messages to all devices of a product that are online: PROTOCOL section 12, after the SDKs. The
payload is free. At QoS 1, as the C SDK subscribes it, one can come twice."""

from iothub.services.service import Service


class Broadcast(Service):
    qos = 1

    def __init__(self, driver, identity):
        super().__init__(driver, identity, b"", b"$broadcast/rxd")
        self._handler = None

    def __call__(self, handler):
        """Decorator: `handler(payload)`, plain or async, is given the bytes."""
        self._handler = handler
        return handler

    def received(self, topic, payload):
        return self._handler(payload) if self._handler else None
