"""What is seldom checked: a device's names and secret, how it connects, what it subscribes to.
Loaded for each such moment and let go of (iothub.loading)."""

import binascii

from iothub.errors import SUBSCRIBE, BadInput
from iothub.topics import MAX_TOPIC_BYTES

# PROTOCOL limits: product id 10, device name 48, device secret 64, product secret 16 to 32.
_MAX_PRODUCT_ID = 10
_MAX_DEVICE_NAME = 48
_MAX_SECRET = 64


def check_identity(product_id, device_name):
    """Raises BadInput unless these are a device's names."""
    _check_name("product_id", product_id, _MAX_PRODUCT_ID)
    _check_name("device_name", device_name, _MAX_DEVICE_NAME)


def _check_name(field, value, longest):
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise BadInput(field, "must be 1 to %d characters" % longest)
    for c in value:
        # Nothing that could change a topic or the MQTT user name the value is part of.
        if not ("0" <= c <= ":" or "A" <= c <= "Z" or "a" <= c <= "z" or c in "-_"):
            raise BadInput(field, "letters, digits, -, _ and : only")


def two_views(text, field):
    """(text, decoded), bytes both, of a secret in base64. Raises BadInput, which does not tell
    it."""
    try:
        if isinstance(text, str):
            text = text.encode()
        if not isinstance(text, bytes) or not 0 < len(text) <= _MAX_SECRET:
            raise BadInput(field, "must be 1 to 64 characters of base64")
        decoded = binascii.a2b_base64(text)
    except ValueError:
        decoded = b""
    # a2b_base64 skips what it does not know, so what it read must be what was written; only
    # the last group may differ, in bits that mean nothing.
    again = binascii.b2a_base64(decoded)[:-1]
    if not decoded or len(again) != len(text) or again[:-4] != text[:-4]:
        raise BadInput(field, "is not base64; copy it whole from the console")
    return text, decoded


def check_connect(profile, keepalive_s, will):
    """See profiles.Plain."""
    if not 0 <= keepalive_s <= profile.max_keepalive_s:
        raise BadInput("keepalive_s", "must be 0 to %d" % profile.max_keepalive_s)
    if will is not None and not profile.will_allowed:
        raise BadInput("will", "the service has no will messages")


def check_subscribe(profile, pattern, qos):
    """See profiles.Plain."""
    profile.check_qos(qos, SUBSCRIBE)
    check_filter(pattern)
    profile.check_length(pattern, SUBSCRIBE)
    prefixes = profile.prefixes
    if prefixes is None or not has_wildcard(pattern):
        return
    if pattern[0] == 36:  # "$"
        if not (pattern.startswith(b"$rrpc/rxd/") and pattern.find(b"+") == len(pattern) - 1):
            raise BadInput("topic", "system topics take no wildcard", SUBSCRIBE)
    elif not any([pattern.startswith(prefix) for prefix in prefixes]):
        raise BadInput("topic", "a wildcard may only follow PID/DN/", SUBSCRIBE)


def check_filter(pattern):
    """Raises BadInput unless `pattern` (bytes) is a legal topic filter."""
    if not 0 < len(pattern) <= MAX_TOPIC_BYTES:
        raise BadInput("topic", "must be 1 to 65535 bytes", SUBSCRIBE)
    if b"\0" in pattern:
        raise BadInput("topic", "NUL is not allowed", SUBSCRIBE)
    if has_wildcard(pattern):
        levels = pattern.split(b"/")
        last = len(levels) - 1
        for i, level in enumerate(levels):
            if b"#" in level and (level != b"#" or i != last):
                raise BadInput("topic", "# must be the whole of the last level", SUBSCRIBE)
            if b"+" in level and level != b"+":
                raise BadInput("topic", "+ must be a whole level", SUBSCRIBE)


def has_wildcard(pattern):
    return b"+" in pattern or b"#" in pattern
