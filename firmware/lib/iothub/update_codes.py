"""`result_code` of an update that failed, as the document "设备固件升级" numbers them."""

from iothub.compat import const

TIMED_OUT = const(-1)
MISSING = const(-2)
EXPIRED = const(-3)
WRONG_MD5 = const(-4)
NOT_UPDATED = const(-5)
