"""Updates over the air: `device.ota`.

    @device.ota.on_installed
    async def installed(version): machine.reset()

    device.ota.start("1.0", place)         # the version that runs; then await device.run()
    await device.ota.settle()              # once a version that was installed has proved itself

A `place` is where an update goes: update/slots.py, or for a sub-device of a gateway one of the
gateway's own. It has
  admit(trailer, head, size)   the name (str) of the target for a file of `size` bytes. `head` are
                               the first bytes of the image; `trailer` is an image.Trailer, or None
                               when the server would not give it first, and then is shown at the
                               end, which must not change the target. Raises UpdateError
  target(name)                 that target: update/partition.py, update/download_file.py
  install(trailer)             makes it what the next restart begins with: a generator that pauses
                               now and then. Raises UpdateError
  rolled_back                  why the version installed last was given up again (str), or None
"""

import asyncio

from iothub.loading import for_now
from iothub.services.ota import BURNING, Ota
from iothub.store.journal import Journal
from iothub.update.resume import LOADING


class DeviceOta(Ota):
    """`bytes_per_s` limits a download; 0 is no limit. `records` counts those that were written.
    The rest is for net/stages.py and net/outcome.py."""

    bytes_per_s = 0
    records = 0

    def __init__(self, device, identity, name, publish=None, turn=None):
        self.device = device
        super().__init__(device.services, identity, self._through_stages, publish)
        self.journal = Journal(device.storage, name, 512)
        self.record = self.place = self.installed = None
        self.tail_file = name + ".tail"
        self.turn = turn or asyncio.Lock()  # one download at a time: one buffer, one connection
        self.may_run = asyncio.Event()
        self.may_run.set()

    # What an application calls

    def start(self, version, place):
        """From now on updates are taken. `version` (str) is what runs."""
        self.version = version
        self.place = place
        for_now("iothub.net.outcome").look(self)
        if self.is_connected and self.state != BURNING:
            self.report_version()

    async def settle(self, error=None):
        """Tells the cloud that the version that was installed runs well, or the error for which
        it was given up; it is not taken again then. Does nothing when there was no update."""
        if self.state == BURNING:
            await for_now("iothub.net.outcome").settle(self, error)

    def on_installed(self, handler):
        """Decorator: `handler(version)`, plain or async, is to restart the device."""
        self.installed = handler
        return handler

    def pause(self):
        """Hangs up after the block that is on its way, until resume()."""
        self.may_run.clear()

    def resume(self):
        self.may_run.set()

    def of(self, sub_device):
        """The same for a sub-device (services/gateway.py), which has it downloaded here."""
        return for_now("iothub.net.sub_ota").of(self, sub_device)

    # Below

    def _through_stages(self, update):
        return for_now("iothub.net.stages").carry_out(self, update)

    def save(self, stage=LOADING):
        self.record.stage = stage
        self.journal.save(self.record.packed())
        self.records += 1

    def forget(self):
        self.record = None
        self.journal.save(b"")


def join(device):
    return device.services.run(DeviceOta(device, device.identity, "ota"))
