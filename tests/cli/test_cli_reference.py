"""rules and schema: what the installed version implements."""

import json

import msgspec
from command_line import Call

from delever.cli import ExitCode
from delever.core.rules import RULE_SETS


def test_rules_lists_rule_sets_and_the_rules_of_one(delever: Call) -> None:
    answer = json.loads(delever("rules", "--json")[1])
    assert [row["rules"] for row in answer["rows"]] == list(RULE_SETS)
    answer = json.loads(delever("rules", "bybit", "--json")[1])
    assert answer["triggers"] == "pool_equity, contract_drawdown"
    assert [row["id"] for row in answer["rows"]] == [rule.id for rule in RULE_SETS["bybit"].rules]
    assert all(row["source"] and row["confidence"] for row in answer["rows"])
    assert delever("rules", "bybt")[0] == ExitCode.USAGE_ERROR


def test_schema_is_json_schema(delever: Call) -> None:
    code, out, _ = delever("schema")
    assert code == ExitCode.SUCCESS
    assert msgspec.json.decode(out)["discriminator"]["propertyName"] == "type"
