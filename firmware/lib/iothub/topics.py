"""Topic names and filters: the grammar of MQTT 3.1.1 section 4.7, on bytes, and the topic
families of the documents ("Topic 管理", "MQTT 接入"). Names are bytes throughout."""

from iothub.errors import PUBLISH, BadInput

MAX_TOPIC_BYTES = 65535  # what the length field of MQTT can say; services allow less


def encode(name, field="topic"):
    """A topic given as str or bytes, as bytes."""
    if isinstance(name, str):
        return name.encode()
    if not isinstance(name, bytes):
        raise BadInput(field, "must be str or bytes")
    return name


def check_name(name):
    """Raises BadInput unless `name` (bytes) can be published to."""
    if not 0 < len(name) <= MAX_TOPIC_BYTES:
        raise BadInput("topic", "must be 1 to 65535 bytes", PUBLISH)
    if b"\0" in name or b"+" in name or b"#" in name:
        raise BadInput("topic", "no wildcard (+, #) or NUL in a topic to publish to", PUBLISH)


def matches(pattern, buf, start, end):
    """Whether the topic in buf[start:end] matches `pattern`, a legal filter with or without
    wildcards. Allocates nothing, so that it may run for every packet."""
    i = start
    p = 0
    size = len(pattern)
    if buf[start] == 36 and pattern[0] != 36:  # "$..." is matched by no wildcard at level 0
        return False
    while p < size:
        c = pattern[p]
        if c == 35:  # "#"
            return True
        if c == 43:  # "+"
            while i < end and buf[i] != 47:
                i += 1
            p += 1
        elif i < end and buf[i] == c:
            i += 1
            p += 1
        else:
            # "a/#" also matches its parent, "a".
            return i == end and c == 47 and p + 2 == size and pattern[p + 1] == 35
    return i == end
