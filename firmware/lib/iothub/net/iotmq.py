"""The older service, IoT MQ: document "客户端签名计算" and PROTOCOL section 1.5. The same session
under its own login and profile; topics are made in its console, client ids are free.

    session = iotmq.session(host, app_id, instance_id, secret_id, secret_key, client_id)
    asyncio.create_task(session.run())
"""

from iothub import topics
from iothub.errors import BadInput
from iothub.iotmq_profile import IoTMQ
from iothub.loading import for_now
from iothub.net.endpoint import Endpoint
from iothub.net.session import Session

_PORT = 1883


def session(
    host,
    app_id,
    instance_id,
    secret_id,
    secret_key,
    client_id,
    port=_PORT,
    security=None,
    network=None,
    **options,
):
    """A Session (net/session.py, which takes the `options`). All names str; `security` is an
    SSLContext, or None for plain TCP."""
    for field, value in (
        ("host", host),
        ("app_id", app_id),
        ("instance_id", instance_id),
        ("secret_id", secret_id),
        ("secret_key", secret_key),
        ("client_id", client_id),
    ):
        if not isinstance(value, str) or not value:
            raise BadInput(field, "is missing")
    login = (
        topics.encode(client_id, "client_id"),
        topics.encode(secret_id, "secret_id"),
        # It covers neither time nor a random number: always the same.
        for_now("iothub.text_signing").iotmq_password(secret_key, app_id, instance_id),
    )
    endpoint = Endpoint(host, port, network, security)
    return Session(endpoint, lambda: login, IoTMQ(), **options)
