"""The one pair of secret id and secret key that the hub's cloud API knows."""

import json
import secrets
import string
from pathlib import Path
from typing import Any

from tools.hub.address import Address
from tools.hub.files import PRIVATE, FileError, write_files

KEYS_FILE = "cloud_api.json"
_ALPHABET = string.ascii_letters + string.digits
_ID_CHARS, _KEY_CHARS = 32, 32


class ApiKeys:
    """Made once and kept in the data directory, for its owner only; without one, in memory."""

    def __init__(self, data: Path | None) -> None:
        """Raises FileError."""
        self._data = data
        kept = self._kept()
        self.secret_id = kept.get("secret_id") or "AKID" + _chosen(_ID_CHARS)
        self.secret_key = kept.get("secret_key") or _chosen(_KEY_CHARS)

    def find(self, secret_id: str) -> str | None:
        return self.secret_key if secret_id == self.secret_id else None

    def write(self, address: Address) -> None:
        """Keep the pair with where the API is, as a client is set up. Raises FileError."""
        if self._data is None:
            return
        profile = {
            "secret_id": self.secret_id,
            "secret_key": self.secret_key,
            "endpoint": f"{address.host}:{address.ports['cloud']}",
            "certification": str((self._data / "ca" / "ca.pem").resolve()),
        }
        content = json.dumps(profile, indent=2) + "\n"
        write_files(self._data, {KEYS_FILE: (content.encode(), PRIVATE)})

    def _kept(self) -> dict[str, Any]:
        if self._data is None:
            return {}
        path = self._data / KEYS_FILE
        try:
            kept = json.loads(path.read_text())
            if isinstance(kept, dict) and all(
                isinstance(kept.get(name), str) for name in ("secret_id", "secret_key")
            ):
                return kept
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise FileError(f"reading {path}: {type(error).__name__}; remove it") from None
        raise FileError(f"reading {path}: no secret_id and secret_key in it; remove it")


def _chosen(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))
