"""The chapters. Each plays a scene, then compares what the hub recorded with what the device
believes; where they differ it raises ChapterFailed."""

import asyncio
import base64
import json
import secrets
import time

from tools.demo.errors import ChapterFailed
from tools.demo.story import HUB_OFFSET_S, Story

_OUTAGE_S = 3.0
_MAX_CLOCK_ERROR_MS = 250


async def login(story: Story) -> None:
    """Signed login: the device proves its secret without sending it"""
    connects = await story.cloud.events(story.device, "connect")
    refused = await story.cloud.events(story.device, "refused")
    if len(connects) != 1 or refused:
        raise ChapterFailed(f"the hub saw {len(connects)} logins and {len(refused)} refusals")
    story.narrator.agree(
        f"the device says online; the hub accepted the signature of {story.device}, once"
    )


async def clock(story: Story) -> None:
    """Time from the hub, which is an hour ahead of this computer"""
    said = await story.board.says(r"clock set to ([-0-9]+ [:0-9]+) UTC", 5)
    await story.waiting_for_numbers(2)
    stamped = [m for m in await story.cloud.messages(story.device) if m["fields"]["time_ms"]]
    if not stamped:
        raise ChapterFailed("no reading carries a time")
    error_ms = stamped[-1]["fields"]["time_ms"] - stamped[-1]["at_ms"]
    ahead_s = stamped[-1]["fields"]["time_ms"] / 1000 - time.time()
    if abs(error_ms) > _MAX_CLOCK_ERROR_MS:
        raise ChapterFailed(f"the device's clock is {error_ms} ms off the hub's")
    if abs(ahead_s - HUB_OFFSET_S) > 5:
        raise ChapterFailed(f"the device is {ahead_s:.0f} s ahead of this computer")
    story.narrator.agree(
        f"the device set its clock to {said[1]}; its readings arrive within {abs(error_ms)} ms of"
        f" the time they carry, {ahead_s:.0f} s ahead of this computer"
    )


async def readings(story: Story) -> None:
    """Readings arrive, acknowledged one by one"""
    believed = await story.waiting_for_numbers(story.acknowledged() + 4)
    recorded = await story.expect_all_arrived()
    story.narrator.agree(
        f"the device believes in {believed} delivered messages; the hub has the first {recorded},"
        " in order"
    )


async def command(story: Story) -> None:
    """A command is obeyed"""
    wanted = {"target": 25.5}
    after = len(story.board.lines)
    story.narrator.tell(f"the application sends {json.dumps(wanted)} to {story.device}/control")
    await story.cloud.post(
        "/publish",
        {"topic": f"{story.device}/control", "payload": json.dumps(wanted), "qos": 1},
    )
    said = await story.board.says(r"command obeyed: (.*)", 5, after)
    await story.board.says(r"reading \d+ on its way", 5, len(story.board.lines))
    await story.waiting_for_numbers(story.acknowledged() + 1)
    fields = [m["fields"] for m in await story.cloud.messages(story.device)]
    answers = [f for f in fields if f["kind"] == "obeyed"]
    if json.loads(said[1]) != wanted or len(answers) != 1 or answers[0]["target"] != 25.5:
        raise ChapterFailed(f"the device said {said[1]}, the hub heard {answers}")
    if fields[-1]["target"] != 25.5:
        raise ChapterFailed(f"the readings still aim at {fields[-1]['target']}")
    story.narrator.agree("the device says it obeyed; the hub heard the same, and readings follow")


async def outage(story: Story) -> None:
    """The link is cut, and heals, and nothing is lost"""
    before = story.acknowledged()
    after = len(story.board.lines)
    story.narrator.tell(f"the network is cut for {_OUTAGE_S:.0f} s; the thermostat goes on")
    story.network.cut()
    await story.board.says(r"\] offline", 10, after)
    await asyncio.sleep(_OUTAGE_S)
    kept = sum("on its way" in line for line in story.board.lines[after:])
    story.network.heal()
    story.narrator.tell("the network is back")
    await story.board.says(r"\] online", 20, after)
    await story.waiting_for_numbers(before + kept)
    recorded = await story.expect_all_arrived()
    connects = await story.cloud.events(story.device, "connect")
    if len(connects) < 2:
        raise ChapterFailed("the hub never saw the device come back")
    story.narrator.agree(
        f"{kept} messages were made while the link was down; the hub has all {recorded}, in order"
    )


async def refused(story: Story) -> None:
    """A wrong secret is refused, and says why"""
    product_id, _ = story.device.split("/")
    created = await story.cloud.post(f"/products/{product_id}/devices", {"name": "impostor"})
    wrong = base64.b64encode(secrets.token_bytes(16)).decode()
    if wrong == created["device_secret"]:
        raise ChapterFailed("the random secret is the right one")
    impostor = story.another_board("impostor", device_name="impostor", device_secret=wrong)
    try:
        await impostor.power_on()
        said = await impostor.says(r"offline: (.*)", 10)
        await asyncio.sleep(1)
    finally:
        await impostor.power_off()
    # With a pre-shared key the handshake fails already; nobody gets as far as a login.
    by_key = story.configuration["transport"] == "psk"
    kind, expected = ("handshake", "tls: ") if by_key else ("refused", "CONNACK 4")
    events = await story.cloud.events(None if by_key else f"{product_id}/impostor", kind)
    connects = await story.cloud.events(f"{product_id}/impostor", "connect")
    if not events or connects or expected not in said[1]:
        raise ChapterFailed(f"the device said {said[1]}; the hub has {events} and {connects}")
    if any(wrong in line for line in impostor.lines):
        raise ChapterFailed("the device printed its secret")
    story.narrator.agree(
        f"the device says so and what to check; the hub noted: {events[0]['reason']}"
    )


CHAPTERS = {
    chapter.__name__: chapter for chapter in (login, clock, readings, command, outage, refused)
}
