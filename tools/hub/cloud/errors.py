"""What the API refuses with."""

from tools.hub.registry import RegistryError


class CloudError(Exception):
    """A refusal with the vendor's code. The text says what is wrong and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_REGISTRY_CODES = {
    "invalid": "InvalidParameterValue",
    "not_found": "ResourceNotFound",
    "conflict": "InvalidParameterValue",
    "limit": "LimitExceeded",
    "forbidden": "FailedOperation.InvalidTopicName",
    "too_large": "InvalidParameterValue.PayloadOverLimit",
}


def refusal_of(error: RegistryError) -> CloudError:
    """The vendor's general code for what an action did not look at closer itself."""
    return CloudError(_REGISTRY_CODES.get(error.code, "FailedOperation"), str(error))
