from typing import Any

from iothub.credentials import Identity

class Config:
    identity: Identity
    product_id: str
    device_name: str
    certificate: str
    private_key: str
    ca: str
    region: str
    host: str
    port: int
    transport: str
    websocket_path: str
    keepalive_s: int
    clean_session: bool
    sntp: str
    queue: dict[str, Any]
    algorithm: str
    http: dict[str, Any]
    coap: dict[str, Any]
    update: dict[str, Any]
    network: dict[str, Any]
    app: dict[str, Any]
    def __init__(self, fields: dict[str, Any], registering: bool = False) -> None: ...

def load(path: str) -> Config: ...
def read(path: str) -> dict[str, Any]: ...
