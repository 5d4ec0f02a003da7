from typing import Any

from iothub.net.session import Session

def session(
    host: str,
    app_id: str,
    instance_id: str,
    secret_id: str,
    secret_key: str,
    client_id: str,
    port: int = 1883,
    security: Any = None,
    network: Any = None,
    **options: Any,
) -> Session: ...
