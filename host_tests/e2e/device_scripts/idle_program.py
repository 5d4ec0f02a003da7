"""`idle_program.py PORT`: a program of net/mqtt.py that is busy elsewhere between its calls, for
longer than the (shortened) deadlines of the library."""

import sys
import time

from iothub import timeouts
from told import error_fields, say

timeouts.CONNACK_MS = timeouts.ACKNOWLEDGE_MS = timeouts.PINGRESP_MS = 1200  # before they are read
from iothub.net.mqtt import MQTTClient  # noqa: E402

BUSY_S = 1.5


def tried(call, function, *arguments, **options):
    try:
        function(*arguments, **options)
    except OSError as e:
        say("raised", call=call, **error_fields(e))
    else:
        say("done", call=call)


client = MQTTClient("idle", "127.0.0.1", int(sys.argv[1]), keepalive=2)
client.set_callback(lambda topic, payload: say("message", topic=topic, payload=payload))
time.sleep(BUSY_S)
tried("connect", client.connect)
time.sleep(BUSY_S)
tried("publish", client.publish, "t", "p", qos=1)
time.sleep(BUSY_S)
tried("subscribe", client.subscribe, "t", qos=1)
# The first of these pings, and the answer waits in the socket until the next one.
for _ in range(3):
    time.sleep(BUSY_S)
    tried("check_msg", client.check_msg)
client.disconnect()
