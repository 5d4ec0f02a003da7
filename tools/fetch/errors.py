"""What can go wrong while fetching, in words a person can act on."""


class FetchError(Exception):
    """A part could not be brought: its text says what, in which phase, and what to do."""

    def __init__(self, part: str, phase: str, reason: str, hint: str) -> None:
        super().__init__(f"{part}: {phase}: {reason}\n  {hint}")
        self.part = part
        self.phase = phase
        self.reason = reason
        self.hint = hint
