"""What can go wrong while building the trust anchors, in words a person can act on."""


class TrustError(Exception):
    """The anchors are not as pinned: the text says which, how, and what to do."""

    def __init__(self, what: str, reason: str, hint: str) -> None:
        super().__init__(f"{what}: {reason}\n  {hint}")
