"""Services with one fault each, which the fuzz must find: without them nobody knows that it could.
"real" are the things themselves."""

import json

from iothub.credentials import Identity
from iothub.services.config import RemoteConfig
from iothub.services.gateway import Gateway
from iothub.services.ota import BURNING, Ota
from iothub.services.ota_update import Update
from iothub.services.rrpc import Rrpc
from iothub.services.shadow import Shadow

from host_tests.faults.broken_code import with_broken_code


def _trusts_documents(exchange):
    """Takes a document for what it should be."""

    def take(shadow, payload, asked_version):
        shadow.version = payload["version"]
        shadow.reported = payload["state"]["reported"]
        shadow.desired = payload["state"].get("desired") or {}

    exchange._take = take


def _believes_foreign_answers(exchange):
    """Does not look whose answer it is."""
    real = exchange._answered

    def answered(shadow, message, payload):
        for request in shadow._requests:
            if (request.changes is not None) == (message["type"] == "update"):
                message["clientToken"] = request.token
        real(shadow, message, payload)

    exchange._answered = answered


def _never_forgets(exchange):
    """Keeps the requests of those who no longer wait."""
    real = exchange._end

    def end(shadow, request, error=None):
        real(shadow, request, error)
        if error is not None:
            shadow._requests.append(request)

    exchange._end = end


def _trusts_entries(operations):
    """Takes a list of devices for what it should be."""

    def entries(gateway, body):
        found = []
        for entry in body.get("devices") or ():
            identity = Identity(entry["product_id"], entry["device_name"])
            found.append((identity, entry.get("result")))
        return found

    operations._entries = entries


def _leaves_topics(operations):
    """Forgets an unbound sub-device, but not its topics."""

    def unbound(gateway, identity):
        gateway._sub_devices.pop(identity.prefix, None)

    operations._unbound = unbound


class TrustsConfigurations(RemoteConfig):
    """Takes a message for what it should be."""

    def received(self, topic, payload):
        message = json.loads(payload)
        self.current = message["payload"]


class GoesDeaf(RemoteConfig):
    """Takes nothing any more after a message it did not understand."""

    def received(self, topic, payload):
        return None if self.malformed else RemoteConfig.received(self, topic, payload)


class TrustsUpdates(Ota):
    """Takes an update_firmware for what it should be."""

    def received(self, topic, payload):
        message = self._message(payload)
        if message is not None and message["type"] == "update_firmware":
            version, url, size = (message.get(name) for name in ("version", "url", "file_size"))
            if self.state != BURNING:
                Update(self, version, url, bytes(16), size).begin()


class RemembersAll(Rrpc):
    """Keeps every process id."""

    def received(self, topic, payload):
        kept = list(self._recent)
        Rrpc.received(self, topic, payload)
        if len(kept) > len(self._recent) - 1 and kept:
            self._recent.insert(0, kept[0])


_REAL: dict = {
    "shadow": Shadow,
    "gateway": Gateway,
    "config": RemoteConfig,
    "rrpc": Rrpc,
    "ota": Ota,
}
_BROKEN = {
    "TrustsDocuments": ("shadow", with_broken_code(Shadow, _trusts_documents)),
    "BelievesForeignAnswers": ("shadow", with_broken_code(Shadow, _believes_foreign_answers)),
    "NeverForgets": ("shadow", with_broken_code(Shadow, _never_forgets)),
    "TrustsEntries": ("gateway", with_broken_code(Gateway, _trusts_entries)),
    "LeavesTopics": ("gateway", with_broken_code(Gateway, _leaves_topics)),
    "TrustsConfigurations": ("config", TrustsConfigurations),
    "GoesDeaf": ("config", GoesDeaf),
    "RemembersAll": ("rrpc", RemembersAll),
    "TrustsUpdates": ("ota", TrustsUpdates),
}


def _with(name, broken):
    services = dict(_REAL)
    services[name] = broken
    return services


SERVICES = {"real": _REAL}
for _fault in _BROKEN:
    SERVICES[_fault] = _with(*_BROKEN[_fault])
