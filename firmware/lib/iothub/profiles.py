"""What a service allows beyond MQTT 3.1.1 itself. The engine knows none of these rules; a
profile is asked before anything is sent and raises BadInput naming the field and the rule. What
is seldom asked is in rules.py."""

from iothub import topics
from iothub.errors import PUBLISH, BadInput
from iothub.loading import for_now

MAX_PACKET_BYTES = 16384  # document "功能组件": MQTT packet at most 16 KB


class Plain:
    """Any MQTT 3.1.1 server: the protocol's own rules only, without QoS 2. `prefixes`: those of
    the topics that are this device's own, where only those take wildcards; else None."""

    max_keepalive_s = 65535
    max_packet_bytes = MAX_PACKET_BYTES
    max_custom_topic_bytes = topics.MAX_TOPIC_BYTES
    retain_allowed = True
    will_allowed = True
    prefixes: list = None

    def check_connect(self, keepalive_s, will=None):
        for_now("iothub.rules").check_connect(self, keepalive_s, will)

    def check_subscribe(self, pattern, qos):
        for_now("iothub.rules").check_subscribe(self, pattern, qos)

    def check_publish(self, topic, qos, retain):
        self.check_qos(qos, PUBLISH)
        if retain and not self.retain_allowed:
            raise BadInput("retain", "the service keeps no retained messages", PUBLISH)
        topics.check_name(topic)
        self.check_length(topic, PUBLISH)

    def check_qos(self, qos, phase):
        if qos not in (0, 1):
            raise BadInput("qos", "must be 0 or 1; the service has no QoS 2", phase)

    def check_length(self, name, phase):
        # System topics and the three defaults exceed 64 bytes with long device names; the cloud
        # made them, so they are exempt (PROTOCOL conflict 14).
        if len(name) > self.max_custom_topic_bytes and name[0] != 36:
            for prefix in self.prefixes:
                if name in (prefix + b"event", prefix + b"control", prefix + b"data"):
                    return
            raise BadInput("topic", "custom topics are at most 64 bytes", phase)


class IoTHub(Plain):
    """Tencent Cloud IoT Hub: documents "功能组件" and "设备基于 TCP 的 MQTT 接入". `prefixes` are
    those of this device, and of its sub-devices that are online."""

    max_keepalive_s = 900
    retain_allowed = False
    will_allowed = False
    max_custom_topic_bytes = 64

    def __init__(self, identity):
        self.prefixes = [identity.prefix]
