"""Wi-Fi with one or several networks, and other interfaces (port/wlan.py, port/interface.py), on a
simulated chip. No test here has seen a real radio."""

from iothub import loading
from iothub.errors import BadInput, LinkError
from iothub.timeouts import WIFI_JOIN_MS

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.fake_chip import Modules, Wlan, finish

HOME = {"ssid": "home", "password": "home-secret"}
OFFICE = {"ssid": "office", "password": "office-secret"}
OPEN = {"ssid": "café"}
AIR = {
    "home": (-70, "home-secret"),
    "office": (-50, "office-secret"),
    "café": (-60, ""),
    "other": (-20, "x"),
}
NETWORK_UP = -6


class Network:
    """The chip's module `network`, with one radio."""

    STA_IF = 0

    def __init__(self, radio):
        self._radio = radio

    def WLAN(self, interface):
        assert interface == self.STA_IF
        return self._radio


def _with_wifi(settings, radio, check, told=None):
    with Modules({"network": Network(radio)}) as modules:
        from iothub.port.wlan import Wlan as Wifi

        try:
            check(Wifi(settings, told), modules)
        finally:
            loading.let_go("iothub.port.wlan")


def _failure(settings, radio):
    errors = []

    def check(wifi, modules):
        errors.append((raises(LinkError, finish, wifi.up()), modules.now_ms))

    _with_wifi(settings, radio, check)
    return errors[0]


def test_the_only_network_is_joined_without_looking_around():
    radio = Wlan(AIR)
    events = []

    def check(wifi, modules):
        assert wifi.status() == "not connected"
        finish(wifi.up())
        finish(wifi.up())  # nothing to do any more
        assert wifi.status() == "home, -70 dBm, 192.168.1.20"

    _with_wifi(HOME, radio, check, lambda *event: events.append(event))
    assert radio.tried == ["home"] and radio.scans == 0
    assert events == [(NETWORK_UP, "home, -70 dBm, 192.168.1.20")]


def test_of_several_the_strongest_is_joined():
    radio = Wlan(AIR)
    _with_wifi([HOME, OFFICE, OPEN], radio, lambda wifi, _: finish(wifi.up()))
    assert radio.tried == ["office"] and radio.scans == 1


def test_one_that_does_not_let_us_in_is_followed_by_the_next():
    radio = Wlan(AIR)
    wrong = {"ssid": "office", "password": "changed!"}
    _with_wifi([HOME, wrong, OPEN], radio, lambda wifi, _: finish(wifi.up()))
    assert radio.tried == ["office", "café"]


def test_one_that_hides_is_tried_last():
    radio = Wlan({"home": AIR["home"]}, hidden=("home",))
    _with_wifi([HOME, OFFICE], radio, lambda wifi, _: finish(wifi.up()))
    assert radio.tried == ["home"]
    radio = Wlan({"home": (-70, "no"), "office": AIR["office"]}, hidden=("office",))
    _with_wifi([OFFICE, HOME], radio, lambda wifi, _: finish(wifi.up()))
    assert radio.tried == ["home", "office"]


def test_a_scan_that_fails_leaves_the_order_of_the_configuration():
    radio = Wlan(AIR, scan_error=OSError(5))
    _with_wifi([HOME, OFFICE], radio, lambda wifi, _: finish(wifi.up()))
    assert radio.tried == ["home"]


def test_after_an_outage_it_looks_again_and_says_so():
    radio = Wlan(dict(AIR))
    events = []

    def check(wifi, modules):
        finish(wifi.up())
        del radio.air["office"]
        radio.disconnect()
        finish(wifi.up())
        wifi.down()
        assert not radio.is_active

    _with_wifi([HOME, OFFICE], radio, check, lambda *event: events.append(event))
    assert radio.tried == ["office", "home"]
    assert [text.split(",")[0] for _, text in events] == ["office", "home"]


def test_why_none_was_joined_is_said_of_each():
    error, _ = _failure(HOME, Wlan({}))
    assert error.reason == "Wi-Fi: no such network; check the ssid" and error.code == 113
    error, took_ms = _failure([HOME, OFFICE], Wlan({"home": (-70, "x"), "office": (-80, None)}))
    assert error.reason == "Wi-Fi: home: wrong password; office: no connection in time"
    assert WIFI_JOIN_MS < took_ms < WIFI_JOIN_MS + 500
    assert "secret" not in str(error)
    radio = Wlan({})
    radio.unknown = 201  # as an ESP32 has it
    assert "no such network" in _failure(OFFICE, radio)[0].reason


class Busy(Wlan):
    """As an ESP32's: while it tries to join it takes no order to, which it begins by itself after
    an outage. `interrupt` is raised in the middle of it."""

    interrupt: BaseException = None
    is_trying = True

    def connect(self, ssid, password):
        if self.is_trying:
            raise OSError(12294, "Wifi Internal State Error")
        self.is_trying = True
        super().connect(ssid, password)

    def disconnect(self):
        self.is_trying = False
        super().disconnect()

    def status(self, what=None):
        if self.interrupt is not None:
            raise self.interrupt
        return super().status(what)


class Cancelled(BaseException):
    """As CancelledError, which is no Exception."""


def test_a_chip_that_refuses_to_join_is_told_and_joins_the_next_time():
    def check(wifi, modules):
        error = raises(LinkError, finish, wifi.up())
        assert "refused by the chip" in error.reason and "Internal State" in error.reason
        finish(wifi.up())
        assert wifi.status().startswith("home")

    _with_wifi(HOME, Busy(AIR), check)
    # Of two, it is the first that is refused.
    _with_wifi([OFFICE, HOME], Busy(AIR), lambda wifi, _: finish(wifi.up()))


def test_joining_that_is_cancelled_leaves_the_chip_ready():
    radio = Busy({"home": (-70, None)})
    radio.is_trying = False

    def check(wifi, modules):
        radio.interrupt = Cancelled()
        raises(Cancelled, finish, wifi.up())
        radio.interrupt = None
        radio.air["home"] = AIR["home"]
        finish(wifi.up())

    _with_wifi(HOME, radio, check)
    assert radio.tried == ["home", "home"]


def test_an_application_that_fails_to_hear_of_it_is_connected_all_the_same():
    heard = []

    def hear(*event):
        heard.append(event)
        raise ValueError("in on_event")

    _with_wifi(HOME, Wlan(AIR), lambda wifi, _: finish(wifi.up()), hear)
    assert len(heard) == 1


def test_what_cannot_be_a_network_is_refused_by_its_field():
    def refused(settings):
        with Modules({"network": Network(Wlan({}))}):
            from iothub.port.wlan import Wlan as Wifi

            try:
                return raises(BadInput, Wifi, settings).field
            finally:
                loading.let_go("iothub.port.wlan")

    for settings, field in (
        ({}, "network.ssid"),
        ([], "network"),
        ([HOME] * 9, "network"),
        ([HOME, {"ssid": ""}], "network.ssid"),
        ([HOME, {"ssid": "中" * 11}], "network.ssid"),
        ([HOME, {"ssid": "a", "password": "short"}], "network.password"),
        ([HOME, "office"], "network.ssid"),
        ({"ssid": "a", "password": 12345678}, "network.password"),
    ):
        assert refused(settings) == field, settings


class Nic:
    """A wired interface, connected `after` so many looks; `dials` it has to be told to."""

    def __init__(self, after):
        self.looks = 0
        self.after = after
        self.calls = []

    def active(self, on):
        self.calls.append(on)

    def isconnected(self):
        self.looks += 1
        return True in self.calls and self.looks > self.after

    def status(self):
        return 0

    def ifconfig(self):
        return ("10.0.0.7",)


class Modem(Nic):
    def connect(self):
        self.calls.append("dial")


def test_any_other_interface():
    for nic, calls in ((Nic(5), [True]), (Modem(5), [True, "dial"])):
        _comes_up(nic, calls)


def _comes_up(nic, calls):
    events = []
    with Modules({}):
        from iothub.port.interface import Interface

        interface = Interface(nic, lambda *event: events.append(event))
        finish(interface.up())
        finish(interface.up())
        assert interface.status() == "10.0.0.7"
        assert nic.calls == calls
        assert events == [(NETWORK_UP, "10.0.0.7")]
        interface.down()
        assert nic.calls[-1] is False


def test_an_interface_that_does_not_come_up():
    nic = Nic(100000)
    with Modules({}) as modules:
        from iothub.port.interface import Interface

        error = raises(LinkError, finish, Interface(nic).up())
        assert error.reason == "network: no connection in time" and error.code == 113
        assert WIFI_JOIN_MS < modules.now_ms < WIFI_JOIN_MS + 500
        assert Interface(nic).status() == "not connected"
    assert nic.calls == [True, False]
