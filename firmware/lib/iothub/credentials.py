"""Who the device is, and its secret in the two views the services want of it."""

from iothub.loading import for_now


class Secret:
    """A base64 secret. `decoded` (bytes) keys MQTT, TLS-PSK and DTLS; `text` (bytes) keys HTTP
    signing and gateway binding. Nothing else decodes. It never shows itself. Raises BadInput."""

    def __init__(self, text, field="device_secret"):
        self.text, self.decoded = for_now("iothub.rules").two_views(text, field)

    def __repr__(self):
        return "Secret(***)"


class Identity:
    """Product id and device name (str), and what follows from them as bytes: `client_id` and
    the `prefix` of the device's own topics, "PID/DN/". Raises BadInput."""

    def __init__(self, product_id, device_name):
        for_now("iothub.rules").check_identity(product_id, device_name)
        self.product_id = product_id
        self.device_name = device_name
        self.client_id = (product_id + device_name).encode()
        self.prefix = (product_id + "/" + device_name + "/").encode()

    def system_topic(self, family):
        """The bytes of "$family/PID/DN", e.g. family b"$sys/operation"."""
        return family + b"/" + self.prefix[:-1]

    def __repr__(self):
        return "Identity(%s/%s)" % (self.product_id, self.device_name)
