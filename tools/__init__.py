"""What `make` runs. Ctrl-C ends each command with one line: where it was is nobody's business."""

import sys
from types import TracebackType


def _told(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("stopped by Ctrl-C", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


# Here rather than in each: it holds for the moments in which a command's modules load, too. Who
# has a hook of its own (a debugger, pytest) keeps it.
if sys.excepthook is sys.__excepthook__:
    sys.excepthook = _told
