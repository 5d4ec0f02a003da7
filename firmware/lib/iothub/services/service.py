"""What the services over MQTT have in common: each knows one family of `$...` topics and is pure.

The driver (net/services.py) subscribes `pattern` at `qos` and calls received(topic, payload) for
what comes, connected() when the subscription stands, closed() when the link is gone. It hands
itself in and has:
  send(topic, payload)      QoS 0, payload bytes or str; whether it left. None: it never will,
                            which is reported. What is lost is for a deadline to notice
  keep_time()               calls advance(elapsed_ms) from now on, until that answers False
  until(condition, ms)      coroutine: waits for condition(), looked at whenever something happened
                            or wake() was called. Raises DeadlineError
  wake()
  spawn(coroutine)          runs it beside everything else; what it gives has cancel()
  report(error)             tells the application, and whoever writes the log
  random()                  an int from 0 to 2**30 - 1
and for gateways: publish(topic, payload, qos), a coroutine; subscribe(pattern, handler, qos);
unsubscribe(pattern); allow(prefix) and forbid(prefix); now_s(), Unix time or None.
"""

import json


class Service:
    """`malformed` counts messages that were not what the documents say, and were passed over."""

    qos = 0
    is_connected = False
    malformed = 0

    def __init__(self, driver, identity, request_family, answer_family):
        self._driver = driver
        self._topic = identity.system_topic(request_family)
        self.pattern = identity.system_topic(answer_family)

    def connected(self):
        self.is_connected = True

    def closed(self):
        self.is_connected = False

    def advance(self, elapsed_ms):
        return False

    def _send(self, message):
        self._driver.send(self._topic, json.dumps(message).encode())

    def _message(self, payload):
        """The dict in a payload (bytes), with a `type` (str), and a `payload` that is a dict or
        None; or None for a message that is none."""
        try:
            message = json.loads(payload)
            if isinstance(message, dict) and isinstance(message.get("type"), str):
                if not isinstance(message.get("payload"), dict):
                    message["payload"] = None
                return message
        except (ValueError, RuntimeError, MemoryError):  # not JSON, too deep, too much
            pass
        self.malformed += 1
        return None
