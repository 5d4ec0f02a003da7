import iothub
from iothub import compat, errors

from host_tests.unit.iothub.expect import raises


def test_names_load_on_first_use():
    for name in ("IoTHubError", "BadInput", "LoginRefused", "LinkError"):
        assert getattr(iothub, name) is getattr(errors, name)


def test_an_unknown_name_is_an_attribute_error():
    error = raises(AttributeError, getattr, iothub, "Gadget")
    assert "Gadget" in str(error)


def test_constants_are_their_values():
    assert compat.const(5) == 5
