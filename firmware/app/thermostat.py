"""The sample application: a thermostat. Publishes readings to `event` with QoS 1 and obeys
commands on `control`, e.g. {"target": 22.5} or {"interval_ms": 500}. Replace it with yours."""

import asyncio
import json

from iothub import IoTHubError

from app import updates
from app.console import say
from app.sensor import Room

_HYSTERESIS_CELSIUS = 0.3
# What a command may set: name, lowest, highest.
_SETTINGS = (("target", 5, 35), ("interval_ms", 50, 3600000))


class Thermostat:
    def __init__(self, device):
        self._device = device
        self._room = Room()
        self._settings = {"target": 21.0, "interval_ms": 5000}
        self._settings.update(device.settings)
        self._sequence = 0
        device.on_command(self.command)

    async def command(self, topic, payload):
        """Takes over the settings it knows; a command it does not understand changes nothing."""
        try:
            wanted = json.loads(payload)
            changes = {}
            for name, lowest, highest in _SETTINGS:
                if name in wanted:
                    if not lowest <= wanted[name] <= highest:
                        raise ValueError(name)
                    changes[name] = wanted[name]
        except (ValueError, TypeError, AttributeError) as e:
            say("command refused: %r" % e)
            return
        self._settings.update(changes)
        say("command obeyed: " + json.dumps(changes))
        await self._publish("obeyed", changes)

    async def read_and_publish(self):
        celsius = self._room.read()
        target = self._settings["target"]
        if celsius < target - _HYSTERESIS_CELSIUS:
            self._room.heater_on = True
        elif celsius > target + _HYSTERESIS_CELSIUS:
            self._room.heater_on = False
        await self._publish(
            "reading",
            {"celsius": celsius, "target": target, "heater": self._room.heater_on},
        )

    async def _publish(self, kind, fields):
        """Returns when the message is in the window or the queue; the session does the rest."""
        self._sequence += 1
        fields["kind"] = kind
        fields["seq"] = self._sequence
        fields["time_ms"] = self._device.clock.now_ms()
        try:
            await self._device.publish("event", json.dumps(fields), 1, False)
            say(
                "%s %d on its way, %d acknowledged"
                % (kind, self._sequence, self._device.acknowledged)
            )
        except IoTHubError as e:
            say("%s %d lost: %s" % (kind, self._sequence, e))

    async def run(self, alive):
        while True:
            alive()
            await self.read_and_publish()
            await asyncio.sleep_ms(int(self._settings["interval_ms"]))  # JSON has fractions


async def run(device):
    """Runs the application beside the device, until the device stops."""
    thermostat = Thermostat(device)
    application = asyncio.create_task(thermostat.run(updates.begin(device)))
    try:
        await device.run()
    finally:
        application.cancel()
