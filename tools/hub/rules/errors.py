"""What can be wrong with a rule."""


class RuleError(Exception):
    """A rule that makes no sense, or is one too many. `code` is the hub's API's word for why."""

    def __init__(self, message: str, code: str = "invalid") -> None:
        super().__init__(message)
        self.code = code
