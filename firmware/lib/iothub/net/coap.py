"""Publishing over CoAP: `device.coap`. For a device that has something to tell now and then:
between two messages there is only the connection; the code that speaks CoAP (net/coap_client.py)
is loaded for each, which takes an RP2040 some 20 ms.

    await device.coap.publish("event", '{"celsius": 21.5}')
    device.coap.close()
"""

from asyncio import Lock

from iothub.errors import LinkError
from iothub.loading import for_now


class CoapPublisher:
    """Publishes, one message after the other. The connection is kept until close()."""

    def __init__(self, device):
        self._device = device
        self._endpoint = for_now("iothub.net.coap_client").endpoint_of(device)
        self._stream = None
        self._past = []  # of the connection, for codec/coap.py
        self._token = b""
        self._turn = Lock()

    async def publish(self, name, payload):
        """Sends a message; `name` as for Device.publish, `payload` str or bytes. Returns when the
        cloud has it. Raises ServiceRefused, LinkError and its kinds, BadInput."""
        await self._turn.acquire()
        try:
            await for_now("iothub.net.coap_client").publish(self, name, payload)
        except LinkError:
            self.close()
            raise
        finally:
            self._turn.release()

    def close(self):
        """Forgets the connection, and with it what the cloud knows us by."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._token = b""


join = CoapPublisher
