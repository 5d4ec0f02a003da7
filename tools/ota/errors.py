"""What can go wrong when an update is made, in words a person can act on."""


class OtaError(Exception):
    """The text says what happened, and what to do."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(f"{reason}\n  {hint}")
        self.reason = reason
        self.hint = hint
