"""The addresses that devices download from: each is for one device and one file, and expires."""

import hashlib
import hmac
import secrets
from urllib.parse import quote, urlencode

from tools.hub.address import Address
from tools.hub.clock import HubClock
from tools.hub.identity import Identity
from tools.hub.ota.library import Firmware

PATH = "/ota"
VALID_S = 24 * 3600  # the cloud's are object storage's, of a day


class Links:
    """Signed with a key of this run: when the hub starts again, devices ask for new ones."""

    def __init__(self, address: Address, clock: HubClock) -> None:
        self._address = address
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def schemes(self) -> list[str]:
        """Those that are listened on, the safer first."""
        return [name for name in ("https", "http") if name in self._address.ports]

    def make(
        self, scheme: str, device: Identity, firmware: Firmware, valid_s: int = VALID_S
    ) -> str:
        port = self._address.ports[scheme]
        expires_s = self._clock.now_s() + valid_s
        path = f"{PATH}/{quote(device.path)}/{quote(firmware.version, safe='')}"
        query = {
            "expires": expires_s,
            "signature": self._signature(device, firmware.version, firmware.md5, expires_s),
        }
        return f"{scheme}://{self._address.host}:{port}{path}?{urlencode(query)}"

    def fault(
        self, device: Identity, firmware: Firmware, expires: str, signature: str
    ) -> str | None:
        """Why an address is not valid now, or None."""
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12:
            return "it has no expiry"
        made = self._signature(device, firmware.version, firmware.md5, int(expires))
        if not hmac.compare_digest(made.encode(), signature.encode(errors="replace")):
            return "the signature is wrong"
        if int(expires) <= self._clock.now_s():
            return "it has expired"
        return None

    def _signature(self, device: Identity, version: str, md5: str, expires_s: int) -> str:
        text = "\n".join((device.path, version, md5, str(expires_s)))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
