"""Forwarding by HTTP, as the vendor describes it (document 634/14448).

With a token, the headers Signature, Timestamp and Nonce say who sends: the SHA-1, in hex, of
token, timestamp and nonce, sorted and joined. Before a rule is enabled its server is asked by GET,
and has to give back the header Echostr.
"""

import asyncio
import hashlib
import logging
import secrets
import ssl
import string
from collections.abc import Callable
from typing import NamedTuple

import aiohttp

from tools.hub.clock import HubClock
from tools.hub.rules.actions import Forward
from tools.hub.rules.errors import RuleError

MAX_WAITING = 1000
MAX_ANSWER_BYTES = 4096
MAX_TRIES = 3
WORKERS = 4
TIMEOUT_S = 5
RETRY_AFTER_S = (0.5, 2.0)
_NONCE_CHARS = 16
_ALPHABET = string.ascii_letters + string.digits
_log = logging.getLogger("hub")

# Told how a forwarding ended: None when it was taken, or why not.
Ended = Callable[[str | None], None]


class _Waiting(NamedTuple):
    action: Forward
    body: bytes
    ended: Ended


class Forwarding:
    """A bounded queue and a few workers; nobody waits for them."""

    def __init__(self, clock: HubClock, authority_pem: bytes) -> None:
        """A server may also show a certificate of the hub's own authority."""
        self._clock = clock
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(MAX_WAITING)
        self._tls = ssl.create_default_context()
        self._tls.load_verify_locations(cadata=authority_pem.decode())
        self._workers: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def stop(self) -> None:
        """What waits is given up."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def put(self, action: Forward, body: bytes, ended: Ended) -> None:
        """Send later. Raises RuleError when too much waits already."""
        try:
            self._queue.put_nowait(_Waiting(action, body, ended))
        except asyncio.QueueFull:
            raise RuleError(f"{MAX_WAITING} messages wait to be forwarded already") from None
        while len(self._workers) < WORKERS:
            self._workers.append(asyncio.get_running_loop().create_task(self._work()))

    async def check(self, action: Forward) -> None:
        """Ask the server whether it is the one. Raises RuleError."""
        echo = _chosen()
        headers = self._signed(action) | {"Echostr": echo}
        try:
            async with self._open().get(
                action.url, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status in range(300, 400):
                    raise RuleError(f"{action.url} redirects, which is not followed", "redirect")
                content = await answer.content.read(MAX_ANSWER_BYTES)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise RuleError(f"{action.url}: {_explained(error)}", "unreachable") from None
        if action.token and (answer.status != 200 or content.strip() != echo.encode()):
            raise RuleError(
                f"{action.url} answered GET with status {answer.status} and not with the header "
                "Echostr; it has to, to show that it expects the hub",
                "unreachable",
            )

    async def _work(self) -> None:
        while True:
            waiting = await self._queue.get()
            try:
                waiting.ended(await self._send(waiting))
            except Exception:
                _log.exception("forwarding failed")

    async def _send(self, waiting: _Waiting) -> str | None:
        """Why it was not taken, after some tries."""
        failure = None
        for number in range(MAX_TRIES):
            if number:
                await asyncio.sleep(RETRY_AFTER_S[number - 1])
            failure = await self._post(waiting)
            if failure is None:
                break
        return failure

    async def _post(self, waiting: _Waiting) -> str | None:
        headers = self._signed(waiting.action) | {"Content-Type": "application/json"}
        try:
            async with self._open().post(
                waiting.action.url, data=waiting.body, headers=headers, allow_redirects=False
            ) as answer:
                return None if answer.status == 200 else f"status {answer.status}"
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return _explained(error)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=WORKERS + 1),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _signed(self, action: Forward) -> dict[str, str]:
        if not action.token:
            return {}
        timestamp, nonce = str(self._clock.now_s()), _chosen()
        return {
            "Signature": sign(action.token, timestamp, nonce),
            "Timestamp": timestamp,
            "Nonce": nonce,
        }


def sign(token: str, timestamp: str, nonce: str) -> str:
    return hashlib.sha1("".join(sorted((token, timestamp, nonce))).encode()).hexdigest()


def _chosen() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_NONCE_CHARS))


def _explained(error: Exception) -> str:
    return f"no answer within {TIMEOUT_S} s" if isinstance(error, TimeoutError) else str(error)
