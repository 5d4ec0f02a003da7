"""Publishing over HTTP: `device.http`. For a device that wakes up, tells and sleeps again."""

from iothub.net import signed
from iothub.services import publish as service


class HttpPublisher:
    """The connection is kept for the next message until close(), or until the server ends it."""

    def __init__(self, device):
        self._topic = device.topic
        self._identity = device.identity
        self._gateway = signed.of_device(device)

    async def publish(self, name, payload, qos=0):
        """Sends a message; `name` as for Device.publish, `payload` str or bytes. The gateway's id
        of the request (str). Raises ServiceRefused, LinkError and its kinds, BadInput."""
        body = service.request(self._identity, self._topic(name), payload, qos)
        found = await self._gateway.post(service.PATH, body, service.PHASE)
        return found.get("RequestId")

    def close(self):
        self._gateway.close()


def join(device):
    return HttpPublisher(device)
