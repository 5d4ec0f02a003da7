from iothub import rules, topics
from iothub.errors import BadInput

from host_tests.unit.iothub.expect import raises

LEGAL_FILTERS = (
    b"a", b"#", b"+", b"/", b"//", b"a/#", b"+/#", b"a/+/b", b"/+", b"+/", b"+/+", b"$sys/#",
    b"a b", b"\xe6\xb8\xa9", b"x" * 65535,
)  # fmt: skip
ILLEGAL_FILTERS = (
    b"", b"a#", b"a/#/b", b"#/", b"##", b"a+", b"+a/b", b"a/b+/c", b"a/++", b"a\0b", b"\0",
    b"x" * 65536, b"#a", b"a/#b",
)  # fmt: skip
LEGAL_NAMES = (b"a", b"/", b"a/b", b"$sys/operation", b" ", b"\xe6\xb8\xa9", b"x" * 65535)
ILLEGAL_NAMES = (b"", b"+", b"#", b"a/+/b", b"a/#", b"a+b", b"a\0", b"x" * 65536)

# filter, topic, whether it matches: MQTT 3.1.1 section 4.7, its examples and the corners
MATCHES = (
    (b"sport/tennis/player1/#", b"sport/tennis/player1", True),
    (b"sport/tennis/player1/#", b"sport/tennis/player1/ranking", True),
    (b"sport/tennis/player1/#", b"sport/tennis/player1/score/wimbledon", True),
    (b"sport/tennis/player1/#", b"sport/tennis/player2", False),
    (b"sport/#", b"sport", True),
    (b"sport/#", b"sports", False),
    (b"#", b"a", True),
    (b"#", b"/", True),
    (b"sport/tennis/+", b"sport/tennis/player1", True),
    (b"sport/tennis/+", b"sport/tennis/player1/ranking", False),
    (b"sport/+", b"sport", False),
    (b"sport/+", b"sport/", True),
    (b"+", b"sport", True),
    (b"+", b"/finance", False),
    (b"+/+", b"/finance", True),
    (b"/+", b"/finance", True),
    (b"+/tennis/#", b"sport/tennis", True),
    (b"+/tennis/#", b"sport/tennis/a/b", True),
    (b"+/#", b"sport", True),
    (b"#", b"$SYS/uptime", False),
    (b"+/monitor/Clients", b"$SYS/monitor/Clients", False),
    (b"$SYS/#", b"$SYS/", True),
    (b"$SYS/#", b"$SYS", True),
    (b"$SYS/monitor/+", b"$SYS/monitor/Clients", True),
    (b"a/b", b"a/b", True),
    (b"a/b", b"a/b/", False),
    (b"a/b/", b"a/b", False),
    (b"a/b", b"a/c", False),
    (b"a", b"A", False),
    (b"a/+/c", b"a//c", True),
    (b"a/+/c", b"a/b/d", False),
    (b"a/+/c", b"a/b", False),
    (b"ab", b"a", False),
    (b"a", b"ab", False),
    (b"+/b", b"a/bc", False),
    (b"\xe6\xb8\xa9/+", b"\xe6\xb8\xa9/\xe5\xba\xa6", True),
)


def _reference_match(pattern, topic):
    """Section 4.7 once more, level by level and recursively: a second opinion."""
    if topic[:1] == b"$" and pattern[:1] in (b"+", b"#"):
        return False

    def walk(wanted, given):
        if wanted == [b"#"]:
            return True
        if not wanted or not given:
            return not wanted and not given
        return wanted[0] in (b"+", given[0]) and walk(wanted[1:], given[1:])

    wanted = pattern.split(b"/")
    given = topic.split(b"/")
    return walk(wanted, given) or (
        wanted[-1] == b"#" and len(wanted) > 1 and walk(wanted[:-1], given)
    )


def _sequences(alphabet, longest):
    """All byte strings of 1 to `longest` letters."""
    found = [b""]
    start = 0
    for _ in range(longest):
        stop = len(found)
        for i in range(start, stop):
            for letter in alphabet:
                found.append(found[i] + letter)
        start = stop
    return found[1:]


def test_text_and_bytes_become_bytes():
    assert topics.encode("a/温") == "a/温".encode()
    given = b"a/b"
    assert topics.encode(given) is given


def test_other_types_are_refused_by_the_field_name():
    for value in (None, 5, bytearray(b"a"), ["a"]):
        assert raises(BadInput, topics.encode, value).field == "topic"
    assert raises(BadInput, topics.encode, None, "host").field == "host"


def test_legal_names_pass():
    for name in LEGAL_NAMES:
        topics.check_name(name)


def test_illegal_names_are_refused():
    for name in ILLEGAL_NAMES:
        error = raises(BadInput, topics.check_name, name)
        assert (error.field, error.phase) == ("topic", "publish"), name[:10]


def test_legal_filters_pass():
    for pattern in LEGAL_FILTERS:
        rules.check_filter(pattern)


def test_illegal_filters_are_refused():
    for pattern in ILLEGAL_FILTERS:
        error = raises(BadInput, rules.check_filter, pattern)
        assert (error.field, error.phase) == ("topic", "subscribe"), pattern[:10]


def test_wildcards_are_seen():
    for pattern, expected in ((b"a/b", False), (b"a/+", True), (b"#", True), (b"$a", False)):
        assert rules.has_wildcard(pattern) == expected, pattern


def test_matches_as_the_standard_says():
    for pattern, topic, expected in MATCHES:
        assert topics.matches(pattern, topic, 0, len(topic)) == expected, (pattern, topic)
        assert _reference_match(pattern, topic) == expected, (pattern, topic)


def test_matches_within_a_buffer_ignores_what_is_around():
    for pattern, topic, expected in MATCHES:
        buf = bytearray(b"/#+x" + topic + b"/b#")
        assert topics.matches(pattern, buf, 4, 4 + len(topic)) == expected, (pattern, topic)


def test_matches_agrees_with_a_second_opinion_on_every_short_pair():
    compared = 0
    names = _sequences((b"a", b"$", b"/"), 4)
    for pattern in _sequences((b"a", b"$", b"/", b"+", b"#"), 4):
        try:
            rules.check_filter(pattern)
        except BadInput:
            continue
        for topic in names:
            found = topics.matches(pattern, topic, 0, len(topic))
            assert found == _reference_match(pattern, topic), (pattern, topic)
            compared += 1
    assert compared > 20000, compared
