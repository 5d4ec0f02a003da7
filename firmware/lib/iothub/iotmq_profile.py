"""The rules of the older IoT MQ service: document "快速入门". Topics are made in its console."""

from iothub.profiles import Plain


class IoTMQ(Plain):
    retain_allowed = False
    will_allowed = False
