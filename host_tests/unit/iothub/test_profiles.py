from iothub.credentials import Identity
from iothub.errors import BadInput
from iothub.iotmq_profile import IoTMQ
from iothub.profiles import IoTHub, Plain

from host_tests.unit.iothub.expect import raises

IDENTITY = Identity("PRODUCTID1", "dev01")
LONGEST = Identity("PRODUCTID1", "d" * 48)
WILL = (b"t", b"gone", 1, False)

# profile, keepalives it takes, keepalives it refuses
KEEPALIVES = (
    (IoTHub(IDENTITY), (0, 1, 240, 900), (-1, 901, 65535)),
    (IoTMQ(), (0, 65535), (-1, 65536)),
    (Plain(), (0, 65535), (-1, 65536)),
)
# filter, whether IoT Hub takes it
HUB_FILTERS = (
    (b"PRODUCTID1/dev01/control", True),
    (b"PRODUCTID1/dev01/#", True),
    (b"PRODUCTID1/dev01/+", True),
    (b"PRODUCTID1/dev01/event/+/x/+", True),
    (b"$rrpc/rxd/PRODUCTID1/dev01/+", True),
    (b"$sys/operation/result/PRODUCTID1/dev01", True),
    (b"PRODUCTID1/+/control", False),
    (b"PRODUCTID1/#", False),
    (b"#", False),
    (b"+/dev01/control", False),
    (b"PRODUCTID1/dev02/+", False),
    (b"$rrpc/rxd/PRODUCTID1/+/+", False),
    (b"$rrpc/rxd/PRODUCTID1/dev01/#", False),
    (b"$sys/operation/result/+", False),
    (b"$shadow/#", False),
    (b"PRODUCTID1/dev01/a#", False),
)


def test_keepalive():
    for profile, good, bad in KEEPALIVES:
        for keepalive_s in good:
            profile.check_connect(keepalive_s)
        for keepalive_s in bad:
            error = raises(BadInput, profile.check_connect, keepalive_s)
            assert error.field == "keepalive_s", keepalive_s


def test_only_plain_servers_take_a_will_or_retain():
    Plain().check_connect(60, WILL)
    Plain().check_publish(b"t", 1, True)
    for profile in (IoTHub(IDENTITY), IoTMQ()):
        assert raises(BadInput, profile.check_connect, 60, WILL).field == "will"
        error = raises(BadInput, profile.check_publish, b"t", 1, True)
        assert (error.field, error.phase) == ("retain", "publish")


def test_qos_2_is_refused_everywhere():
    for profile in (IoTHub(IDENTITY), IoTMQ(), Plain()):
        for qos in (0, 1):
            profile.check_publish(b"t", qos, False)
            profile.check_subscribe(b"t", qos)
        for qos in (2, 3, -1, None):
            error = raises(BadInput, profile.check_publish, b"t", qos, False)
            assert (error.field, error.phase) == ("qos", "publish")
            error = raises(BadInput, profile.check_subscribe, b"t", qos)
            assert (error.field, error.phase) == ("qos", "subscribe")


def test_illegal_topics_are_refused_everywhere():
    for profile in (IoTHub(IDENTITY), IoTMQ(), Plain()):
        assert raises(BadInput, profile.check_publish, b"a/+", 0, False).field == "topic"
        assert raises(BadInput, profile.check_subscribe, b"a/#/b", 0).field == "topic"
        assert raises(BadInput, profile.check_publish, b"", 0, False).field == "topic"
        assert raises(BadInput, profile.check_subscribe, b"", 0).field == "topic"


def test_custom_topics_of_the_hub_have_64_bytes_at_most():
    profile = IoTHub(IDENTITY)
    longest = b"PRODUCTID1/dev01/" + b"x" * 47
    profile.check_publish(longest, 1, False)
    profile.check_subscribe(longest, 1)
    error = raises(BadInput, profile.check_publish, longest + b"x", 1, False)
    assert (error.field, error.phase) == ("topic", "publish") and "64" in error.reason
    error = raises(BadInput, profile.check_subscribe, longest + b"x", 1)
    assert (error.field, error.phase) == ("topic", "subscribe")
    Plain().check_publish(b"x" * 500, 1, False)


def test_topics_the_cloud_made_may_be_longer():
    profile = IoTHub(LONGEST)
    for name in (b"event", b"control", b"data"):
        profile.check_publish(LONGEST.prefix + name, 1, False)
        profile.check_subscribe(LONGEST.prefix + name, 1)
    assert len(LONGEST.prefix + b"control") == 67
    for family in (b"$gateway/operation/result", b"$shadow/operation/result"):
        profile.check_subscribe(LONGEST.system_topic(family), 1)
    assert raises(BadInput, profile.check_publish, LONGEST.prefix + b"other", 1, False)
    # Another device's default topic is not this device's.
    assert raises(BadInput, profile.check_publish, b"X" + LONGEST.prefix + b"event", 1, False)


def test_wildcards_of_the_hub_follow_the_device_name():
    profile = IoTHub(IDENTITY)
    for pattern, allowed in HUB_FILTERS:
        if allowed:
            profile.check_subscribe(pattern, 1)
        else:
            error = raises(BadInput, profile.check_subscribe, pattern, 1)
            assert (error.field, error.phase) == ("topic", "subscribe"), pattern
    Plain().check_subscribe(b"#", 1)


def test_topics_of_sub_devices_count_as_own_while_they_are_online():
    profile = IoTHub(IDENTITY)
    sub_device = Identity("SUBPRODUCT", "s" * 48)
    assert raises(BadInput, profile.check_subscribe, b"SUBPRODUCT/x/+", 1)
    profile.prefixes.append(sub_device.prefix)
    profile.check_subscribe(sub_device.prefix + b"control", 1)
    profile.check_publish(sub_device.prefix + b"event", 1, False)
    profile.check_subscribe(b"$rrpc/rxd/SUBPRODUCT/x/+", 0)
    assert raises(BadInput, profile.check_publish, sub_device.prefix + b"other", 1, False)
    profile.prefixes.append(b"SUBPRODUCT/x/")
    profile.check_subscribe(b"SUBPRODUCT/x/+", 1)
    profile.prefixes.remove(b"SUBPRODUCT/x/")
    assert "follow" in raises(BadInput, profile.check_subscribe, b"SUBPRODUCT/x/+", 1).reason


def test_packets_have_16_kib_at_most():
    for profile in (IoTHub(IDENTITY), IoTMQ(), Plain()):
        assert profile.max_packet_bytes == 16384
