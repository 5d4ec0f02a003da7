"""The other side of the broker: an application that hears and sends, with paho-mqtt."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

_TIMEOUT_S = 15.0


class Message(NamedTuple):
    topic: str
    payload: bytes


class Application:
    """`async with Application(port, "up/#") as app:` is subscribed with QoS 1 when it begins.
    `messages` are all it heard; `on_message`, if set, hears each at once."""

    def __init__(
        self,
        port: int,
        *filters: str,
        host: str = "127.0.0.1",
        login: tuple[str, str] | None = None,
    ) -> None:
        self.messages: list[Message] = []
        self.on_message: Callable[[Message], None] | None = None
        self._address = host, port
        self._filters = filters
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        if login:
            self._client.username_pw_set(*login)
        self._client.max_inflight_messages_set(1000)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._call(self._subscribed.set)
        self._client.on_message = self._heard
        self._client.on_publish = lambda *_: self._call(self._published)
        self._unacknowledged = 0

    def _call(self, function: Any, *args: Any) -> None:
        self._loop.call_soon_threadsafe(function, *args)

    def _connected(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _: Any
    ) -> None:
        if not reason.is_failure:
            if self._filters:
                client.subscribe([(pattern, 1) for pattern in self._filters])
            else:
                self._call(self._subscribed.set)

    def _heard(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._call(self._took, Message(message.topic, bytes(message.payload)))

    def _took(self, message: Message) -> None:
        self.messages.append(message)
        self._news.set()
        if self.on_message is not None:
            self.on_message(message)

    def _published(self) -> None:
        self._unacknowledged -= 1
        self._news.set()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._subscribed = asyncio.Event()
        self._news = asyncio.Event()
        self._client.connect(*self._address)
        self._client.loop_start()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._subscribed.wait()
        except TimeoutError:
            told = f"no subscription in {_TIMEOUT_S} s: {self._client.socket()}"
            await self.__aexit__(None, None, None)
            raise AssertionError(told) from None
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def publish(
        self, topic: str, payload: bytes | str, qos: int = 1, retain: bool = False
    ) -> None:
        """Done when the broker has it (QoS 0: when it is sent)."""
        self.send(topic, payload, qos, retain)
        await self._until(lambda: not self._unacknowledged, "the broker did not acknowledge")

    def send(self, topic: str, payload: bytes | str, qos: int = 1, retain: bool = False) -> None:
        """The same without waiting."""
        self._unacknowledged += 1
        self._client.publish(topic, payload, qos, retain)

    async def hears(self, count: int, timeout_s: float = _TIMEOUT_S) -> list[Message]:
        """Waits until at least so many messages were heard; all of them."""
        await self._until(
            lambda: len(self.messages) >= count, f"not {count} messages", timeout_s=timeout_s
        )
        return self.messages

    async def _until(self, condition: Any, what: str, timeout_s: float = _TIMEOUT_S) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{what} in {timeout_s} s; heard {self.messages[-30:]}") from None
