"""What can go wrong with a board, in words a person can act on."""


class BoardError(Exception):
    """The text says in which phase, what happened, and what to do."""

    def __init__(self, phase: str, reason: str, hint: str) -> None:
        super().__init__(f"{phase}: {reason}\n  {hint}")
        self.phase = phase
        self.reason = reason
        self.hint = hint
