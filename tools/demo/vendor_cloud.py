"""The vendor's cloud client (`tencentcloud-sdk-python-iotcloud`), unmodified: only its settings
point it at the hub."""

import asyncio
import importlib
import json
from pathlib import Path
from typing import Any

from tools.demo.errors import ChapterFailed

_VERSION = "v20210408"
_TIMEOUT_S = 10


class VendorCloud:
    """`endpoint` is HOST:PORT; `authority` the PEM file of whom to trust."""

    def __init__(self, endpoint: str, authority: Path, secret_id: str, secret_key: str) -> None:
        # Large, and needed by one chapter.
        credential = importlib.import_module("tencentcloud.common.credential")
        profiles = importlib.import_module("tencentcloud.common.profile.client_profile")
        http = importlib.import_module("tencentcloud.common.profile.http_profile")
        client = importlib.import_module(f"tencentcloud.iotcloud.{_VERSION}.iotcloud_client")
        self._models = importlib.import_module(f"tencentcloud.iotcloud.{_VERSION}.models")
        self._client = client.IotcloudClient(
            credential.Credential(secret_id, secret_key),
            "ap-guangzhou",
            profiles.ClientProfile(
                httpProfile=http.HttpProfile(
                    endpoint=endpoint, reqTimeout=_TIMEOUT_S, certification=str(authority)
                )
            ),
        )

    async def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        """The fields of the answer. Raises ChapterFailed."""
        request = getattr(self._models, action + "Request")()
        request.from_json_string(json.dumps(parameters))
        try:
            answer = await asyncio.to_thread(getattr(self._client, action), request)
        except Exception as error:  # its own class is not known before it is loaded
            raise ChapterFailed(f"the vendor's client: {action}: {error}") from None
        fields: dict[str, Any] = json.loads(answer.to_json_string())
        return fields
