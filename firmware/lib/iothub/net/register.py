"""Registers a device that knows its product's secret only, and keeps what it was given.

What is kept survives a power cut at any moment, since each step can be done again after it:

    1. the gateway is asked; asked again, it gives the same answer
    2. a certificate and its key are written to files beside the configuration
    3. the new configuration, with the device's own secret or certificate, goes into the journal
    4. the configuration file, which holds the product secret, is overwritten: with blanks, then
       with the new one
    5. the journal is removed

Between 3 and 5 the journal counts, whatever the file looks like. With `keep_product_secret` in the
configuration 4 and 5 are left out, and the journal stays the place of the device's secret.

Flash forgets slowly: LittleFS writes what is overwritten to other blocks, so that a product secret
(and what registration gave) can be read from a chip that is taken out until these blocks are used
again. Where that matters, encrypt the flash, or have each device provisioned with its own secret.
"""

import asyncio
import json

from iothub import config
from iothub.compat import const
from iothub.errors import BadInput, StorageError
from iothub.loading import for_now, let_go
from iothub.services import register as service
from iothub.store.journal import Journal

let_go("iothub.config")  # it goes with this module

JOURNAL = "registered"
MAX_CONFIG_BYTES = const(4096)
_CERTIFICATE_FILE = "device.crt.der"
_KEY_FILE = "device.key.der"
_AES_CBC = const(2)


class Disk:
    """Files by their path, each write all at once."""

    def read(self, path):
        """The content, or None."""
        try:
            with open(path, "rb") as f:
                return f.read()
        except OSError:
            return None

    def write(self, path, data):
        with open(path, "wb") as f:
            f.write(data)

    def blank(self, path):
        """Overwrites the content where it is, which is what some file systems do."""
        with open(path, "r+b") as f:
            size = f.seek(0, 2)
            f.seek(0)
            f.write(b" " * size)


async def register(fields, storage, network=None, chip=None, disk=None, folder=""):
    """The configuration (dict) of the registered device that `fields` (dict, with product_secret)
    becomes. `storage`, `network` and `chip` as port/ has them; certificates are written to `disk`
    at `folder`, "" or a path that ends with "/". A device that is registered already is not asked
    for again. Raises BadInput, ServiceRefused, LinkError and its kinds, StorageError."""
    checked = config.Config(fields, True)
    product_secret = fields["product_secret"]
    service.check_product_secret(product_secret)
    journal = Journal(storage, JOURNAL, MAX_CONFIG_BYTES)
    known = _journalled(journal)
    if known is None or _name(known) != _name(fields):
        signed = for_now("iothub.net.signed")
        gateway = signed.of_product(checked.__dict__, product_secret, network, chip)
        try:
            given = await enroll(
                gateway, checked.identity, product_secret.encode(), checked.certificate
            )
        finally:
            gateway.close()
        known = dict(fields)
        del known["product_secret"]
        for name, file in (("certificate", _CERTIFICATE_FILE), ("private_key", _KEY_FILE)):
            if name in given:
                _write(disk or Disk(), folder + file, given[name])
                given[name] = folder + file
        known.update(given)
        config.Config(known)  # what could not be used must not be kept
        journal.save(json.dumps(known).encode())
    return known


async def enroll(gateway, identity, product_secret, certificate_file=""):
    """Asks a net/signed.py Gateway, whose signer has the product secret, for `identity`; what the
    gateway of sub-devices wants as well. Returns services/register.py credentials()."""
    certificate = None
    if certificate_file:
        tls = for_now("iothub.net.tls")
        certificate = tls.read_der(certificate_file, "certificate")
    body = service.request(identity, certificate)
    found = await gateway.post(service.PATH, body, service.PHASE)
    return service.credentials(found, product_secret, _decrypt, certificate is not None)


async def from_file(path, storage, network=None, chip=None, disk=None):
    """The configuration (dict) of the device whose file has product_secret, or was cut off while
    it was overwritten; registers it first, if it is not. Raises what register() raises, and
    BadInput for a file that is no configuration."""
    disk = disk or Disk()
    fields = _parsed(disk.read(path))
    journal = Journal(storage, JOURNAL, MAX_CONFIG_BYTES)
    if fields is None:
        fields = _journalled(journal)
        if fields is None or fields.get("keep_product_secret"):
            return config.read(path)  # it was not us; raises
    elif not fields.get("product_secret"):
        return fields
    elif fields.get("keep_product_secret"):
        known = await register(fields, storage, network, chip, disk, _folder(path))
        # The file may have been edited since; what the device proves itself with is journalled.
        del fields["product_secret"]
        for name in ("device_secret", "certificate", "private_key"):
            if name in known:
                fields[name] = known[name]
        return fields
    else:
        fields = await register(fields, storage, network, chip, disk, _folder(path))
    try:
        disk.blank(path)
    except OSError:
        pass  # it is gone, or too full to be rewritten in place; writing it will tell
    _write(disk, path, json.dumps(fields).encode())
    for end in (".a", ".b"):
        try:
            storage.remove(JOURNAL + end)
        except OSError:
            pass  # only one of them was written, as a rule
    return fields


def run(path, port, network=None):
    """from_file() for a caller that is no coroutine. `port` is the module."""
    try:
        running = asyncio.current_task() is not None
    except RuntimeError:
        running = False
    if running:
        if Disk().read(path) is None:
            config.read(path)  # says so
        raise BadInput("product_secret", "asyncio runs already; await net.register.from_file()")
    fields = _parsed(Disk().read(path)) or {}
    if network is None and "network" in fields:
        network = port.Network(fields["network"])
    try:
        return asyncio.run(from_file(path, port.storage(), network, port))
    finally:
        asyncio.new_event_loop()


def _decrypt(key, iv, data):
    from cryptolib import aes

    return aes(key, _AES_CBC, iv).decrypt(data)


def _write(disk, path, data):
    try:
        disk.write(path, data)
    except OSError as e:
        raise StorageError("cannot write " + path, None, e.errno)
    if disk.read(path) != data:
        raise StorageError("not what was written: " + path)


def _journalled(journal):
    return _parsed(journal.load())


def _parsed(text):
    try:
        fields = json.loads(text)
    except (ValueError, TypeError):
        return None
    return fields if isinstance(fields, dict) else None


def _name(fields):
    return fields.get("product_id"), fields.get("device_name")


def _folder(path):
    return path[: path.rfind("/") + 1]
