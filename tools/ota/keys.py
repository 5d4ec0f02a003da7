"""The keys that sign updates: one in use and the next, so that they can be changed.

A device knows both. When the one in use is to go, `rotate` makes the next one the one in use and a
new one the next; the first update signed after it still is by a key that devices know, and brings
the new pair with it. Losing the folder means that no device can ever be updated over the air
again: keep a copy where nobody else gets at it.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tools.ota.errors import OtaError

CURRENT = "current.pem"
NEXT = "next.pem"
PUBLIC = "update.keys"
KEY_BITS = (2048, 3072)
_EXPONENT = 65537
_MAKE_THEM = "`make ota-keys` makes them, once."


@dataclass(frozen=True)
class Key:
    """An RSA key; `modulus` is what a device knows of it."""

    private: rsa.RSAPrivateKey

    @property
    def modulus(self) -> bytes:
        return self.private.public_key().public_numbers().n.to_bytes(self.private.key_size // 8)

    @property
    def key_id(self) -> bytes:
        return sha256(self.modulus).digest()[:8]

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data, padding.PKCS1v15(), SHA256())


@dataclass(frozen=True)
class KeyPair:
    """The key in use and the next."""

    current: Key
    following: Key

    def public_file(self) -> bytes:
        """What goes onto a device as /slots/keys: each two bytes of length and the modulus."""
        moduli = [self.current.modulus, self.following.modulus]
        return b"".join(len(modulus).to_bytes(2) + modulus for modulus in moduli)


def make_keys(folder: Path, bits: int = KEY_BITS[0]) -> KeyPair:
    """Makes what is missing in `folder`, and nothing else: not a key to be in use where there is
    a next one, which says that devices know another. Raises OtaError."""
    _make_folder(folder)
    if (folder / NEXT).exists() and not (folder / CURRENT).exists():
        reason = f"there is no {folder / CURRENT}, the key that devices know"
        raise OtaError(reason, "Restore it from your copy.")
    for name in (CURRENT, NEXT):
        if not (folder / name).exists():
            _write_key(folder / name, rsa.generate_private_key(_EXPONENT, bits))
    return _published(folder)


def rotate(folder: Path, bits: int = KEY_BITS[0]) -> KeyPair:
    """The next key becomes the one in use; the one in use is kept as retired-ID.pem. Raises
    OtaError."""
    keys = read_keys(folder)
    following = rsa.generate_private_key(_EXPONENT, bits)
    _write_key(folder / f"retired-{keys.current.key_id.hex()}.pem", keys.current.private)
    # Stopped behind this, the folder lacks a next key only, which make_keys() makes.
    (folder / NEXT).replace(folder / CURRENT)
    _write_key(folder / NEXT, following)
    return _published(folder)


def read_keys(folder: Path) -> KeyPair:
    """Raises OtaError."""
    return KeyPair(_read_key(folder / CURRENT), _read_key(folder / NEXT))


def _published(folder: Path) -> KeyPair:
    keys = read_keys(folder)
    (folder / PUBLIC).write_bytes(keys.public_file())
    return keys


def _read_key(path: Path) -> Key:
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise OtaError(f"there is no {path}", _MAKE_THEM) from None
    except (OSError, ValueError, TypeError) as error:
        raise OtaError(f"{path} cannot be read", "Restore it from your copy.") from error
    if not isinstance(private, rsa.RSAPrivateKey) or private.key_size not in KEY_BITS:
        raise OtaError(f"{path} is no RSA key of 2048 or 3072 bits", _MAKE_THEM)
    if private.public_key().public_numbers().e != _EXPONENT:
        raise OtaError(f"{path} has another exponent than {_EXPONENT}", _MAKE_THEM)
    return Key(private)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OtaError(f"{folder}: {error.strerror}", "Name another folder: --keys.") from error


def _write_key(path: Path, private: rsa.RSAPrivateKey) -> None:
    """Whole, or not at all. Raises OtaError."""
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    unfinished = path.with_name(path.name + ".new")
    try:
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(text)
        unfinished.replace(path)
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror}"
        raise OtaError(reason, "Make room, or name another folder: --keys.") from error
