"""The login of the older IoT MQ, signed with a secret's *text*. Apart from signing.py, so that a
device of IoT Hub does not carry it; loaded for that moment (net/iotmq.py)."""

import binascii

from iothub.loading import for_now


def iotmq_password(secret_key, app_id, instance_id):
    """Password (bytes) of the older IoT MQ service; document "客户端签名计算". All str."""
    message = "Appid=%s&Instanceid=%s&Action=Connect" % (app_id, instance_id)
    hmac_sha256 = for_now("iothub.signing").hmac_sha256
    return binascii.b2a_base64(hmac_sha256(secret_key.encode(), message.encode()))[:-1]
