"""Reads the configuration and runs the application on a device that stays connected."""

import asyncio
import sys

from app import console, thermostat
from iothub import Device, IoTHubError

try:
    device = Device.from_file("device.json", console.event)
    asyncio.run(thermostat.run(device))
except IoTHubError as error:
    # Nothing to retry here: the session heals what heals. Say it and leave the REPL to the user,
    # or the decision to slotboot, which may have another version to start.
    console.say("stopped: " + str(error))
    if "slotboot" in sys.modules:
        raise
