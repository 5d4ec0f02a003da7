"""Wakes, publishes a reading and sleeps for a quarter of an hour, for a device on a battery. On
the desk the program ends where a board would sleep. After a wake that fails it sleeps longer."""

from iothub import Device, cycle

EVERY_MS = 15 * 60 * 1000


def told(what, detail):
    if what == cycle.ASLEEP and detail[1] is not None:
        print("this wake failed:", detail[1])


async def tell(device):
    await device.publish("event", '{"celsius": 21.5}')
    print("published")


cycle.run(Device.from_file("device.json", told), tell, EVERY_MS)
