"""TLS and TLS-PSK on one port: logins, failures, OpenSSL's and mosquitto's clients."""

import random
import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from host_tests.conftest import requires
from host_tests.peers.broker_client import Login, RawClient, connect_bytes
from host_tests.peers.broker_everyway import TIMEOUT_S, Device, EveryWayHub
from host_tests.peers.broker_wires import ClientCertificate, PskWire, TlsWire, Wire, tcp
from tools.pki import Credential, issue, make_authority


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = EveryWayHub(tmp_path_factory.mktemp("hub"))
    yield server
    server.stop()


@pytest.fixture
def authority(hub, tmp_path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text(hub.authority_pem())
    return path


@pytest.fixture
def device(hub) -> Device:
    return Device(hub)


@pytest.fixture(params=["ec", "rsa"])
def certified(hub, request) -> Device:
    return Device(hub, "cert", request.param)


# Logins.


def test_a_certificate_logs_in_without_a_password(hub, certified):
    wire = TlsWire(hub.ports["tls"], hub.authority_pem(), certified.certificate)
    assert wire.socket.version() == "TLSv1.2"
    with RawClient(wire) as client:
        assert client.connect(certified.login) == (0, False)
        client.publish(certified.login.topic("event"), b"seen")
    (connect,) = hub.events(certified.login, "connect")
    assert (connect["transport"], connect["proved_by"]) == ("tls", "certificate")


def test_the_server_shows_a_certificate_for_either_kind_of_key(hub):
    for cipher in ("ECDHE+ECDSA", "ECDHE+aRSA"):
        context = ssl.create_default_context(cadata=hub.authority_pem())
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
        with context.wrap_socket(tcp(hub.ports["tls"]), server_hostname="localhost") as wire:
            assert wire.cipher() is not None


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "A1B2C3.iotcloud.tencentdevices.com"])
def test_the_server_certificate_names_the_hub(hub, name):
    context = ssl.create_default_context(cadata=hub.authority_pem())
    with context.wrap_socket(tcp(hub.ports["tls"]), server_hostname=name):
        pass


def test_a_signed_password_logs_in_over_tls(hub, device):
    with RawClient(TlsWire(hub.ports["tls"], hub.authority_pem())) as client:
        assert client.connect(device.signed_login) == (0, False)
    with RawClient(TlsWire(hub.ports["tls"], hub.authority_pem())) as client:
        assert client.connect(device.login)[0] == 4
    assert hub.refusal(device.login) == "no password"


def test_a_key_logs_in_without_a_password(hub, device):
    with RawClient(PskWire(hub.ports["tls"], device.login.client_id, device.key)) as client:
        assert client.connect(device.login) == (0, False)
    (connect,) = hub.events(device.login, "connect")
    assert (connect["transport"], connect["proved_by"]) == ("tls", "psk")


def test_a_key_proves_one_client_id_only(hub, device):
    other = Device(hub)
    with RawClient(PskWire(hub.ports["tls"], device.login.client_id, device.key)) as client:
        assert client.connect(other.signed_login)[0] == 5
    reason = "client id differs from the identity that TLS proved by psk"
    assert hub.refusal(other.login) == reason


def test_a_certificate_proves_one_client_id_only(hub, certified):
    for other in (Device(hub, "cert"), Device(hub)):
        wire = TlsWire(hub.ports["tls"], hub.authority_pem(), certified.certificate)
        with RawClient(wire) as client:
            assert client.connect(other.login)[0] == 5
        reason = "client id differs from the identity that TLS proved by certificate"
        assert hub.refusal(other.login) == reason


def test_a_disabled_device_learns_so_after_tls(hub, device):
    hub.call("POST", f"/products/{hub.product_id}/devices/{device.name}/disable")
    with RawClient(PskWire(hub.ports["tls"], device.login.client_id, device.key)) as client:
        assert client.connect(device.login)[0] == 5
    assert hub.refusal(device.login) == "device is disabled"


@pytest.mark.parametrize("listener", ["tcp", "tls"])
def test_a_certificate_product_needs_its_certificate(hub, listener):
    device = Device(hub, "cert")
    wire: Wire = tcp(hub.ports["tcp"])
    if listener == "tls":
        wire = TlsWire(hub.ports["tls"], hub.authority_pem())
    with RawClient(wire) as client:
        assert client.connect(device.login)[0] == 5
    assert hub.refusal(device.login).startswith("the product logs in by certificate")


# Handshakes that fail.


def failed_handshake(hub: EveryWayHub, open_wire: Callable[[], Wire]) -> str:
    """The reason in the record of a connection that must not get through."""
    after = hub.last_event()
    with suppress(ConnectionError, ssl.SSLError):
        wire = open_wire()
        wire.settimeout(TIMEOUT_S)
        wire.sendall(connect_bytes(Login("PRODUCTID1", "dev01", None, None)))
        assert wire.recv(100) == b"", "the hub answered"
    return hub.failed_handshake(after)


def with_certificate(hub: EveryWayHub, folder: Path, credential: Credential) -> Callable[[], Wire]:
    (folder / "device.pem").write_bytes(credential.certificate_pem)
    (folder / "device.key").write_bytes(credential.key_pem)
    files = ClientCertificate(str(folder / "device.pem"), str(folder / "device.key"))
    return lambda: TlsWire(hub.ports["tls"], hub.authority_pem(), files)


def test_a_certificate_of_another_authority_is_refused(hub, tmp_path):
    stranger = issue(make_authority("another"), "device", ["PRODUCTID1dev01"])
    reason = failed_handshake(hub, with_certificate(hub, tmp_path, stranger))
    assert (
        reason
        == "TLS handshake: certificate verify failed: unable to get local issuer certificate"
    )


@pytest.mark.parametrize(("offset_days", "words"), [(-500, "has expired"), (5, "not yet valid")])
def test_a_certificate_out_of_its_time_is_refused(hub, tmp_path, offset_days, words):
    start = datetime.now(timezone.utc) + timedelta(days=offset_days)
    authority = hub.hub.authority._credential
    late = issue(authority, "device", ["PRODUCTID1dev01"], valid_from=start, valid_days=365)
    assert words in failed_handshake(hub, with_certificate(hub, tmp_path, late))


def test_a_servers_certificate_is_no_devices(hub, tmp_path):
    authority = hub.hub.authority._credential
    server = issue(authority, "server", ["localhost"])
    assert "purpose" in failed_handshake(hub, with_certificate(hub, tmp_path, server))


def test_another_certificate_for_the_same_device_is_refused(hub, certified, tmp_path):
    authority = hub.hub.authority._credential
    again = issue(authority, "device", [certified.login.client_id])
    with RawClient(with_certificate(hub, tmp_path, again)()) as client:
        assert client.connect(certified.login)[0] == 5
    assert hub.refusal(certified.login) == (
        "the certificate shown is not the one issued to this device"
    )


def test_a_wrong_key_is_refused(hub, device):
    port, client_id = hub.ports["tls"], device.login.client_id
    reason = failed_handshake(hub, lambda: PskWire(port, client_id, bytes(16)))
    assert client_id in reason
    assert device.secret not in reason and device.key.hex() not in reason


@pytest.mark.parametrize("identity", ["nobody", "PRODUCTID1dev01", "\U0001f600", "x" * 120])
def test_an_unknown_identity_is_refused(hub, identity):
    reason = failed_handshake(hub, lambda: PskWire(hub.ports["tls"], identity, bytes(16)))
    assert "(identity " in reason and len(reason) < 150


def test_a_certificate_product_has_no_key(hub):
    client_id = Device(hub, "cert").login.client_id
    reason = failed_handshake(hub, lambda: PskWire(hub.ports["tls"], client_id, bytes(16)))
    assert client_id in reason


def test_a_client_that_does_not_trust_the_hub_says_so(hub):
    stranger = make_authority("another").certificate_pem.decode()
    reason = failed_handshake(hub, lambda: TlsWire(hub.ports["tls"], stranger))
    assert reason == "TLS handshake: tlsv1 alert unknown ca"


def test_a_client_with_tls_1_1_or_1_3_only_is_refused(hub):
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_3):

        def open_wire(version=version) -> Wire:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = context.maximum_version = version
            return context.wrap_socket(tcp(hub.ports["tls"]))

        assert failed_handshake(hub, open_wire) == "TLS handshake: unsupported protocol"


# What is no TLS at all, and what never ends.


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (connect_bytes(Login("PRODUCTID1", "dev01", None, None)), "plain MQTT on a TLS port"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP on a TLS port"),
        (b"\x16\3\1\0\4\1\0\0\0", "the ClientHello contradicts its own lengths"),
        (b"\x16\3\1\xff\xff", "a TLS record of 65535 bytes"),
        (b"\x16\3\1\0\4\1\0\0\0\0\xff", "a record that is no handshake"),
        (b"", "not open within 0.5 s"),
        (b"\x16\3\1\2\0\1\0\1\xfc\3\3", "not open within 0.5 s"),
    ],
)
@pytest.mark.parametrize("listener", ["tls", "wss"])
def test_what_is_no_handshake_is_closed_with_an_event(hub, listener, data, reason):
    after = hub.last_event()
    with tcp(hub.ports[listener]) as wire:
        wire.sendall(data)
        assert wire.recv(100) == b""
    assert hub.failed_handshake(after).startswith(reason)


def test_a_hello_that_comes_byte_by_byte_is_read_until_the_deadline(hub):
    after = hub.last_event()
    with tcp(hub.ports["tls"]) as wire, suppress(ConnectionError):
        for byte in b"\x16\3\1\2\0\1\0\1\xfc\3\3" + bytes(100):
            wire.sendall(bytes([byte]))
            time.sleep(0.02)
    assert hub.failed_handshake(after) == "not open within 0.5 s"


def test_a_hello_cut_short_by_a_close(hub):
    after = hub.last_event()
    with tcp(hub.ports["tls"]) as wire:
        wire.sendall(b"\x16\3\1\2\0\1")
    assert hub.failed_handshake(after) == "closed 6 bytes into the ClientHello"


@pytest.mark.parametrize("psk", [False, True], ids=["certificate", "psk"])
def test_a_handshake_that_stops_after_the_hello_meets_the_deadline(hub, psk):
    after = hub.last_event()
    with tcp(hub.ports["tls"]) as wire:
        wire.sendall(recorded_hello(psk))
        answered = b""
        while data := wire.recv(65536):
            answered += data
    assert answered[0] == 22, "the hub answered with its part of the handshake"
    assert hub.failed_handshake(after) == "not open within 0.5 s"


def test_tls_on_the_plain_port_is_closed_with_an_event(hub):
    after = hub.last_event()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        TlsWire(hub.ports["tcp"], hub.authority_pem())
    listed = hub.call("GET", f"/events?kind=disconnect&after={after}")["events"]
    assert [each["reason"] for each in listed] == [
        "protocol violation: the first packet is CONNECT"
    ]


def test_mutated_handshakes_neither_open_nor_trouble_the_hub(hub, device):
    """A recorded hello of either kind with bytes changed, cut off and put in; and noise."""
    dice = random.Random(20260101)
    hellos = [recorded_hello(psk) for psk in (False, True)]
    for number in range(300):
        data = bytearray(hellos[number % 2])
        for _ in range(dice.randrange(1, 6)):
            position = dice.randrange(len(data))
            match dice.randrange(3):
                case 0:
                    data[position] = dice.randrange(256)
                case 1:
                    del data[position : position + dice.randrange(20)]
                case _:
                    data[position:position] = dice.randbytes(dice.randrange(20))
            data = data or bytearray(b"\x16")
        if number % 10 == 0:
            data = bytearray(dice.randbytes(dice.randrange(1, 400)))
        with tcp(hub.ports["tls"]) as wire, suppress(ConnectionError):
            wire.sendall(data)
            wire.shutdown(socket.SHUT_WR)
            while wire.recv(65536):
                pass
    with RawClient(PskWire(hub.ports["tls"], device.login.client_id, device.key)) as client:
        assert client.connect(device.login) == (0, False)


def recorded_hello(psk: bool) -> bytes:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        open_wire = (
            (lambda: PskWire(port, "PRODUCTID1dev01", bytes(16)))
            if psk
            else (lambda: TlsWire(port, make_authority("x").certificate_pem.decode()))
        )
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(open_wire)
            accepted, _ = server.accept()
            with accepted:
                hello = accepted.recv(65536)
            assert opening.exception() is not None
    return hello


# Clients not written here.


def s_client(hub: EveryWayHub, *options: object) -> str:
    """What OpenSSL's client says of a connection it closes at once."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{hub.ports['tls']}", *map(str, options)],
        input="",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    return done.stdout + done.stderr


@requires("openssl")
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-tls1_2", "-cipher", "PSK-AES128-CBC-SHA"),
        ("-tls1_2", "-cipher", "PSK-AES256-CBC-SHA"),
        ("-tls1_2", "-cipher", "PSK-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("-tls1_2", "-cipher", "ECDHE-PSK-AES128-CBC-SHA256"),
    ],
)
def test_openssl_by_key(hub, device, options):
    said = s_client(
        hub, "-psk", device.key.hex(), "-psk_identity", device.login.client_id, *options
    )
    assert "PSK-" in said and f"PSK identity: {device.login.client_id}" in said, said
    if options:
        assert f"Cipher is {options[-1].split(':')[0]}" in said


@requires("openssl")
def test_openssl_by_key_that_sooner_uses_a_certificate_gets_one(hub, device):
    identity = ("-psk", device.key.hex(), "-psk_identity", device.login.client_id)
    said = s_client(hub, "-tls1_2", *identity)
    assert "Server certificate" in said and "PSK identity: None" in said


@requires("openssl")
def test_openssl_by_certificate(hub, certified, authority):
    files = ("-cert", certified.certificate.certificate, "-key", certified.certificate.key)
    said = s_client(hub, "-CAfile", authority, "-verify_return_error", *files)
    assert "Verify return code: 0 (ok)" in said and "TLSv1.2" in said


def mosquitto(program: str, hub: EveryWayHub, login: Login, *options: object) -> subprocess.Popen:
    return subprocess.Popen(
        [
            *(program, "-h", "127.0.0.1", "-p", str(hub.ports["tls"]), "-i", login.client_id),
            *("-u", login.user_name or "", *map(str, options)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@requires("mosquitto_pub")
@pytest.mark.parametrize("way", ["key", "certificate", "password"])
def test_mosquittos_clients(hub, authority, way):
    device = Device(hub, "cert" if way == "certificate" else "key")
    login = device.login
    options: tuple[object, ...] = ("--cafile", authority)
    if way == "key":
        options = ("--psk", device.key.hex(), "--psk-identity", login.client_id)
    elif way == "certificate":
        files = device.certificate
        options = (*options, "--cert", files.certificate, "--key", files.key)
    else:
        login = device.signed_login
        options = (*options, "-P", login.password)
    publish = ("-q", 1, "-t", login.topic("event"), "-m", "from mosquitto")
    publisher = mosquitto("mosquitto_pub", hub, login, *options, *publish)
    assert publisher.communicate(timeout=TIMEOUT_S) == ("", "")
    assert publisher.returncode == 0
    (message,) = hub.call("GET", f"/messages?topic={login.topic('event')}")["messages"]
    assert message["payload"] == "from mosquitto"
    subscriber = mosquitto(
        "mosquitto_sub", hub, login, *options, "-q", 1, "-t", login.topic("control"), "-C", 1
    )
    deadline = time.monotonic() + TIMEOUT_S
    while not hub.events(login, "subscribe"):
        assert time.monotonic() < deadline and subscriber.poll() is None
        time.sleep(0.02)
    hub.send(login.topic("control"), b"to mosquitto", 1)
    assert subscriber.communicate(timeout=TIMEOUT_S)[0] == "to mosquitto\n"
