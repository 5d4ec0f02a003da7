import sys

import iothub
from iothub import errors, hints
from iothub.errors import BadInput, DeadlineError, IoTHubError, LinkError, LoginRefused

# class, phase, code
CLASSES = (
    ("BadInput", "config", 22),
    ("LinkError", "connect", 104),
    ("TlsError", "tls", 104),
    ("DeadlineError", "connect", 110),
    ("ProtocolError", "receive", 71),
    ("LoginRefused", "login", 0),
    ("SubscribeRefused", "subscribe", 128),
    ("ServiceRefused", "service", 0),
    ("QueueFull", "publish", 105),
    ("StorageError", "storage", 5),
    ("UpdateError", "update", -5),
    ("NotConnected", "publish", 107),
)


def _make(name):
    error_class = getattr(errors, name)
    if name == "BadInput":
        return error_class("reason", "is a rule")
    return error_class("reason")


def test_every_class_of_the_tree_is_in_the_table():
    found = []
    for name in dir(errors):
        value = getattr(errors, name)
        if isinstance(value, type) and issubclass(value, IoTHubError):
            found.append(name)
    assert sorted(found) == sorted([name for name, _, _ in CLASSES] + ["IoTHubError"])


def test_every_error_is_an_oserror_with_its_code_as_errno():
    for name, phase, code in CLASSES:
        error = _make(name)
        assert isinstance(error, IoTHubError) and isinstance(error, OSError), name
        assert error.errno == code == error.code, name
        assert error.phase == phase, name


def test_a_given_phase_and_code_replace_those_of_the_class():
    error = LinkError("no address", "network", -2)
    assert (error.phase, error.code, error.errno, error.reason) == (
        "network",
        -2,
        -2,
        "no address",
    )
    assert LinkError.phase == "connect" and LinkError.code == 104


def test_deadline_and_protocol_errors_are_link_errors():
    assert issubclass(DeadlineError, LinkError)
    assert issubclass(errors.ProtocolError, LinkError)
    assert not issubclass(LoginRefused, LinkError)


def test_the_text_says_phase_reason_and_what_to_do():
    text = str(LinkError("connection refused", "network", 111))
    assert text.startswith("network: connection refused. Nothing listens there"), text
    text = str(BadInput("region", "must be one of these"))
    assert text.startswith("config: region: must be one of these. "), text
    assert BadInput("region", "x").field == "region"


def test_every_class_has_a_hint():
    for name, _, code in CLASSES:
        codes = (1, 2, 3, 4, 5) if name == "LoginRefused" else (code,)
        texts = [hints.find(name, c) for c in codes]
        assert all(texts), name
        assert len(set(texts)) == len(codes), name


def test_a_hint_of_the_code_goes_before_that_of_the_class():
    general = hints.find("LinkError", 9999)
    assert general and hints.find("LinkError", 111) not in ("", general)
    # The network is not to be looked at when memory has ended.
    assert "memory" in hints.find("LinkError", 12)


def test_without_a_hint_the_text_ends_with_the_reason():
    assert hints.find("IoTHubError", 0) == ""
    assert str(IoTHubError("something", "clock")) == "clock: something"
    assert hints.find("LoginRefused", 77) == ""


def test_hints_are_not_kept_in_memory():
    assert str(_make("QueueFull"))
    assert "iothub.hints" not in sys.modules
    # The package is a second owner of what is imported from it.
    assert "hints" not in iothub.__dict__
    assert str(_make("QueueFull")) == str(_make("QueueFull"))


def test_without_its_hint_an_error_can_be_told():
    class Damaged:
        def __getattr__(self, name):
            raise ValueError("incompatible .mpy file")

    sys.modules["iothub.hints"] = Damaged()  # type: ignore[assignment]
    try:
        assert str(_make("QueueFull")) == "publish: reason"
    finally:
        sys.modules.pop("iothub.hints", None)
