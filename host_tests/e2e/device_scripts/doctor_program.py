"""The doctor on a chip whose clock and network are as told:
`doctor_program.py CONFIG CLOCK_UNIX_S TCP_CONNECT_MS [NETWORK_ERROR]`. Status 0 if all is well."""

import sys

from iothub import timeouts

timeouts.TCP_CONNECT_MS = int(sys.argv[3])  # before anything reads the table

from iothub import doctor  # noqa: E402
from iothub.errors import NETWORK, LinkError  # noqa: E402

_path = sys.argv[1]
_clock_unix_s = int(sys.argv[2])
_network_error = sys.argv[4] if len(sys.argv) > 4 else None


class Chip:
    class Network:
        def __init__(self, settings):
            pass

        async def up(self):
            if _network_error:
                raise LinkError(_network_error, NETWORK, 113)

        def status(self):
            return "up"

    @staticmethod
    def rtc_unix_s():
        return _clock_unix_s

    @staticmethod
    def set_rtc(unix_s):
        pass  # a clock that cannot be helped

    @staticmethod
    def feed():
        pass


sys.exit(0 if doctor.run(_path, Chip) else 1)
