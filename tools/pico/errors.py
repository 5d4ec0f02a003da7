"""What can go wrong with the emulated board."""


class EmulatorError(Exception):
    """The emulator could not start, ended, or did not answer; says in which phase."""


class BoardError(Exception):
    """The program on the board ended with an exception. `output` is what it had printed."""

    def __init__(self, traceback: str, output: bytes) -> None:
        super().__init__(traceback.strip())
        self.output = output
