"""What a service allows beyond MQTT 3.1.1 itself. The engine knows none of these rules; a
profile is asked before anything is sent and raises BadInput naming the field and the rule."""

from iothub import topics
from iothub.errors import PUBLISH, SUBSCRIBE, BadInput

MAX_PACKET_BYTES = 16384  # document "功能组件": MQTT packet at most 16 KB


class Plain:
    """Any MQTT 3.1.1 server: the protocol's own rules only, without QoS 2."""

    max_keepalive_s = 65535
    max_packet_bytes = MAX_PACKET_BYTES
    retain_allowed = True
    will_allowed = True

    def check_connect(self, keepalive_s, will=None):
        if not 0 <= keepalive_s <= self.max_keepalive_s:
            raise BadInput("keepalive_s", "must be 0 to %d" % self.max_keepalive_s)
        if will is not None and not self.will_allowed:
            raise BadInput("will", "the service has no will messages")

    def check_publish(self, topic, qos, retain):
        _check_qos(qos, PUBLISH)
        if retain and not self.retain_allowed:
            raise _bad("retain", "the service keeps no retained messages", PUBLISH)
        topics.check_name(topic)

    def check_subscribe(self, pattern, qos):
        _check_qos(qos, SUBSCRIBE)
        topics.check_filter(pattern)


class IoTHub(Plain):
    """Tencent Cloud IoT Hub: documents "功能组件" and "设备基于 TCP 的 MQTT 接入". `prefixes` are
    those of the topics that are this device's own, and of its sub-devices that are online."""

    max_keepalive_s = 900
    retain_allowed = False
    will_allowed = False
    max_custom_topic_bytes = 64

    def __init__(self, identity):
        self.prefixes = [identity.prefix]

    def check_publish(self, topic, qos, retain):
        super().check_publish(topic, qos, retain)
        self._check_length(topic, PUBLISH)

    def check_subscribe(self, pattern, qos):
        super().check_subscribe(pattern, qos)
        self._check_length(pattern, SUBSCRIBE)
        if topics.has_wildcard(pattern):
            if pattern[0] == 36:  # "$"
                if not (
                    pattern.startswith(b"$rrpc/rxd/") and pattern.find(b"+") == len(pattern) - 1
                ):
                    raise _bad("topic", "system topics take no wildcard", SUBSCRIBE)
            elif self._own_part(pattern) is None:
                raise _bad("topic", "a wildcard may only follow PID/DN/", SUBSCRIBE)

    def _check_length(self, name, phase):
        # System topics and the three defaults exceed 64 bytes with long device names; the cloud
        # made them, so they are exempt (PROTOCOL conflict 14).
        if len(name) > self.max_custom_topic_bytes and name[0] != 36:
            if self._own_part(name) not in (b"event", b"control", b"data"):
                raise _bad("topic", "custom topics are at most 64 bytes", phase)

    def _own_part(self, name):
        """What follows PID/DN/, or None for a topic of another device."""
        for prefix in self.prefixes:
            if name.startswith(prefix):
                return name[len(prefix) :]
        return None


class IoTMQ(Plain):
    """The older IoT MQ service: document "快速入门". Topics are made in its console."""

    retain_allowed = False
    will_allowed = False


def _check_qos(qos, phase):
    if qos not in (0, 1):
        raise _bad("qos", "must be 0 or 1; the service has no QoS 2", phase)


def _bad(field, rule, phase):
    error = BadInput(field, rule)
    error.phase = phase
    return error
