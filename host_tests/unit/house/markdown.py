"""Reads what the papers' checks need out of Markdown."""

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EDGE = re.compile(r"^\s*(\S+) --> (\w+): (.+)$", re.MULTILINE)
_CELL_BORDER = re.compile(r"(?<!\\)\|")

Table = list[list[str]]
Edge = tuple[str, str, str]  # from, to, label


@dataclass(frozen=True)
class Paper:
    """One Markdown file. `prose` is its text without the fenced blocks."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def prose(self) -> str:
        return _FENCE.sub("", self.text)

    @property
    def headings(self) -> list[tuple[int, str]]:
        """(level, title), in order."""
        found = re.findall(r"^(#+) (.+)$", self.prose, re.MULTILINE)
        return [(len(marks), title) for marks, title in found]

    @property
    def anchors(self) -> set[str]:
        """What a link may name after "#": the headings as they are shown on the web."""
        plain = (re.sub(r"[^\w\- ]", "", title.lower()) for _, title in self.headings)
        return {title.replace(" ", "-") for title in plain}

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """(language, content) of the fenced blocks, in order."""
        return _FENCE.findall(self.text)

    def block(self, language: str) -> str:
        """The only block in a language."""
        (content,) = [content for found, content in self.blocks if found == language]
        return content

    @property
    def code(self) -> list[str]:
        """Everything set as code: blocks and spans."""
        return [content for _, content in self.blocks] + re.findall(r"`([^`\n]+)`", self.prose)

    @property
    def links(self) -> list[str]:
        return re.findall(r"\]\(([^)\s]+)\)", self.prose)

    @property
    def tables(self) -> list[Table]:
        """Rows of cells, the header first, without the line of dashes."""
        tables: list[Table] = []
        inside = False
        for line in self.prose.splitlines():
            if not line.startswith("|"):
                inside = False
                continue
            if not inside:
                tables.append([])
                inside = True
            if not re.fullmatch(r"[|:\- ]+", line):
                cells = _CELL_BORDER.split(line.strip().strip("|"))
                tables[-1].append([cell.strip() for cell in cells])
        return tables

    def table(self, header: str) -> Table:
        """The rows, without the header, of the only table whose first column is `header`."""
        (found,) = [table for table in self.tables if table[0][0] == header]
        return found[1:]

    def diagram(self, title: str) -> set[Edge]:
        """The edges of the state diagram with this title; the start mark is left out."""
        (source,) = [
            content
            for language, content in self.blocks
            if language == "mermaid" and f"\ntitle: {title}\n" in content
        ]
        return set(_EDGE.findall(source))


def unquoted(cell: str) -> str:
    """A cell that holds one piece of code."""
    return cell.strip("`")
