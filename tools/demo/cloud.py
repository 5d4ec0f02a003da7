"""What the hub recorded, read as any application would: over its loopback API."""

import json
from typing import Any

import aiohttp

from tools.demo.errors import ChapterFailed

_TIMEOUT = aiohttp.ClientTimeout(total=5)


class Cloud:
    """`async with Cloud(api_port) as cloud:`; JSON objects come back as the API gives them."""

    def __init__(self, api_port: int) -> None:
        self._base = f"http://127.0.0.1:{api_port}"

    async def __aenter__(self) -> "Cloud":
        self._http = aiohttp.ClientSession(self._base, timeout=_TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def get(self, path: str) -> dict[str, Any]:
        return await self._ask("GET", path)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._ask("POST", path, json=body)

    async def upload(self, path: str, content: bytes) -> dict[str, Any]:
        return await self._ask("PUT", path, data=content)

    async def events(self, device: str | None, kind: str) -> list[dict[str, Any]]:
        """What happened to a device ("PID/DN"), or to nobody known, oldest first."""
        query = {"kind": kind} if device is None else {"device": device, "kind": kind}
        answer = await self._ask("GET", "/events", params=query)
        return answer["events"]

    async def messages(self, device: str) -> list[dict[str, Any]]:
        """What a device published to its `event` topic, oldest first; `fields` is the payload,
        None where that is no JSON."""
        answer = await self._ask("GET", "/messages", params={"topic": f"{device}/event"})
        messages: list[dict[str, Any]] = answer["messages"]
        for message in messages:
            try:
                message["fields"] = json.loads(message.get("payload", ""))
            except ValueError:
                message["fields"] = None
        return messages

    async def now_ms(self) -> int:
        return (await self._ask("GET", "/health"))["now_ms"]

    async def _ask(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        async with self._http.request(method, path, **kwargs) as response:
            answer: dict[str, Any] = await response.json()
            if response.status >= 400:
                raise ChapterFailed(f"the hub refused {method} {path}: {answer['error']}")
            return answer
