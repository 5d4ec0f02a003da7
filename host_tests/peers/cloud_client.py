"""The vendor's cloud client, unmodified, pointed at a hub by its own settings."""

import importlib
import json
import warnings
from typing import Any

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from host_tests.peers.broker_servers import HubServer

CLOUD_TIMEOUT_S = 20


class Refused(Exception):
    """The client raised with a code of the cloud's."""

    def __init__(self, error: TencentCloudSDKException) -> None:
        super().__init__(f"{error.get_code()}: {error.get_message()}")
        self.code = error.get_code()
        self.request_id = error.get_request_id()


class CloudClient:
    """One client of one version of the API; it is given the hub's authority and its keys."""

    def __init__(
        self,
        hub: HubServer,
        version: str = "v20210408",
        sign_method: str = "TC3-HMAC-SHA256",
        http_method: str = "POST",
        unsigned_payload: bool = False,
        **keys: str,
    ) -> None:
        self._models = importlib.import_module(f"tencentcloud.iotcloud.{version}.models")
        client = importlib.import_module(f"tencentcloud.iotcloud.{version}.iotcloud_client")
        kept = hub.hub.cloud.keys
        http = HttpProfile(
            endpoint=f"127.0.0.1:{hub.ports['cloud']}",
            reqMethod=http_method,
            reqTimeout=CLOUD_TIMEOUT_S,
            certification=f"{hub.hub.config.data}/ca/ca.pem",
        )
        profile = ClientProfile(sign_method, http)
        profile.unsignedPayload = unsigned_payload
        self._client = client.IotcloudClient(
            credential.Credential(
                keys.get("secret_id", kept.secret_id), keys.get("secret_key", kept.secret_key)
            ),
            "ap-guangzhou",
            profile,
        )

    def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        """The fields of the answer, as the client's own model has read them."""
        request = getattr(self._models, action + "Request")()
        request.from_json_string(json.dumps(parameters))
        try:
            with warnings.catch_warnings():
                # It warns of fields that its model does not have.
                warnings.simplefilter("error", UserWarning)
                answer = getattr(self._client, action)(request)
        except TencentCloudSDKException as error:
            raise Refused(error) from None
        return json.loads(answer.to_json_string())

    def refusal(self, action: str, **parameters: Any) -> str:
        """The code an action is refused with."""
        try:
            answer = self.call(action, **parameters)
        except Refused as refused:
            return refused.code
        raise AssertionError(f"{action} was not refused: {answer}")
