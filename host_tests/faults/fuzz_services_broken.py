"""Services with one fault each, which the fuzz must find: without them nobody knows that it could.
"real" are the things themselves."""

import json

from iothub.credentials import Identity
from iothub.services.config import RemoteConfig
from iothub.services.gateway import Gateway
from iothub.services.ota import Job, Ota
from iothub.services.rrpc import Rrpc
from iothub.services.shadow import Shadow


class TrustsDocuments(Shadow):
    """Takes a document for what it should be."""

    def _take(self, payload, asked_version):
        self.version = payload["version"]
        self.reported = payload["state"]["reported"]
        self.desired = payload["state"].get("desired") or {}


class BelievesForeignAnswers(Shadow):
    """Does not look whose answer it is."""

    def _answered(self, message, payload):
        for request in self._requests:
            if (request.changes is not None) == (message["type"] == "update"):
                message["clientToken"] = request.token
        Shadow._answered(self, message, payload)


class NeverForgets(Shadow):
    """Keeps the requests of those who no longer wait."""

    def _end(self, request, error=None):
        Shadow._end(self, request, error)
        if error is not None:
            self._requests.append(request)


class TrustsEntries(Gateway):
    """Takes a list of devices for what it should be."""

    def _entries(self, body):
        found = []
        for entry in body.get("devices") or ():
            identity = Identity(entry["product_id"], entry["device_name"])
            found.append((identity, entry.get("result")))
        return found


class LeavesTopics(Gateway):
    """Forgets an unbound sub-device, but not its topics."""

    def _unbound(self, identity):
        self._sub_devices.pop(identity.prefix, None)


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
            self._wanted(Job(version, url, bytes(16), size))


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
_BROKEN = (
    ("shadow", TrustsDocuments),
    ("shadow", BelievesForeignAnswers),
    ("shadow", NeverForgets),
    ("gateway", TrustsEntries),
    ("gateway", LeavesTopics),
    ("config", TrustsConfigurations),
    ("config", GoesDeaf),
    ("rrpc", RemembersAll),
    ("ota", TrustsUpdates),
)


def _with(name, broken):
    services = dict(_REAL)
    services[name] = broken
    return services


SERVICES = {"real": _REAL}
for _name, _broken in _BROKEN:
    SERVICES[_broken.__name__] = _with(_name, _broken)
