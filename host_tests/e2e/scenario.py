"""How asynchronous tests are run: to their end, or to a deadline."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


def run(scenario: Callable[[], Coroutine[Any, Any, None]], deadline_s: float = 30.0) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(deadline_s):
            await scenario()

    asyncio.run(bounded())


async def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Polls; for what nobody tells us about."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)
