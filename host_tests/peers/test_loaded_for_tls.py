"""What TLS needs to begin, and to tell why it failed, is loaded for that: a connection keeps none
of it."""

from host_tests.conftest import requires
from host_tests.e2e.device_program import run_text
from host_tests.e2e.let_go import WEIGHED
from host_tests.peers.tls_servers import Place, mosquitto, tls_settings

pytestmark = requires("mosquitto")

NOT_TLS, ENOMEM, NO_CODE = 2007, 12, 2
PROGRAM = """
import asyncio, errno, json
from iothub.config import Config
from iothub.mqtt.backoff import Backoff
from iothub.net import endpoint as endpoints
from iothub.net.session import OFFLINE, Session
from iothub.profiles import Plain

fields = {
    "product_id": "A1B2C3D4E5", "device_name": "dev01", "device_secret": "c2VjcmV0",
    "transport": "tls", "host": "127.0.0.1", "port": int(sys.argv[1]), "ca": sys.argv[2],
}

def loaded():
    return [name[7:] for name in sys.modules if name.startswith("iothub.net.t")]

def told(error):
    return [type(error).__name__, error.code, error.reason]

def endpoint():  # not in a coroutine, whose frame would go on holding what it was taken of
    return loading.for_now("iothub.net.access").Access(Config(fields)).endpoint

async def connects(heard):
    session = Session(
        endpoint(), lambda: (b"dev01", b"user", None), Plain(),
        backoff=Backoff(lambda below: 0),
        on_event=lambda what, detail: heard.append(told(detail)) if what == OFFLINE else None)
    running = asyncio.create_task(session.run())
    while not (session.is_online or heard):
        await asyncio.sleep_ms(1)
    found = [session.is_online, loaded(), held()]
    await session.stop()
    await running
    return found

async def main():
    heard = []
    found = [await connects(heard)]
    fields["port"] = int(sys.argv[3])  # expects no TLS
    found.append([await connects(heard), heard[0]])
    secured = endpoints.Endpoint("127.0.0.1", 1, None, object())
    found.append(told(secured.explain(OSError(errno.ECONNRESET))))
    load = endpoints.for_now
    def no_memory(name):
        raise MemoryError()
    endpoints.for_now = no_memory
    found.append(told(secured.explain(OSError(-0x7200))))
    endpoints.for_now = load
    sys.path.clear()
    found.append(told(secured.explain(OSError(-0x7200))))
    print(json.dumps(found))

asyncio.run(asyncio.wait_for(main(), 20))
"""


def test_a_connection_keeps_no_code_of_tls(tmp_path):
    place = Place.make(tmp_path)
    with mosquitto(tmp_path, *tls_settings(place)) as broker:
        given = [str(broker.port), str(tmp_path / "trust/root.der"), str(broker.plain_port)]
        told = run_text(WEIGHED + PROGRAM, tmp_path, *given)
    connected, (refused, reason), lost, no_memory, no_code = told
    assert connected == [True, [], 0]
    assert refused == [False, [], 0]
    assert reason == ["TlsError", NOT_TLS, "the connection ended during the handshake"]
    assert lost[:1] + lost[2:] == ["LinkError", "connection lost"]
    assert no_memory == ["LinkError", ENOMEM, "TLS failed, and there is no memory to tell why"]
    assert no_code[:2] == ["LinkError", NO_CODE]
    assert no_code[2].startswith("iothub.net.tls_errors: ")
