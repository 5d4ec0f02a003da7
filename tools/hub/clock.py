"""The hub's one clock: the computer's, shifted by an offset that a test or a person may set."""

import time


class HubClock:
    """Judges expiries, stamps records, answers `$sys`. A day ahead, it ages sessions by a day."""

    def __init__(self, offset_s: int = 0) -> None:
        self.offset_s = offset_s

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_s * 1000

    def now_s(self) -> int:
        return self.now_ms() // 1000
