"""QoS 1 publishes of paho-mqtt: `python -m tools.bench.paho_client HOST PORT WARM_UP COUNT`."""

import json
import sys
import threading
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

TOPIC = "bench/up"
PAYLOAD = b"0123456789abcdef0123456789abcdef"
WINDOW = 20
TIMEOUT_S = 120.0


class Publisher:
    def __init__(self, host: str, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "bench")
        self._client.max_inflight_messages_set(WINDOW)
        self._client.on_publish = self._published
        self._connected = threading.Event()
        self._client.on_connect = lambda *_: self._connected.set()
        self._all_published = threading.Event()
        self._waiting_for = 0
        self._client.connect(host, port)
        self._client.loop_start()
        self._await(self._connected)

    def _published(self, *_: Any) -> None:
        self._waiting_for -= 1
        if not self._waiting_for:
            self._all_published.set()

    def publish(self, count: int) -> None:
        """So many messages, until the last is acknowledged."""
        self._waiting_for = count
        self._all_published.clear()
        for _ in range(count):
            self._client.publish(TOPIC, PAYLOAD, 1)
        self._await(self._all_published)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @staticmethod
    def _await(event: threading.Event) -> None:
        if not event.wait(TIMEOUT_S):
            raise SystemExit("paho-mqtt: nothing happens any more")


def main(host: str, port: str, warm_up: str, count: str) -> None:
    publisher = Publisher(host, int(port))
    publisher.publish(int(warm_up))
    started_s = time.perf_counter()
    publisher.publish(int(count))
    took_s = time.perf_counter() - started_s
    publisher.close()
    print(json.dumps({"took_us": round(took_s * 1e6)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
