"""Remote configuration: one JSON object a product, kept in the cloud; PROTOCOL section 12, after
the vendor's C SDK. Pure; see service.py. Messages carry no mark of what they answer, so every one
that comes is the newest."""

from iothub.errors import ServiceRefused
from iothub.services.service import Service
from iothub.timeouts import CONFIG_ANSWER_MS


class RemoteConfig(Service):
    """`current` is the configuration (dict) that came last; None before the first."""

    qos = 1  # a push may be stored for a device that is away

    def __init__(self, driver, identity):
        super().__init__(driver, identity, b"$config/operation", b"$config/operation/result")
        self.current = None
        self._code = None  # the result of the newest reply
        self._handler = None

    def on_change(self, handler):
        """Decorator: `handler(config)`, plain or async, is given a configuration (dict) that is
        not the one before: pushed by the cloud, or fetched at a connection."""
        self._handler = handler
        if self.is_connected:
            self._send({"type": "get"})
        return handler

    async def get(self):
        """Asks for the configuration (dict). Raises ServiceRefused: remote configuration is
        switched off (1001); DeadlineError."""
        driver = self._driver
        await driver.until(lambda: self.is_connected)
        self._code = None
        self._send({"type": "get"})
        await driver.until(lambda: self._code is not None, CONFIG_ANSWER_MS)
        code = self._code
        if code:
            raise ServiceRefused("refused (%d)" % code, "remote configuration", code)
        return self.current

    def connected(self):
        super().connected()
        if self._handler is not None:
            self._send({"type": "get"})
        self._driver.wake()

    def received(self, topic, payload):
        message = self._message(payload)
        if message is None or message["type"] not in ("reply", "push"):
            return None
        is_reply = message["type"] == "reply"
        code = message.get("result") if is_reply else 0
        config = message["payload"]
        try:
            is_new = config != self.current
        except RuntimeError:  # nested too deeply to compare
            config = None
        if type(code) is not int or (code == 0 and config is None):
            self.malformed += 1
            return None
        if is_reply:
            self._code = code
            self._driver.wake()
        if code:
            return None
        self.current = config
        return self._handler(config) if is_new and self._handler is not None else None
