"""Joins a network: Wi-Fi, or whatever else MicroPython's `network` has."""

import asyncio
from time import ticks_diff, ticks_ms

from iothub.compat import const
from iothub.errors import NETWORK, BadInput, LinkError
from iothub.timeouts import WIFI_JOIN_MS, WIFI_POLL_MS

# What on_event tells when a network was joined: status(), in words.
NETWORK_UP = -6

# WLAN.status() in words: the rp2 port's numbers, then the ESP32's (ESP-IDF reason codes).
_REASONS = {
    -1: "connection failed",
    -2: "no such network; check the ssid",
    -3: "wrong password",
    201: "no such network; check the ssid",
    202: "wrong password",
    203: "association failed",
    204: "wrong password or weak signal",
}
_NOT_SEEN_DBM = -999
_MAX_NETWORKS = const(8)


def checked(settings):
    """The list of networks in the configuration's "network". Raises BadInput."""
    known = settings if isinstance(settings, list) else [settings]
    if not 0 < len(known) <= _MAX_NETWORKS:
        raise BadInput("network", "must be 1 to %d networks" % _MAX_NETWORKS)
    for each in known:
        ssid = isinstance(each, dict) and each.get("ssid")
        if not isinstance(ssid, str) or not 0 < len(ssid.encode()) <= 32:
            raise BadInput("network.ssid", "must be 1 to 32 bytes")
        password = each.get("password", "")
        if password != "" and (type(password) is not str or not 8 <= len(password) <= 64):
            raise BadInput("network.password", "must be 8 to 64 characters")
    return known


async def join(wlan, known):
    """`wlan` is a network.WLAN, `known` a list of {"ssid", "password"}: tried from the strongest
    to the weakest, then those that do not show themselves. Raises LinkError with the reason of
    each in words."""
    wlan.active(True)
    reasons = []
    for each in _by_strength(wlan, known) if len(known) > 1 else known:
        reason = ""
        try:
            wlan.connect(each["ssid"], each.get("password", ""))
            reason = await wait(wlan)
        except OSError as e:
            reason = "refused by the chip: %s" % e
        finally:
            # Also when this was cancelled: an ESP32 that still tries one network refuses others,
            # and the same; after an outage it does so by itself.
            if reason is not None:
                wlan.disconnect()
        if reason is None:
            return
        reasons.append(reason if len(known) == 1 else each["ssid"] + ": " + reason)
    raise LinkError("Wi-Fi: " + "; ".join(reasons), NETWORK, 113)


async def wait(nic):
    """Until it is connected: None, or the reason why it is not, in words."""
    started_ms = ticks_ms()
    while not nic.isconnected():
        await asyncio.sleep_ms(WIFI_POLL_MS)
        reason = _REASONS.get(nic.status())
        if reason is None and ticks_diff(ticks_ms(), started_ms) > WIFI_JOIN_MS:
            reason = "no connection in time"
        if reason is not None:
            return reason
    return None


def _by_strength(wlan, known):
    strength_dbm: dict = {}
    try:
        for found in wlan.scan():
            ssid = bytes(found[0])
            strength_dbm[ssid] = max(found[3], strength_dbm.get(ssid, _NOT_SEEN_DBM))
    except OSError:
        pass  # as they are written down, then
    order = []
    for i in range(len(known)):
        weakness = -strength_dbm.get(known[i]["ssid"].encode(), _NOT_SEEN_DBM)
        order.append((weakness, i))
    return [known[i] for _, i in sorted(order)]


def described(nic):
    """What it is connected to, in words."""
    if not nic.isconnected():
        return "not connected"
    words = []
    # What an interface has of these: Wi-Fi all, others the address.
    for question in (
        lambda: nic.config("ssid"),
        lambda: "%d dBm" % nic.status("rssi"),
        lambda: nic.ifconfig()[0],
    ):
        try:
            words.append(question())
        except (OSError, ValueError, TypeError, AttributeError):
            pass
    return ", ".join(words)


def tell(told, nic):
    if told is not None:
        try:
            told(NETWORK_UP, described(nic))
        except Exception:
            pass  # the application's, which ends no connection
