from collections.abc import Callable

ONLINE_AGAIN: int
SESSION_LOST: int
OVERSIZE: int
STRAY_ACK: int
FILTER_REFUSED: int
FILTER_GRANTED: int

class Subscription:
    pattern: bytes
    qos: int
    handler: Callable[[bytes, bytes], object]
    takes_view: bool
    granted: int | None
    wildcard: bool
