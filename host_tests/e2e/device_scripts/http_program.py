"""HTTP requests on order: `http_program.py [TRUST_FOLDER] [NAME_MS=N...]`.

Each line of standard input is an order (JSON); each is answered with an event "done".
"""

import asyncio
import hashlib
import json
import sys
from binascii import hexlify
from time import ticks_diff, ticks_ms

from iothub import timeouts
from told import error_fields, say

_arguments = []
for argument in sys.argv[1:]:  # before anything reads the table
    name, is_timeout, value = argument.partition("_MS=")
    if is_timeout:
        setattr(timeouts, name + "_MS", int(value))
    else:
        _arguments.append(argument)

from iothub.codec.url import split_url  # noqa: E402
from iothub.net import http, tls  # noqa: E402
from iothub.net.endpoint import Endpoint  # noqa: E402
from iothub.net.follow import follow  # noqa: E402

_security = tls.by_certificates(_arguments[0]) if _arguments else None
_clients: dict = {}


def client_for(url):
    is_tls, host, port, path = split_url(url)
    key = (is_tls, host, port)
    if key not in _clients:
        endpoint = Endpoint(host, port, None, _security if is_tls else None)
        _clients[key] = http.Client(endpoint, f"{host}:{port}")
    return _clients[key], path


async def ask(order):
    """{"url", "method", "body", "fields", "wanted", "leave", "close", and "max_redirects", "read"
    or "buffer"}"""
    fields = [tuple(pair) for pair in order.get("fields", ())]
    wanted = [name.encode() for name in order.get("wanted", ())]
    if "max_redirects" in order:
        client = await follow(
            order["url"], _security, None, fields, wanted, order["max_redirects"]
        )
    else:
        client, path = client_for(order["url"])
        body = order.get("body")
        await client.request(
            order.get("method", "GET"), path, fields, body and body.encode(), wanted
        )
    response = client.response
    told = {"status": response.status, "length": response.length}
    told["fields"] = {name.decode(): response.fields[name].decode() for name in response.fields}
    if order.get("leave"):
        say("done", **told)
        return
    if "read" in order:
        body = await client.read(order["read"])
        size = len(body)
        digest = hashlib.sha256(body)
    else:
        buf = bytearray(order.get("buffer", 4096))
        view = memoryview(buf)
        digest = hashlib.sha256()
        size = 0
        while True:
            count = await client.readinto(buf)
            if not count:
                break
            digest.update(view[:count])
            size += count
    if "max_redirects" in order or "close" in order:
        client.close()
    say("done", size=size, sha256=hexlify(digest.digest()).decode(), **told)


async def main():
    orders = asyncio.StreamReader(sys.stdin.buffer)
    while True:
        line = await orders.readline()
        if not line:
            return
        started_ms = ticks_ms()
        try:
            await ask(json.loads(line))
        except OSError as e:
            say(
                "done",
                took_ms=ticks_diff(ticks_ms(), started_ms),
                hint=getattr(e, "hint", None),
                **error_fields(e),
            )


asyncio.run(main())
