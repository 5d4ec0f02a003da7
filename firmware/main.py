"""Reads the configuration and runs the application on a device that stays connected."""

import asyncio

from app import console, thermostat
from iothub import Device, IoTHubError

try:
    device = Device.from_file("device.json", console.event)
    asyncio.run(thermostat.run(device))
except IoTHubError as error:
    # Nothing to retry here: the session heals what heals. Say it and leave the REPL to the user.
    console.say("stopped: " + str(error))
