"""Scenarios of net/mqtt.py: `blocking_program.py SCENARIO HOST PORT [ARGUMENT...]`.

Each is a program as umqtt.simple's users write them; it tells what it sees, the test judges.
"""

import sys
import time
from time import ticks_diff, ticks_ms

from iothub import timeouts
from told import error_fields, say, wait_for_test

_arguments = []
for argument in sys.argv[1:]:  # "PINGRESP_MS=500": before anything reads the table
    name, is_timeout, value = argument.partition("_MS=")
    if is_timeout:
        setattr(timeouts, name + "_MS", int(value))
    else:
        _arguments.append(argument)

from iothub.net.mqtt import MQTTClient  # noqa: E402


def tell_message(topic, payload):
    say("message", topic=topic, payload=payload)


def tried(call, function, *arguments, **options):
    """What a call gives, told; errors too, with the time it took."""
    started_ms = ticks_ms()
    try:
        result = function(*arguments, **options)
    except OSError as e:
        took_ms = ticks_diff(ticks_ms(), started_ms)
        say("raised", call=call, took_ms=took_ms, **error_fields(e))
        return None
    say("done", call=call, result=result)
    return result


def new_client(host, port, **options):
    client = MQTTClient("device", host, int(port), **options)
    client.set_callback(tell_message)
    return client


def talks(host, port):
    client = new_client(host, port)
    tried("connect", client.connect)
    for qos in (0, 1):
        tried("subscribe", client.subscribe, "down/" + str(qos) + "/+", qos=qos)
    tried("check_msg", client.check_msg)
    for qos in (0, 1):
        for text in ("22.5 °C", b"bytes", "", "x" * 16000):
            client.publish("up/" + str(qos), text, qos=qos)
    client.publish(b"up/kept", b"stays", True, 1)
    say("ready")
    for _ in range(4):
        tried("wait_msg", client.wait_msg)
    wait_for_test()
    time.sleep_ms(100)
    tried("check_msg", client.check_msg)
    client.ping()
    tried("wait_msg", client.wait_msg)
    tried("disconnect", client.disconnect)
    tried("publish", client.publish, "up", "x")


def publishes_within_callbacks(host, port, count):
    """A QoS 1 publish waits for its PUBACK; messages that come meanwhile wait their turn, as many
    as there is room for. The server keeps the others until the client connects again."""
    client = new_client(host, port)
    depth = [0]

    def callback(topic, payload):
        depth[0] += 1
        say("message", payload=payload, depth=depth[0])
        client.publish("up", payload, qos=1)
        depth[0] -= 1

    client.set_callback(callback)
    client.connect(clean_session=False)
    client.subscribe("down", qos=1)
    say("ready")
    wait_for_test()
    seen = 0
    heard_ms = ticks_ms()
    while seen < int(count):
        if client.check_msg() is not None:
            seen += 1
            heard_ms = ticks_ms()
        elif ticks_diff(ticks_ms(), heard_ms) > 300:
            say("silence", seen=seen, dropped=client.dropped)
            client.disconnect()
            client.connect(clean_session=False)
    client.disconnect()


def keeps_its_session(host, port):
    client = new_client(host, port)
    tried("connect", client.connect, clean_session=False)
    client.subscribe("down", qos=1)
    client.disconnect()
    wait_for_test()
    tried("connect", client.connect, clean_session=False)
    for _ in range(3):
        client.wait_msg()
    client.disconnect()
    tried("connect", client.connect)
    client.disconnect()


def comes_back(host, port):
    """A program that reconnects by hand; its subscriptions come back by themselves."""
    client = new_client(host, port)
    client.connect()
    client.subscribe("down")
    say("ready")
    wait_for_test()
    tried("wait_msg", client.wait_msg)
    tried("publish", client.publish, "up", "x")
    wait_for_test()
    tried("connect", client.connect)
    say("ready")
    client.wait_msg()
    client.disconnect()


def loses_an_acknowledgement(host, port):
    client = new_client(host, port)
    client.connect()
    say("ready")
    wait_for_test()
    tried("publish", client.publish, "up", "lost", qos=1)
    wait_for_test()
    client.connect()
    client.publish("up", "after", qos=1)
    client.disconnect()


def fails_to_connect(host, port, user=None, password=None, timeout=None):
    client = new_client(host, port, user=user, password=password)
    tried("connect", client.connect, timeout=None if timeout is None else float(timeout))
    tried("publish", client.publish, "up", "x")
    # The same client may be tried again.
    tried("connect", client.connect, timeout=None if timeout is None else float(timeout))


def waits_in_silence(host, port, seconds):
    """wait_msg() keeps the link alive."""
    client = new_client(host, port, keepalive=2)
    client.connect()
    client.subscribe("down")
    say("ready")
    started_ms = ticks_ms()
    while ticks_diff(ticks_ms(), started_ms) < 1000 * float(seconds):
        if tried("wait_msg", client.wait_msg) is None:
            return
    client.disconnect()


def leaves_a_will(host, port):
    client = new_client(host, port)
    client.set_last_will("up/will", "gone", qos=1)
    client.connect()
    say("ready")
    wait_for_test()


def meets_large_messages(host, port):
    client = new_client(host, port)
    client.set_callback(lambda topic, payload: say("message", size=len(payload)))
    client.connect()
    client.subscribe("down", qos=1)
    tried("publish", client.publish, "up", b"m" * 16385, qos=1)
    say("ready")
    while wait_for_test() != "end":
        client.wait_msg()
    client.disconnect()


def is_refused(host, port):
    client = new_client(host, port)
    tried("wait_msg", client.wait_msg)
    client.connect()
    tried("subscribe", client.subscribe, "a/#/b")
    tried("publish", client.publish, "a/+", "x")
    tried("publish", client.publish, "up", "x", qos=2)
    client.set_callback(None)
    tried("subscribe", client.subscribe, "down")
    client.disconnect()


globals()[_arguments[0]](*_arguments[1:])
