"""A hub that listens on every transport, with devices that have all they need for each."""

import base64
import logging
import time
from pathlib import Path
from typing import Any

from host_tests.peers.broker_client import Login
from host_tests.peers.broker_servers import (
    HubServer,
    client_certificate,
    signed_login,
    unsigned_login,
)

TIMEOUT_S = 10


class EveryWayHub(HubServer):
    """Its opening deadline is short; an error in any log it writes to fails `stop`."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._errors = _ErrorLog()
        ports = {"tls_port": 0, "ws_port": 0, "wss_port": 0}
        super().__init__(folder / "hub.db", **{"opening_timeout_s": 0.5} | ports | settings)
        created = self.call("POST", "/products", name="certified", auth="cert")
        self.certified_product_id = created["product_id"]

    def stop(self) -> None:
        super().stop()
        self._errors.close()
        assert self._errors.texts == [], "what a client sends is no error of the hub's"

    def last_event(self) -> int:
        """The id of the newest event."""
        newest = 0
        while listed := self.call("GET", f"/events?after={newest}&limit=10000")["events"]:
            newest = listed[-1]["id"]
        return newest

    def failed_handshake(self, after: int) -> str:
        """The reason of the one handshake that failed since an event, once it is recorded."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (listed := self.call("GET", f"/events?kind=handshake&after={after}")["events"]):
            assert time.monotonic() < deadline, "no event tells it"
            time.sleep(0.02)
        (event,) = listed
        return str(event["reason"])

    def refusal(self, login: Login) -> str:
        """Why this client id was refused last."""
        return str(self.events(login, "refused")[-1]["reason"])


class Device:
    """One device: `secret` and `key` where its product wants those, else `certificate`."""

    def __init__(self, hub: EveryWayHub, auth: str = "key", key: str = "ec") -> None:
        product_id = hub.product_id if auth == "key" else hub.certified_product_id
        self.name = hub.new_name()
        created = hub.call("POST", f"/products/{product_id}/devices", name=self.name, key=key)
        self.login = unsigned_login(product_id, self.name)
        if auth == "key":
            self.secret: str = created["device_secret"]
            self.key = base64.b64decode(self.secret)
            self.signed_login = signed_login(product_id, self.name, self.secret)
        else:
            self.folder: str = created["folder"]
            self.certificate = client_certificate(self.folder)


class _ErrorLog(logging.Handler):
    """Collects what is logged as an error while it is open."""

    _NAMES = ("hub", "asyncio", "websockets")

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []
        for name in self._NAMES:
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))

    def close(self) -> None:
        for name in self._NAMES:
            logging.getLogger(name).removeHandler(self)
        super().close()
