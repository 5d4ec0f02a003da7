"""QoS 1 publishes of a blocking client: `publish_blocking.py CLIENT HOST PORT WARM_UP COUNT`, the
client being `iothub`, `umqtt` or `umqtt-nodelay`. Prints JSON."""

import json
import sys
from time import ticks_diff, ticks_us

from umqtt import simple

TOPIC = b"bench/up"
PAYLOAD = b"0123456789abcdef0123456789abcdef"


def publish(client, count):
    for _ in range(count):
        client.publish(TOPIC, PAYLOAD, qos=1)


def main(name, host, port, warm_up, count):
    client: simple.MQTTClient
    if name == "iothub":
        from iothub.net.mqtt import MQTTClient

        client = MQTTClient(b"bench", host, int(port))
    else:
        client = simple.MQTTClient(b"bench", host, int(port))
    client.connect()
    if name == "umqtt-nodelay":
        client.sock.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY
    publish(client, int(warm_up))
    started_us = ticks_us()
    publish(client, int(count))
    took_us = ticks_diff(ticks_us(), started_us)
    client.disconnect()
    print(json.dumps({"took_us": took_us}))


main(*sys.argv[1:])
