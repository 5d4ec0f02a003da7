"""Compares a new report with a committed one: what grew, what is new, what is gone."""

GROWTH_LIMIT = 1.05
# Which of its names collide in MicroPython's tables is another matter after each change, and with
# it how long a name takes to be found.
TIME_GROWTH_LIMIT = 1.3
TIMES = ("time (µs)", "times")
# When the network brings what differs between two runs, and so what is held at the same time.
PEAKS = ("peak (bytes)", "kept (bytes)")
PEAK_SLACK_BYTES = 512
# A new name in one file may have longer ones chosen in others: that much is no growth. Heap goes
# by blocks of 16 bytes.
SLACK_BYTES = 48


def read_figures(markdown: str) -> dict[tuple[str, str, str], float]:
    """Returns the figures of a report by (section, row, column); other cells are left out."""
    figures = {}
    section = ""
    columns: list[str] | None = None
    for line in markdown.splitlines():
        if line.startswith("## "):
            section, columns = line[3:], None
        elif line.startswith("|---"):
            continue
        elif line.startswith("| "):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if columns is None:
                columns = cells
                continue
            for column, cell in zip(columns[1:], cells[1:], strict=True):
                if _is_number(cell):
                    figures[section, cells[0], column] = float(cell)
    return figures


def differences(committed: str, measured: str) -> list[str]:
    """Returns a sentence for each figure that grew by more than 5 % (30 % where it is time), came,
    or went."""
    before = read_figures(committed)
    now = read_figures(measured)
    if not before:
        return ["the committed report has no figures"]
    found = []
    for key, value in now.items():
        where = ", ".join(key)
        if key not in before:
            found.append(f"{where}: {value:g} is not in the committed report")
        elif value > _most(before[key], key):
            found.append(f"{where}: grew from {before[key]:g} to {value:g}")
    found += [f"{', '.join(key)}: is no longer measured" for key in before if key not in now]
    return found


def _most(before: float, key: tuple[str, str, str]) -> float:
    _, _, column = key
    if column in TIMES:
        return before * TIME_GROWTH_LIMIT
    slack = SLACK_BYTES
    if column in PEAKS:
        slack = PEAK_SLACK_BYTES
    elif column == "allocated (bytes)":
        slack = 0
    return max(before * GROWTH_LIMIT, before + slack)


def _is_number(cell: str) -> bool:
    return cell.removeprefix("-").replace(".", "", 1).isdecimal()
