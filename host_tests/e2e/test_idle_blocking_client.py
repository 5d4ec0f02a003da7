"""umqtt programs call their client now and then: what happened meanwhile is not held against the
server."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

from host_tests.faults.fuzz_server import honest_answers
from host_tests.unit.iothub import peer

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "device_scripts"
MICROPYTHON = Path(sys.executable).parent / "micropython"
TIMEOUT_S = 60


def serve(listener: socket.socket, sent: list[int]) -> None:
    """Answers one client at once and honestly; `sent` are the first bytes of its packets, each of
    which comes in one write."""
    client, _ = listener.accept()
    # The client may leave while an answer is on its way to it.
    with client, contextlib.suppress(ConnectionError):
        while data := client.recv(4096):
            packets = peer.split(data)
            sent += [first for first, _ in packets]
            if packets[0][0] == peer.CONNECT:
                client.sendall(peer.connack())
            client.sendall(honest_answers(packets))


def test_a_program_that_is_busy_elsewhere_keeps_its_link():
    sent: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener, sent), daemon=True)
        server.start()
        done = subprocess.run(
            [str(MICROPYTHON), str(SCRIPTS / "idle_program.py"), str(listener.getsockname()[1])],
            env={"MICROPYPATH": f"{SCRIPTS}:{ROOT / 'firmware/lib'}:.frozen"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        server.join(5)
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(event["event"], event["call"]) for event in events] == [
        ("done", call)
        for call in ("connect", "publish", "subscribe", "check_msg", "check_msg", "check_msg")
    ]
    assert peer.PINGREQ in sent and sent.count(peer.CONNECT) == 1
    assert sent[-1] == peer.DISCONNECT
