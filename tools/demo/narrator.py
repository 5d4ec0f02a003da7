"""Tells the story: what is happening, what the device says, what was compared."""

import time

from rich.console import Console
from rich.text import Text


class Narrator:
    """Plain lines in a pipe, colours in a terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._started_s = time.monotonic()

    def chapter(self, number: int, title: str) -> None:
        self._print(f"\n{number}. {title}", "bold")

    def tell(self, text: str) -> None:
        self._print(f"   {text}")

    def device(self, line: str, name: str = "device") -> None:
        self._print(f"   {name} | {line}", "cyan")

    def agree(self, text: str) -> None:
        """Hub and device were compared, and say the same."""
        self._print(f"   ✓ {text}", "green")

    def end(self, failure: str | None) -> None:
        seconds = time.monotonic() - self._started_s
        if failure is None:
            self._print(f"\ndemo: ok ({seconds:.1f} s)", "bold green")
        else:
            self._print(f"\ndemo: failed: {failure}", "bold red")

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style))
