"""CoAP requests on order: `coap_program.py CONFIG [NAME_MS=N...]`.

{"code", "path", "query", "payload"} sends a request, `path` a list of Uri-Path options;
{"publish", "payload"} publishes as the cloud wants it; {"close": true} closes first. Answered by
"done".
"""

import asyncio
import json
import sys
from time import ticks_diff, ticks_ms

from iothub import timeouts
from told import error_fields, say

_URI_QUERY = 15
_arguments = []
for argument in sys.argv[1:]:  # before anything reads the table
    name, is_timeout, value = argument.partition("_MS=")
    if is_timeout:
        setattr(timeouts, name + "_MS", int(value))
    else:
        _arguments.append(argument)

from iothub import config, port  # noqa: E402
from iothub.codec import coap as codec  # noqa: E402
from iothub.errors import IoTHubError  # noqa: E402
from iothub.net import coap, coap_client, tls  # noqa: E402


class Device:
    """What net/coap.py wants of one, without its MQTT side."""

    def __init__(self, path):
        self.config = config.load(path).__dict__
        self.identity = self.config["identity"]
        self.network = None
        self.chip = port

    def topic(self, name):
        return self.identity.prefix + name.encode()


async def ask(publisher, order):
    if order.get("close"):
        publisher.close()
    payload = order.get("payload", "").encode()
    if "publish" in order:
        await publisher.publish(order["publish"], payload)
        return {}
    options = [(codec.URI_PATH, part.encode()) for part in order["path"]]
    if "query" in order:
        options.append((_URI_QUERY, order["query"].encode()))
    code, options, payload = await coap_client.request(publisher, order["code"], options, payload)
    return {
        "code": "%d.%02d" % (code >> 5, code & 31),  # noqa: UP031
        "options": [number for number, _ in options],
        "payload": payload.decode(),
    }


async def main(path):
    orders = asyncio.StreamReader(sys.stdin.buffer)
    publisher = None
    while True:
        line = await orders.readline()
        if not line:
            return
        started_ms = ticks_ms()
        try:
            if publisher is None:
                publisher = coap.CoapPublisher(Device(path))
            answer = await ask(publisher, json.loads(line))
        except OSError as e:
            answer = error_fields(e)
            answer["text"] = str(e) if isinstance(e, IoTHubError) else repr(e)
        say("done", took_ms=ticks_diff(ticks_ms(), started_ms), **answer)


class OldTls:
    """The tls module of a firmware before 1.26: everything but DTLS."""

    SSLContext = tls.tls.SSLContext
    PROTOCOL_TLS_CLIENT = tls.tls.PROTOCOL_TLS_CLIENT


if "without-dtls" in _arguments:
    tls.tls = OldTls
asyncio.run(main(_arguments[0]))
