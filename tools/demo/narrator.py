"""Tells the story: what is happening, what the device says, what was compared."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
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

    @contextlib.contextmanager
    def bar(self, what: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        """Gives a function that is told how many bytes there are so far. Shown in a terminal
        only."""
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(
            TextColumn("   {task.description}"),
            *columns,
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        ) as progress:
            task = progress.add_task(what, total=total_bytes)
            yield lambda so_far: progress.update(task, completed=so_far)

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
