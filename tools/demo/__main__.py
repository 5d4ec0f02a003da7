"""`make demo`: the firmware at work against the local hub, as a story in chapters."""

import argparse
import asyncio
import sys

from tools.demo.chapters import CHAPTERS
from tools.demo.errors import ChapterFailed
from tools.demo.narrator import Narrator
from tools.demo.services import SERVICES
from tools.demo.story import TRANSPORTS, stage
from tools.demo.update import update

# Far above what a slow machine needs; a story that hangs ends all the same.
_TIMEOUT_S = 300.0
_ALL = "all"
EVERY_CHAPTER = {**CHAPTERS, **SERVICES, update.__name__: update}


async def _play(names: list[str], transport: str, narrator: Narrator) -> None:
    async with stage(narrator, transport) as story:
        for number, name in enumerate(names, start=1):
            chapter = EVERY_CHAPTER[name]
            narrator.chapter(number, f"{chapter.__doc__} [{name}]")
            await chapter(story)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--chapter",
        choices=[_ALL, *EVERY_CHAPTER],
        help="play this one (make demo CHAPTER=...), or all, those of the services too",
    )
    parser.add_argument(
        "--transport", choices=TRANSPORTS, default="tcp", help="how the device connects"
    )
    arguments = parser.parse_args()
    chosen = arguments.chapter
    narrator = Narrator()
    failure: str | None = None
    try:
        names = list(CHAPTERS)
        if chosen:
            names = list(EVERY_CHAPTER) if chosen == _ALL else [chosen]
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
