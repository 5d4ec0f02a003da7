"""Publishing over HTTP: `device.http`. For a device that wakes up, tells and sleeps again."""

from iothub.loading import load
from iothub.services import publish as service


class HttpPublisher:
    """The connection is kept for the next message until close(), or until the server ends it; and
    with it the code, which is loaded for the first message."""

    def __init__(self, device):
        self._device = device
        self._gateway = None

    async def publish(self, name, payload, qos=0):
        """Sends a message; `name` as for Device.publish, `payload` str or bytes. The gateway's id
        of the request (str). Raises ServiceRefused, LinkError and its kinds, BadInput."""
        device = self._device
        body = service.request(device.identity, device.topic(name), payload, qos)
        if self._gateway is None:
            self._gateway = load("iothub.net.signed").of_device(device)
        found = await self._gateway.post(service.PATH, body, service.PHASE)
        return found.get("RequestId")

    def close(self):
        if self._gateway is not None:
            self._gateway.release()
            self._gateway = None


join = HttpPublisher
