IDLE: int
DOWNLOADING: int
BURNING: int
DONE: int
FAIL: int

class Ota:
    state: int
    version: str | None
    urls: int
    def report_version(self) -> None: ...
    @property
    def percent(self) -> int: ...
