"""The numbers with which services refuse (`ServiceRefused.code`), by name. Nothing in the library
loads this module on a board: the numbers are written where they are used, when it is compiled."""

from iothub.compat import const

# Shadow: document "设备影子", its table of errors.
SHADOW_INCOMPLETE = const(5000)
SHADOW_MISSING = const(5001)
SHADOW_BAD_PARAMETER = const(5004)
SHADOW_VERSION_MISMATCH = const(5005)
SHADOW_DATABASE = const(5007)
SHADOW_VERSION_CONFLICT = const(5008)
SHADOW_BAD_TOPIC = const(5009)
SHADOW_UPDATE_FAILED = const(5010)
SHADOW_TOO_LARGE = const(5011)
SHADOW_INTERNAL = const(5100)
# Gateway: documents "拓扑关系管理" and "代理子设备上下线".
GATEWAY_NOT_BOUND = const(-1)
GATEWAY_SYSTEM = const(-2)
GATEWAY_BAD_PARAMETER = const(801)
GATEWAY_UNKNOWN_DEVICE = const(802)
GATEWAY_BAD_SIGNATURE = const(803)
GATEWAY_BAD_ALGORITHM = const(804)
GATEWAY_EXPIRED = const(805)
GATEWAY_BOUND_ELSEWHERE = const(806)
GATEWAY_NOT_NORMAL_DEVICE = const(807)
GATEWAY_NOT_ALLOWED = const(808)
GATEWAY_BOUND_ALREADY = const(809)
GATEWAY_UNSUPPORTED_DEVICE = const(810)
# Remote configuration: the vendor's C SDK.
CONFIG_DISABLED = const(1001)
