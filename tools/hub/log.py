"""The structured log: JSON lines to a file or stderr, or readable lines in the foreground."""

import json
import logging
from pathlib import Path

from rich.console import Console
from rich.text import Text

_STYLES = {
    "connect": "green",
    "refused": "red",
    "drop": "red",
    "fault": "yellow",
    "disconnect": "yellow",
}


class _JsonLines(logging.Formatter):
    """One object a line: time in ms, level, message, and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"at_ms": int(record.created * 1000), "level": record.levelname.lower()}
        line["message"] = record.getMessage()
        line["device"] = getattr(record, "device", None)
        line |= getattr(record, "detail", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Foreground(logging.Handler):
    """What happens, for a person who watches."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        detail = " ".join(f"{key}={value}" for key, value in getattr(record, "detail", {}).items())
        style = "red" if record.levelno >= logging.ERROR else _STYLES.get(message, "cyan")
        self._console.print(
            Text.assemble(
                (f"{message:<12}", style), f"{getattr(record, 'device', None) or '':<24} ", detail
            ),
            soft_wrap=True,
        )
        if record.exc_info and record.exc_info[1] is not None:
            self._console.print_exception()


def start_log(level: str, file: Path | None, console: Console | None) -> None:
    """Log to `file` as JSON lines, to `console` as text; to stderr as JSON lines with neither."""
    handlers: list[logging.Handler] = []
    if file is not None:
        handlers.append(logging.FileHandler(file, encoding="utf-8"))
    if console is not None:
        handlers.append(_Foreground(console))
    if not handlers:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        if not isinstance(handler, _Foreground):
            handler.setFormatter(_JsonLines())
    logger = logging.getLogger("hub")
    logger.handlers = handlers
    logger.setLevel(level.upper())
    logger.propagate = False
