"""At the prompt: Ctrl-C in the middle of a TLS handshake, asyncio.new_event_loop(), and again. TLS
handshakes take turns, but not with those that nobody goes on with."""

import socket

from host_tests.e2e.device_program import run_text

PROGRAM = """
import asyncio, json, sys, tls
from iothub.net.endpoint import Endpoint
from iothub.net.session import LOGGING_IN, Session
from iothub.profiles import Plain

security = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)

async def in_a_handshake():
    endpoint = Endpoint("127.0.0.1", int(sys.argv[1]), None, security)
    session = Session(endpoint, lambda: (b"device", None, None), Plain())
    asyncio.create_task(session.run())
    for _ in range(300):
        if session.state == LOGGING_IN:
            raise KeyboardInterrupt
        await asyncio.sleep_ms(10)

came_to_it = 0
for _ in range(3):
    try:
        asyncio.run(in_a_handshake())
    except KeyboardInterrupt:
        came_to_it += 1
    asyncio.new_event_loop()
print(json.dumps(came_to_it))
"""


def test_a_handshake_of_a_loop_that_is_gone_holds_up_no_other(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert run_text(PROGRAM, tmp_path, str(silent.getsockname()[1])) == 3
