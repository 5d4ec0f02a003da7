"""Actions on the rules of the rule engine. SQL travels as base64, actions as JSON in a text."""

import base64
import binascii
from typing import Any

from tools.hub.cloud.actions import MAX_PAGE, V2021, Action, Actions
from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.parameters import Parameters
from tools.hub.rules.errors import RuleError
from tools.hub.rules.service import Rules

_CODES = {
    "json": "InvalidParameterValue.InvalidJSON",
    "sql": "InvalidParameterValue.InvalidSQL",
    "not_found": "ResourceNotFound.TopicRuleNotExist",
    "conflict": "InvalidParameterValue.TopicRuleAlreadyExist",
    "limit": "InvalidParameterValue.RuleNumberBeyondLimit",
    "enabled": "FailedOperation.RuleAlreadyEnabled",
    "disabled": "FailedOperation.RuleAlreadyDisabled",
    "unreachable": "InvalidParameterValue.CheckForwardURLFail",
    "redirect": "InvalidParameterValue.ForwardRedirectDenied",
    "topic": "InvalidParameterValue.RepublishTopicFormatError",
}


class TopicRules:
    """Over the rule engine."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def actions(self) -> Actions:
        return {
            "CreateTopicRule": Action(self._create),
            "ReplaceTopicRule": Action(self._replace),
            "EnableTopicRule": Action(self._enable),
            "DisableTopicRule": Action(self._disable),
            "DeleteTopicRule": Action(self._delete),
            "ListTopicRules": Action(self._list, (V2021,)),
        }

    async def _create(self, parameters: Parameters) -> dict[str, Any]:
        name = parameters.text("RuleName")
        sql, actions, description, enabled = _payload(parameters)
        try:
            await self._rules.add(name, sql, actions, description, enabled)
        except RuleError as error:
            raise _refusal(error) from None
        return {}

    async def _replace(self, parameters: Parameters) -> dict[str, Any]:
        name = parameters.text("RuleName")
        sql, actions, description, enabled = _payload(parameters)
        try:
            await self._rules.replace(name, sql, actions, description, enabled)
        except RuleError as error:
            raise _refusal(error) from None
        return {}

    async def _enable(self, parameters: Parameters) -> dict[str, Any]:
        return await self._switch(parameters, True)

    async def _disable(self, parameters: Parameters) -> dict[str, Any]:
        return await self._switch(parameters, False)

    async def _switch(self, parameters: Parameters, enabled: bool) -> dict[str, Any]:
        try:
            await self._rules.set_enabled(parameters.text("RuleName"), enabled)
        except RuleError as error:
            raise _refusal(error) from None
        return {}

    async def _delete(self, parameters: Parameters) -> dict[str, Any]:
        try:
            self._rules.book.remove(parameters.text("RuleName"))
        except RuleError as error:
            raise _refusal(error) from None
        return {}

    async def _list(self, parameters: Parameters) -> dict[str, Any]:
        number = parameters.integer("PageNum", least=1)
        size = parameters.integer("PageSize", least=1, most=MAX_PAGE)
        rules = list(self._rules.book.rules.values())
        return {
            "TotalCnt": len(rules),
            "Rules": [
                {
                    "RuleName": rule.name,
                    "Description": rule.description,
                    "CreatedAt": rule.created_ms // 1000,
                    "RuleDisabled": not rule.enabled,
                    "TopicPattern": rule.statement.topic_filter,
                }
                for rule in rules[(number - 1) * size : number * size]
            ],
        }


def _payload(parameters: Parameters) -> tuple[str, str, str, bool]:
    """SQL, actions, description, and whether the rule is enabled."""
    payload = parameters.inner("TopicRulePayload", required=True)
    encoded, actions = payload.text("Sql"), payload.text("Actions")
    if not encoded:
        raise CloudError("InvalidParameterValue.TopicRuleSqlNotEdited", "Sql is empty")
    if actions.strip() in ("", "[]"):
        raise CloudError("InvalidParameterValue.ActionNil", "Actions has no action")
    try:
        sql = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        raise CloudError(
            "InvalidParameterValue.InvalidSQL", "Sql is base64 of a statement in UTF-8"
        ) from None
    enabled = not payload.boolean("RuleDisabled", False)
    return sql, actions, payload.text("Description", ""), enabled


def _refusal(error: RuleError) -> CloudError:
    return CloudError(_CODES.get(error.code, "InvalidParameterValue"), str(error))
