"""Updates of a gateway's sub-devices, which the gateway downloads. Loaded for each of them
(iothub.loading)."""

from iothub.net.ota import DeviceOta


def of(ota, sub_device):
    """See DeviceOta."""
    try:
        return sub_device.ota  # one for each, as Gateway.sub_device() is
    except AttributeError:
        pass
    name = "ota." + sub_device.client_id.decode()
    made = DeviceOta(ota.device, sub_device, name, sub_device.publish, ota.turn)
    sub_device.ota = made
    sub_device.on(made.pattern)(made.received)
    ota._driver.spawn(_follow(made, sub_device))
    return made


async def _follow(ota, sub_device):
    until = ota._driver.until
    while True:
        await until(lambda: sub_device.is_online, None)
        ota.connected()
        await until(lambda: not sub_device.is_online, None)
        ota.closed()
