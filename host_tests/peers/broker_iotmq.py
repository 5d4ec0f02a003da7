"""An IoT MQ instance of the hub as a broker under test: free client ids, created topics."""

import base64
import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Any

from host_tests.peers.broker_client import Login, RawClient, publish_bytes
from host_tests.peers.broker_servers import HubServer

TOPICS = ("control", "data", "event")


def iotmq_password(app_id: str, instance_id: str, secret_key: str) -> str:
    """As the document "客户端签名计算" has it (PROTOCOL.md 1.5)."""
    text = f"Appid={app_id}&Instanceid={instance_id}&Action=Connect"
    digest = hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class IotMqServer:
    """One instance in a hub of its own. Each new device has three topics created for it."""

    name = "iotmq"

    def __init__(self, database: Path) -> None:
        self.hub = HubServer(database)
        self.instance = self.hub.call("POST", "/iotmq")
        self.port = self.instance["port"]
        self.password = iotmq_password(
            *(self.instance[name] for name in ("app_id", "instance_id", "secret_key"))
        )

    def stop(self) -> None:
        self.hub.stop()

    def restart(self) -> None:
        self.hub.restart()

    def login(self, client_id: str) -> Login:
        """For any client id; `topic` is of no use with it."""
        return Login(client_id, "", self.instance["secret_id"], self.password)

    def new_device(self) -> Login:
        login = self.login(secrets.token_hex(5))._replace(device_name="dev")
        for name in TOPICS:
            self.add_topic(login.topic(name))
        return login

    def add_topic(self, topic: str, **settings: int) -> None:
        self.hub.call("POST", self.path("/topics"), topic=topic, **settings)

    def path(self, rest: str = "") -> str:
        return f"/iotmq/{self.instance['instance_id']}{rest}"

    def client(self, login: Login) -> RawClient:
        return RawClient(self.port)

    def send(self, topic: str, payload: bytes, qos: int) -> None:
        with RawClient(self.port) as application:
            application.connect(self.login("application-" + secrets.token_hex(4)))
            if qos:
                application.publish(topic, payload)
            else:
                application.send(publish_bytes(topic, payload))
            application.disconnect()

    def events(self, client_id: str, kind: str) -> list[dict[str, Any]]:
        device = f"{self.instance['instance_id']}/{client_id}"
        listed = self.hub.call("GET", f"/events?device={device}&kind={kind}&limit=10000")
        return list(listed["events"])
