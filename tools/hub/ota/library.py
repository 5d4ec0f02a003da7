"""The firmware of each product by version, as it was uploaded."""

import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.hub import events
from tools.hub.files import FileError
from tools.hub.registry import RegistryError
from tools.hub.services.context import ServiceContext

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_VERSION_CHARS = 32
MAX_VERSIONS = 100
_FOLDER = "firmware"


@dataclass(frozen=True, slots=True)
class Firmware:
    """One version; `md5` in hex."""

    product_id: str
    version: str
    md5: str
    size: int
    uploaded_ms: int


class Library:
    """Files lie in the data directory, or where nobody sees them if the hub has none."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._temporary = None
        data = context.config.data
        if data is None:
            self._temporary = TemporaryDirectory(prefix="hub-firmware-")
            data = Path(self._temporary.name)
        self._folder = data / _FOLDER
        self._versions: dict[str, dict[str, Firmware]] = {}
        for row in context.store.query("SELECT * FROM firmware ORDER BY uploaded_ms"):
            firmware = Firmware(*row)
            self._versions.setdefault(firmware.product_id, {})[firmware.version] = firmware
        context.registry.on_product_removed.append(self._forget)

    def versions(self, product_id: str) -> list[Firmware]:
        """Oldest first. Raises RegistryError."""
        self._context.registry.product(product_id)
        return list(self._versions.get(product_id, {}).values())

    def find(self, product_id: str, version: str) -> Firmware:
        """Raises RegistryError."""
        self._context.registry.product(product_id)
        found = self._versions.get(product_id, {}).get(version)
        if found is None:
            raise RegistryError("not_found", f"product {product_id} has no version {version}")
        return found

    def path(self, firmware: Firmware) -> Path:
        return self._folder / firmware.product_id / firmware.md5

    async def add(self, product_id: str, version: str, content: AsyncIterator[bytes]) -> Firmware:
        """Keep a file; one that is there for the version is replaced, as the console lets one do.
        Raises RegistryError, FileError."""
        self._context.registry.product(product_id)
        check_version(version)
        versions = self._versions.setdefault(product_id, {})
        if version not in versions and len(versions) >= MAX_VERSIONS:
            raise RegistryError("limit", f"a product has at most {MAX_VERSIONS} versions")
        folder = self._folder / product_id
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            md5, size = await _store(content, folder)
        except OSError as error:
            self._context.registry.product(product_id)  # else its folder went with it meanwhile
            raise FileError(f"writing into {folder}: {error.strerror}") from error
        now_ms = self._context.clock.now_ms()
        firmware = Firmware(product_id, version, md5, size, now_ms)
        replaced = versions.pop(version, None)
        versions[version] = firmware
        self._context.store.later(
            "INSERT OR REPLACE INTO firmware VALUES (?, ?, ?, ?, ?)",
            (product_id, version, md5, size, now_ms),
        )
        self._context.records.event(
            events.OTA, None, action="uploaded", product=product_id, version=version, md5=md5,
            size=size,
        )  # fmt: skip
        self._context.store.flush()
        if replaced is not None:
            self._drop(replaced)
        return firmware

    def remove(self, product_id: str, version: str) -> None:
        """Raises RegistryError."""
        firmware = self.find(product_id, version)
        del self._versions[product_id][version]
        self._context.store.later(
            "DELETE FROM firmware WHERE product_id = ? AND version = ?", (product_id, version)
        )
        self._context.records.event(
            events.OTA, None, action="removed", product=product_id, version=version
        )
        self._context.store.flush()
        self._drop(firmware)

    def _drop(self, firmware: Firmware) -> None:
        """Forget the file, unless another version has the same."""
        others = self._versions.get(firmware.product_id, {}).values()
        if all(other.md5 != firmware.md5 for other in others):
            self.path(firmware).unlink(missing_ok=True)

    def _forget(self, product_id: str) -> None:
        """The product is removed, and its rows with it."""
        self._versions.pop(product_id, None)
        shutil.rmtree(self._folder / product_id, ignore_errors=True)

    def close(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary.name, ignore_errors=True)


def check_version(version: str) -> None:
    """Raise RegistryError unless this names a version (PROTOCOL.md: 1 to 32 characters)."""
    if not 1 <= len(version) <= MAX_VERSION_CHARS or not version.isprintable():
        raise RegistryError("invalid", f"a version is 1 to {MAX_VERSION_CHARS} characters of text")


async def _store(content: AsyncIterator[bytes], folder: Path) -> tuple[str, int]:
    """The MD5 and size of what came, which then lies in the folder under that name."""
    digest, size = hashlib.md5(), 0
    temporary = folder / f"upload-{os.urandom(8).hex()}"
    try:
        with temporary.open("xb") as file:
            async for piece in content:
                size += len(piece)
                if size > MAX_FILE_BYTES:
                    raise RegistryError("too_large", f"a file is at most {MAX_FILE_BYTES} bytes")
                digest.update(piece)
                file.write(piece)
        if not size:
            raise RegistryError("invalid", "the file is empty")
        temporary.replace(folder / digest.hexdigest())
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    return digest.hexdigest(), size
