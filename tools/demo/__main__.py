"""`make demo`: the firmware at work against the local hub, as a story in chapters."""

import argparse
import asyncio
import sys

from tools.demo.chapters import CHAPTERS
from tools.demo.errors import ChapterFailed
from tools.demo.narrator import Narrator
from tools.demo.story import TRANSPORTS, stage

# Far above what a slow machine needs; a story that hangs ends all the same.
_TIMEOUT_S = 120.0


async def _play(names: list[str], transport: str, narrator: Narrator) -> None:
    async with stage(narrator, transport) as story:
        for number, name in enumerate(names, start=1):
            chapter = CHAPTERS[name]
            narrator.chapter(number, f"{chapter.__doc__} [{name}]")
            await chapter(story)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--chapter", choices=CHAPTERS, help="play only this one (make demo CHAPTER=...)"
    )
    parser.add_argument(
        "--transport", choices=TRANSPORTS, default="tcp", help="how the device connects"
    )
    arguments = parser.parse_args()
    chosen = arguments.chapter
    narrator = Narrator()
    failure: str | None = None
    try:
        names = [chosen] if chosen else list(CHAPTERS)
        play = _play(names, arguments.transport, narrator)
        asyncio.run(asyncio.wait_for(play, _TIMEOUT_S))
    except ChapterFailed as e:
        failure = str(e)
    except TimeoutError:
        failure = f"not finished after {_TIMEOUT_S:.0f} s"
    narrator.end(failure)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
