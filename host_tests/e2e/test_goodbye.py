"""The blocking client says goodbye to a server that has gone already."""

import socket
import struct
import threading

from host_tests.e2e.device_program import run_text

PROGRAM = """
import json, sys
from time import sleep_ms
from iothub.net.mqtt import MQTTClient
client = MQTTClient("device", "127.0.0.1", int(sys.argv[1]))
client.connect()
client.ping()
sleep_ms(300)
client.disconnect()
print(json.dumps(client.sock is None))
"""
CONNACK = b"\x20\x02\x00\x00"
LINGER_AND_RESET = struct.pack("ii", 1, 0)


def test_a_connection_that_was_reset_is_only_closed(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            link, _ = listening.accept()
            with link:
                link.recv(1000)
                link.sendall(CONNACK)
                link.recv(1000)  # the ping: the login has been read
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_AND_RESET)

        threading.Thread(target=serve, daemon=True).start()
        assert run_text(PROGRAM, tmp_path, str(listening.getsockname()[1])) is True
