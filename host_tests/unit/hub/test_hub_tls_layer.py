"""The TLS layer by itself: which library serves whom, and what is said where there is none."""

import ssl
import sys

import pytest

from tools.hub.transport import openssl
from tools.hub.transport.client_hello import ClientHello
from tools.hub.transport.engine import TlsFailed
from tools.hub.transport.stream import StreamBroken
from tools.hub.transport.tls import TlsServer

BY_KEY, BY_CERTIFICATE = ClientHello((0x8C,), False), ClientHello((0xC02B,), False)


@pytest.fixture
def server():
    return TlsServer(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), lambda _identity: None)


def test_the_hello_chooses_the_engine(server):
    assert type(server._engine(BY_CERTIFICATE)) is openssl.OpenSslEngine
    assert type(server._engine(BY_KEY)).__name__ == "PskEngine"


def test_without_a_library_for_keys_the_reason_is_told(server, monkeypatch):
    monkeypatch.setattr(openssl, "HAS_PSK", False)
    monkeypatch.delitem(sys.modules, "tools.hub.transport.psk_mbedtls", raising=False)
    monkeypatch.setitem(sys.modules, "mbedtls.tls", None)
    with pytest.raises(StreamBroken, match=r"3\.13 or newer, or install python-mbedtls"):
        server._engine(BY_KEY)
    assert type(server._engine(BY_CERTIFICATE)) is openssl.OpenSslEngine


@pytest.mark.parametrize("hello", [BY_KEY, BY_CERTIFICATE], ids=["key", "certificate"])
def test_an_engine_takes_garbage_in_any_pieces(server, hello):
    for size in (1, 7, 100_000):
        engine = server._engine(hello)
        with pytest.raises(TlsFailed) as caught:
            for _ in range(100_000):
                engine.feed(b"\x16\3\3\0\5garbage"[:size] * 2)
                engine.shake_hands()
        assert str(caught.value)
        engine.outgoing()
