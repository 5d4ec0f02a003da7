"""Routes for IoT MQ: instances and their topics."""

from typing import Any

from aiohttp import web

from tools.hub.api.errors import ApiError, integer_field, read_object, text_field
from tools.hub.iotmq.catalogue import Instance, MqTopic
from tools.hub.iotmq.service import IotMq

_DEFAULT_LIFE_TIME_S = 24 * 3600
_DEFAULT_MAX_BYTES = 16 * 1024


def routes(iotmq: IotMq) -> list[web.RouteDef]:
    """The routes over one service."""
    catalogue = iotmq.catalogue

    async def add_instance(request: web.Request) -> web.Response:
        body = await read_object(request)
        port = integer_field(body, "port", 0)
        if not 0 <= port <= 65535:
            raise ApiError(400, "invalid", "port: must be 0 (any free one) to 65535")
        names = ("instance_id", "app_id", "secret_id", "secret_key")
        given = {name: text_field(body, name, "") for name in names}
        instance = await iotmq.add_instance(port, **given)
        shown = _instance(instance) | {"secret_key": instance.secret_key}
        return web.json_response(shown, status=201)

    async def list_instances(_request: web.Request) -> web.Response:
        listed = [_instance(instance) for instance in catalogue.instances.values()]
        return web.json_response({"instances": listed})

    async def add_topic(request: web.Request) -> web.Response:
        body = await read_object(request)
        topic = catalogue.add_topic(
            request.match_info["id"],
            text_field(body, "topic"),
            integer_field(body, "life_time_s", _DEFAULT_LIFE_TIME_S),
            integer_field(body, "max_bytes", _DEFAULT_MAX_BYTES),
        )
        return web.json_response(_topic(topic), status=201)

    async def list_topics(request: web.Request) -> web.Response:
        instance = catalogue.instance(request.match_info["id"])
        return web.json_response({"topics": [_topic(each) for each in instance.topics.values()]})

    return [
        web.post("/iotmq", add_instance),
        web.get("/iotmq", list_instances),
        web.post("/iotmq/{id}/topics", add_topic),
        web.get("/iotmq/{id}/topics", list_topics),
    ]


def _instance(instance: Instance) -> dict[str, Any]:
    return {
        "instance_id": instance.instance_id,
        "app_id": instance.app_id,
        "secret_id": instance.secret_id,
        "port": instance.port,
        "created_ms": instance.created_ms,
        "topics": len(instance.topics),
    }


def _topic(topic: MqTopic) -> dict[str, Any]:
    return {
        "topic": topic.name,
        "life_time_s": topic.life_time_s,
        "max_bytes": topic.max_bytes,
    }
