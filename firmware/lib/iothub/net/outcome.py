"""What became of the update that was installed before the restart. Loaded for that and let go of
(iothub.loading), so these are functions of a DeviceOta (net/ota.py)."""

from iothub.errors import IoTHubError, UpdateError
from iothub.loading import for_now, let_go
from iothub.services.ota import BURNING
from iothub.update import resume

let_go("iothub.update.resume")  # a record holds its code


def look(ota):
    """What the journal says at the start."""
    record = resume.load(ota.journal)
    if record is None or record.stage != resume.INSTALLED:
        return
    if record.version == ota.version:
        error = None
    elif ota.place.rolled_back:
        error = UpdateError(ota.place.rolled_back)
    else:
        return  # the power failed before it was installed
    ota.record = record
    ota._enter(BURNING)
    if error:
        ota._driver.spawn(ota.settle(error))


async def settle(ota, error):
    """See DeviceOta, after BURNING."""
    if error:
        ota.save(resume.REFUSED)
    record = ota.record
    try:
        await for_now("iothub.services.ota_end").finish(ota, record.version, error)
    except IoTHubError as e:
        # It is told later, or, as of a sub-device that is offline, known by the version reported.
        ota._driver.report(e)
    if ota.record is record:  # else the next version is on its way
        if error:
            ota.record = None
        else:
            ota.forget()
