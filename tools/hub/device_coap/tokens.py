"""The tokens that an authentication gives: who has one need not say again who it is."""

import secrets
import string

from tools.hub.clock import HubClock
from tools.hub.identity import Identity

# The cloud's were seen with ten characters; how long they live is not documented.
TOKEN_CHARS = 10
TOKEN_LIFE_S = 24 * 3600
MAX_TOKENS_PER_DEVICE = 4
_ALPHABET = string.ascii_letters + string.digits


class Tokens:
    """In memory: a hub that was restarted knows none, and says 4.01."""

    def __init__(self, clock: HubClock) -> None:
        self._clock = clock
        self._by_device: dict[Identity, list[tuple[bytes, int]]] = {}

    def issue(self, identity: Identity) -> bytes:
        """A new one, beside the newest of those the device has."""
        token = "".join(secrets.choice(_ALPHABET) for _ in range(TOKEN_CHARS)).encode()
        kept = self._by_device.get(identity, [])[1 - MAX_TOKENS_PER_DEVICE :]
        self._by_device[identity] = [*kept, (token, self._clock.now_s() + TOKEN_LIFE_S)]
        return token

    def forget(self, identity: Identity) -> None:
        """The device is gone; another of its name begins anew."""
        self._by_device.pop(identity, None)

    def is_valid(self, identity: Identity, token: bytes) -> bool:
        now_s = self._clock.now_s()
        return any(
            secrets.compare_digest(known, token) and expiry_s > now_s
            for known, expiry_s in self._by_device.get(identity, [])
        )
