"""Publishing over HTTP: `device.http`. For a device that wakes up, tells and sleeps again."""

import errno

from iothub.errors import CONNECT, LinkError
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
        try:
            if self._gateway is None:
                from iothub.net import signed

                self._gateway = signed.of_device(device)
            found = await self._gateway.post(service.PATH, body, service.PHASE)
        except (ImportError, MemoryError, ValueError) as e:
            code = errno.ENOMEM if isinstance(e, MemoryError) else errno.ENOENT
            raise LinkError("HTTP cannot be loaded", CONNECT, code)
        return found.get("RequestId")

    def close(self):
        if self._gateway is not None:
            self._gateway.release()
            self._gateway = None


join = HttpPublisher
