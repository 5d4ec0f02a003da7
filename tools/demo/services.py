"""Chapters for the services, one each, played by the programs of firmware/examples as they are.
What a device says is compared with what the hub has, as in chapters.py."""

import asyncio
import json
from typing import Any

from tools.demo.errors import ChapterFailed
from tools.demo.props import device_path
from tools.demo.story import Story

_WAKES = 2  # of the device that sleeps


async def shadow(story: Story) -> None:
    """The shadow: a wish waits for a lamp that is not there yet"""
    async with story.example("shadow") as lamp:
        path = f"{device_path(lamp.device)}/shadow"
        story.narrator.tell("the application wishes for brightness 70; the lamp has no power yet")
        await story.cloud.post(path, {"desired": {"brightness": 70}})
        await lamp.power_on()
        await lamp.says(r"^brightness 70$")
        await story.until_equal(lambda: _shadow_state(story, path), _reported(70))
        story.narrator.tell("now it is on, and the application wishes for 30")
        await story.cloud.post(path, {"desired": {"brightness": 30}})
        await lamp.says(r"^brightness 30$")
        await story.until_equal(lambda: _shadow_state(story, path), _reported(30))
    story.narrator.agree("the lamp set 70, then 30; the hub has 30 as reported and no wish left")


async def _shadow_state(story: Story, path: str) -> Any:
    return (await story.cloud.get(path))["state"]


def _reported(percent: int) -> dict[str, Any]:
    return {"reported": {"brightness": percent}}


async def rrpc(story: Story) -> None:
    """Calls: the application asks, the device answers, two at once"""
    async with story.example("rrpc") as board:
        await board.power_on()
        await story.subscribed(board.device, "$rrpc/")
        path = f"{device_path(board.device)}/call"

        async def call(method: str, takes_ms: int) -> Any:
            request = json.dumps({"method": method, "takes_ms": takes_ms})
            answer = await story.cloud.post(path, {"payload": request})
            return json.loads(answer["payload"])["result"]

        answers = await asyncio.gather(call("slow", 500), call("fast", 0))
        finished = [line for line in board.lines if line.startswith("called: ")]
    if answers != ["done slow", "done fast"] or finished != ["called: fast", "called: slow"]:
        raise ChapterFailed(f"the application got {answers}, the device said {finished}")
    story.narrator.agree("the fast call overtook the slow one; each got its own answer")


async def broadcast(story: Story) -> None:
    """Broadcast: one message to all devices of a product"""
    async with story.example("broadcast") as board:
        await board.power_on()
        await story.subscribed(board.device, "$broadcast/")
        product_id = board.device.split("/")[0]
        reached = await story.cloud.post(
            f"/products/{product_id}/broadcast", {"payload": "tea is ready"}
        )
        await board.says(r"^broadcast: tea is ready$")
    story.narrator.agree(f"the device heard it; the hub says: {_words(reached)}")


async def remote_config(story: Story) -> None:
    """Remote configuration: fetched at the start, pushed when it changes"""
    async with story.example("remote_config") as board:
        path = f"/products/{board.device.split('/')[0]}/config"
        await story.cloud.post(path, {"content": {"interval_s": 60}})
        await board.power_on()
        await board.says(r"^asked for: \{'interval_s': 60\}$")
        await story.cloud.post(path, {"content": {"interval_s": 5}})
        pushed = await story.cloud.post(f"{path}/push", {})
        await board.says(r"^configuration: \{'interval_s': 5\}$")
    story.narrator.agree(
        f"the device asked for 60 and was given 5; the hub says: {_words(pushed)}"
    )


async def logs(story: Story) -> None:
    """Logs: the device uploads what the console wants to see"""
    async with story.example("logs") as board:
        await board.power_on()
        await board.says(r"^log uploaded, 0 lines dropped$")
        lines = await story.cloud.events(board.device, "device_log")
    text = "\n".join(line["text"] for line in lines)
    if "level is 4" not in text or "ValueError" not in text:
        raise ChapterFailed(f"the hub has these lines only: {text}")
    story.narrator.agree(f"the hub has {len(lines)} lines of it, a traceback among them")


async def gateway(story: Story) -> None:
    """A gateway speaks for a meter that has no network of its own"""
    async with story.example("gateway") as board:
        meter = board.beside
        await board.power_on()
        await board.says(r"^published$")
        readings = await story.cloud.messages(meter)
        listed = await story.cloud.get(f"{device_path(board.device)}/sub_devices")
        await story.cloud.post(
            "/publish", {"topic": f"{meter}/control", "payload": "report", "qos": 1}
        )
        await board.says(r"^for the meter: report$")
    if [m["fields"] for m in readings] != [{"kWh": 1234.5}]:
        raise ChapterFailed(f"of the meter the hub has {readings}")
    if listed["sub_devices"] != [{"device": meter, "online": True}]:
        raise ChapterFailed(f"the hub lists {listed}")
    story.narrator.agree("bound, online, heard and spoken to: the hub lists the meter as online")


async def register(story: Story) -> None:
    """Registration: a device that knows its product's secret only gets its own"""
    async with story.example("register") as board:
        await board.power_on()
        await board.says(r"^online as ")
        kept = json.loads((board.flash / "device.json").read_text())
        shown = await story.cloud.get(f"/products/{board.device.split('/')[0]}/registration")
        events = await story.cloud.messages(board.device)
    if kept.get("product_secret") or not kept.get("device_secret"):
        raise ChapterFailed("the device's file still has the product's secret")
    if shown["registered"] != 1 or [m["fields"] for m in events] != [{"registered": True}]:
        raise ChapterFailed(f"the hub has {shown} and heard {events}")
    story.narrator.agree("the hub made one device; its file has a secret of its own now")


async def http_publish(story: Story) -> None:
    """HTTPS: a device that wakes up, tells and sleeps again"""
    async with story.example("http_publish") as board:
        await board.power_on()
        await board.ends()
        said = [line for line in board.lines if line.startswith("request ")]
        heard = await story.cloud.messages(board.device)
        connects = await story.cloud.events(board.device, "connect")
    if len(said) != 2 or len(heard) != 2 or heard[0]["fields"] != {"celsius": 21.5} or connects:
        raise ChapterFailed(f"the device said {board.lines}, the hub heard {heard}")
    story.narrator.agree("two signed requests, two messages on the hub, no session at all")


async def coap_publish(story: Story) -> None:
    """CoAP over DTLS: a few datagrams instead of a session"""
    async with story.example("coap_publish") as board:
        await board.power_on()
        await board.ends()
        heard = [m["fields"] for m in await story.cloud.messages(board.device)]
    if heard != [{"celsius": 21.5}, {"celsius": 21.6}]:
        raise ChapterFailed(f"the device said {board.lines}, the hub heard {heard}")
    story.narrator.agree("the hub heard both messages, in order")


async def deep_sleep(story: Story) -> None:
    """Deep sleep: a device on a battery wakes, tells and sleeps again"""
    async with story.example("deep_sleep") as board:
        for _ in range(_WAKES):
            await board.power_on()
            await board.ends()
        asleep = board.lines.count("asleep for 900 s")
        heard = [m["fields"] for m in await story.cloud.messages(board.device)]
        connects = await story.cloud.events(board.device, "connect")
    if heard != [{"celsius": 21.5}] * _WAKES or len(connects) != _WAKES or asleep != _WAKES:
        raise ChapterFailed(f"the device said {board.lines}, the hub heard {heard}")
    story.narrator.agree("the hub heard one message a wake")


async def rule(story: Story) -> None:
    """A rule: what one device says becomes a command to another"""
    name = "too_cold"
    async with story.example("http_publish") as board:
        sql = f"SELECT celsius AS target FROM '{board.device}/event' WHERE celsius < 22"
        story.narrator.tell(f"the application makes a rule: {sql}")
        action = {"republish": {"topic": f"{story.device}/control"}}
        await story.cloud.post("/rules", {"name": name, "sql": sql, "actions": [action]})
        after = len(story.board.lines)
        await board.power_on()
        said = await story.board.says(r"command obeyed: (.*)", 10, after)
    if json.loads(said[1]) != {"target": 21.5}:
        raise ChapterFailed(f"the thermostat was told {said[1]}")
    story.narrator.agree("a device published 21.5 °C over HTTPS; the thermostat aims at it now")


async def vendor_cloud(story: Story) -> None:
    """The vendor's own cloud client, unmodified, works the hub"""
    story.narrator.tell("the hub's clock is set right: who signs an hour late is refused")
    await story.cloud.post("/clock", {"offset_s": 0})
    vendor = story.vendor_cloud()
    product_id, name = story.device.split("/")
    shown = await vendor.call("DescribeDevice", ProductId=product_id, DeviceName=name)
    after = len(story.board.lines)
    wanted = {"target": 19.5}
    await vendor.call(
        "PublishMessage",
        ProductId=product_id,
        DeviceName=name,
        Topic=f"{story.device}/control",
        Payload=json.dumps(wanted),
        Qos=1,
    )
    said = await story.board.says(r"command obeyed: (.*)", 10, after)
    if not shown["Online"] or json.loads(said[1]) != wanted:
        raise ChapterFailed(f"the client was shown {shown}, the thermostat told {said[1]}")
    story.narrator.agree("it finds the thermostat online, and the thermostat obeys it")


def _words(answer: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in answer.items())


SERVICES = {
    chapter.__name__: chapter
    for chapter in (
        shadow,
        rrpc,
        broadcast,
        remote_config,
        logs,
        gateway,
        register,
        http_publish,
        coap_publish,
        deep_sleep,
        rule,
        vendor_cloud,
    )
}
