from iothub.errors import DeadlineError, LoginRefused, ProtocolError
from iothub.mqtt import engine as mqtt
from iothub.mqtt.engine import LEGAL_PACKETS, Engine
from iothub.store.queue import RamQueue
from iothub.timeouts import CONNACK_MS

from host_tests.unit.iothub import peer
from host_tests.unit.iothub.expect import raises

STATES = (mqtt.CLOSED, mqtt.LOGGING_IN, mqtt.ONLINE)
# What MQTT 3.1.1 lets a server send: CONNACK first and once, then these.
EXPECTED_LEGAL: tuple = (set(), {2}, {3, 4, 9, 11, 13})
# packet type: a well-formed packet of it
PACKETS = {
    0: b"\x00\x00",
    1: b"\x10\x0e\x00\x04MQTT\x04\x00\x00\x00\x00\x02id",
    2: peer.connack(),
    3: peer.message(b"t", b"hello"),
    4: peer.puback(1),
    5: b"\x50\x02\x00\x01",
    6: b"\x62\x02\x00\x01",
    7: b"\x70\x02\x00\x01",
    8: b"\x82\x06\x00\x01\x00\x01a\x00",
    9: peer.suback(1, 0),
    10: b"\xa2\x05\x00\x01\x00\x01a",
    11: peer.unsuback(1),
    12: b"\xc0\x00",
    13: peer.PINGRESP,
    14: b"\xe0\x00",
    15: b"\xf0\x00",
}


def _in_state(state):
    if state == mqtt.CLOSED:
        driver = peer.Driver()
        return Engine(driver, RamQueue()), driver
    return peer.logging_in() if state == mqtt.LOGGING_IN else peer.online()


def test_connect_is_the_first_packet():
    driver = peer.Driver()
    engine = Engine(driver, RamQueue(), 60, True)
    assert engine.state == mqtt.CLOSED
    engine.connect(b"id", b"user", b"password", (b"w", b"bye", 1, False))
    assert driver.take() == [
        (
            0x10,
            b"\x00\x04MQTT\x04\xce\x00\x3c\x00\x02id\x00\x01w\x00\x03bye"
            b"\x00\x04user\x00\x08password",
        )
    ]
    assert engine.state == mqtt.LOGGING_IN


def test_connack_0_is_online():
    engine, driver = peer.logging_in()
    peer.feed(engine, peer.connack())
    assert engine.state == mqtt.ONLINE
    assert driver.reports == [(mqtt.ONLINE_AGAIN, False)]
    assert driver.writes == []


def test_connack_1_to_5_and_unknown_codes_are_refusals():
    for code in (1, 2, 3, 4, 5, 6, 255):
        engine, driver = peer.logging_in()
        error = raises(LoginRefused, peer.feed, engine, peer.connack(code))
        assert error.code == error.errno == code
        assert error.phase == "login" and str(code) in error.reason
        assert bool(error.hint) == (code <= 5)
        assert engine.state == mqtt.CLOSED
        assert driver.writes == [] and driver.reports == []


def test_after_a_refusal_the_next_login_works():
    engine, _ = peer.logging_in()
    raises(LoginRefused, peer.feed, engine, peer.connack(4))
    peer.reconnect(engine)
    assert engine.state == mqtt.ONLINE


def test_session_present_is_told_only_if_a_session_was_asked_for():
    for clean_session, present, told in (
        (True, 0, False),
        (True, 1, False),
        (False, 0, False),
        (False, 1, True),
    ):
        engine, driver = peer.logging_in(60, clean_session)
        peer.feed(engine, peer.connack(0, present))
        assert driver.reported(mqtt.ONLINE_AGAIN) == [told]


def test_reserved_connack_flags_are_an_error():
    for flags in (2, 3, 128, 255):
        engine, _ = peer.logging_in()
        raises(ProtocolError, peer.feed, engine, peer.connack(0, flags))
        assert engine.state != mqtt.ONLINE


def test_the_table_of_legal_packets_is_the_standards():
    assert len(LEGAL_PACKETS) == len(STATES)
    for state in STATES:
        bits = LEGAL_PACKETS[state]
        assert {kind for kind in range(16) if bits >> kind & 1} == EXPECTED_LEGAL[state]
        assert bits < 1 << 16


def test_every_packet_type_in_every_state():
    for state in STATES:
        for kind in range(16):
            engine, driver = _in_state(state)
            data = PACKETS[kind]
            if LEGAL_PACKETS[state] >> kind & 1:
                peer.feed(engine, data)
                assert engine.last_header == data[0]
            else:
                error = raises(ProtocolError, peer.feed, engine, data)
                assert str(kind) in error.reason, (state, kind)
                assert driver.messages == [] and driver.writes == [] and driver.reports == []


def test_an_illegal_packet_is_told_from_its_first_bytes():
    # An HTTP server's answer looks like a PUBACK of 84 bytes: no need to wait for all of them.
    for state in STATES:
        for kind in range(16):
            if not LEGAL_PACKETS[state] >> kind & 1:
                for length in (b"\x54", b"\xff\x7f", b"\xff\xff\xff\x7f"):
                    engine, _ = _in_state(state)
                    raises(ProtocolError, peer.feed, engine, bytes((kind << 4,)) + length)
    engine, _ = peer.logging_in()
    raises(ProtocolError, peer.feed, engine, b"HTTP/1.1 400 Bad Request\r\n")


def test_a_login_without_an_answer_has_a_deadline():
    engine, _ = peer.logging_in()
    engine.advance(CONNACK_MS - 1)
    error = raises(DeadlineError, engine.advance, 1)
    assert error.phase == "login"


def test_the_deadline_counts_from_this_login():
    driver = peer.Driver()
    engine = Engine(driver, RamQueue())
    engine.advance(CONNACK_MS * 3)
    engine.connect(b"id")
    engine.advance(CONNACK_MS - 1)
    raises(DeadlineError, engine.advance, 1)


def test_half_a_packet_of_the_old_link_is_forgotten():
    for cut in (1, 3, 20):
        engine, driver = peer.online()
        peer.feed(engine, peer.message(b"t", b"x" * 30)[:cut])
        peer.reconnect(engine)
        peer.feed(engine, peer.message(b"t", b"whole"))
        assert driver.messages == [(None, b"t", b"whole")]


def test_a_skipped_packet_of_the_old_link_is_forgotten():
    engine, driver = peer.online()
    peer.feed(engine, peer.message(b"t", b"x" * 20000)[:5000])
    peer.reconnect(engine)
    peer.feed(engine, peer.message(b"t", b"whole"))
    assert driver.messages == [(None, b"t", b"whole")]


def test_disconnect_says_goodbye_when_online():
    engine, driver = peer.online()
    engine.disconnect()
    assert driver.take() == [(peer.DISCONNECT, b"")]
    assert engine.state == mqtt.CLOSED
    engine.disconnect()
    assert driver.take() == []
