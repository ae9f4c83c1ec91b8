"""Routes of the native API: roles, errors, explanations, queues."""

from collections.abc import Iterator

import msgspec
import pytest
from api_clients import (
    CLOSED_CONFIG,
    CRASH,
    add_role_keys,
    client,
    crash_lines,
    submit_lines,
    untimed,
)
from live_server import LiveServer, live_server

from delever.config import Config, ListenConfig
from delever.core.book import Book
from delever.core.engine import step
from delever.lab.queries.position_queries import explain, what_if
from delever.lab.runs.scenario import read_scenario

ROLES = """
call                                                 nobody read trade ingest operate
GET  /v1/contracts                                   401    200  200   403    403
GET  /v1/contracts/BTCUSDT                           401    200  200   403    403
GET  /v1/contracts/BTCUSDT/rating                    401    200  200   403    403
GET  /v1/contracts/BTCUSDT/history                   401    200  200   403    403
GET  /v1/contracts/BTCUSDT/queue?side=short          401    200  200   403    403
GET  /v1/contracts/BTCUSDT/queue?side=short&account=bob  401 404 404   403    403
GET  /v1/contracts/BTCUSDT/queue?side=short&account=dan  401 200 403   403    403
GET  /v1/pools                                       401    200  200   403    403
GET  /v1/pools/main                                  401    200  200   403    403
GET  /v1/pools/main/history                          401    200  200   403    403
GET  /v1/accounts/bob                                401    200  200   403    403
GET  /v1/accounts/dan                                401    200  403   403    403
GET  /v1/accounts/bob/notices                        401    200  200   403    403
GET  /v1/notices                                     401    200  403   403    403
GET  /v1/accounts/dan/explain?contract=BTCUSDT       401    200  403   403    403
POST /v1/accounts/bob/what-if                        401    400  400   403    403
GET  /v1/events                                      401    200  403   403    403
GET  /v1/events/stream?after=x                       401    400  403   403    403
GET  /v1/events/stream?after=x&types=adl_started     401    400  400   403    403
GET  /v1/events/stream?types=adl_started,marks_set&after=x  401 400 403 403   403
GET  /v1/adl                                         401    200  200   403    403
GET  /v1/adl/1                                       401    200  200   403    403
GET  /v1/adl/totals                                  401    200  200   403    403
GET  /v1/adl/rounds/13/recompute                     401    200  403   403    403
GET  /v1/fills                                       401    200  403   403    403
GET  /v1/fills?account=bob                           401    200  200   403    403
GET  /v1/fills?account=dan                           401    200  403   403    403
GET  /v1/fills/2                                     401    200  200   403    403
GET  /v1/fills/3                                     401    200  403   403    403
GET  /v1/rules                                       401    200  200   403    403
GET  /v1/rules/bybit                                 401    200  200   403    403
GET  /v1/status                                      401    200  200   403    403
GET  /v1/health                                      200    200  200   200    200
GET  /v1/ready                                       200    200  200   200    200
GET  /v1/startup                                     200    200  200   200    200
GET  /schema                                         200    200  200   200    200
POST /v1/commands define_account                     401    403  403   200    200
POST /v1/commands set_account_margin                 401    403  403   200    200
POST /v1/commands fund_pool                          401    403  403   403    200
POST /v1/commands move_contract                      401    403  403   403    422
POST /v1/commands amend_contract                     401    403  403   403    200
POST /v1/commands amend_pool                         401    403  403   403    422
POST /v1/commands delist_contract                    401    403  403   403    422
POST /v1/commands settle_contract                    401    403  403   403    422
POST /v1/commands cancel_adl                         401    403  403   403    422
POST /v1/commands pause_adl                          401    403  403   403    200
POST /v1/commands force_adl                          401    403  403   403    422
POST /v1/commands confirm_mark                       401    403  403   403    422
POST /v1/commands compensate                         401    403  403   403    422
POST /v1/commands/bulk define_account                401    403  403   200    200
POST /v1/commands/bulk fund_pool                     401    403  403   403    200
"""

BODIES = {
    "define_account": {"account": "eve"},
    "set_account_margin": {
        "version": 0,
        "account": "ann",
        "asset": "USDT",
        "equity": "5",
        "maintenance": "1",
    },
    "fund_pool": {"pool": "main", "amount": "1", "reason": "injection", "note": "test"},
    "move_contract": {"contract": "BTCUSDT", "pool": "none", "note": "test"},
    "amend_contract": {"contract": "BTCUSDT", "adl_exempt": False, "note": "test"},
    "amend_pool": {"pool": "none", "note": "test"},
    "delist_contract": {"contract": "NONE", "note": "test"},
    "settle_contract": {"contract": "NONE", "price": "1", "note": "test"},
    "cancel_adl": {"fill": 99, "note": "test"},
    "pause_adl": {"contract": "BTCUSDT", "paused": False, "note": "test"},
    "force_adl": {"contract": "BTCUSDT", "note": "test"},
    "compensate": {
        "account": "bob",
        "contract": "BTCUSDT",
        "fill": 99,
        "amount": "1",
        "note": "test",
    },
    "confirm_mark": {"contract": "BTCUSDT", "note": "test"},
}

HEADING, *CALLS = ROLES.strip().splitlines()

FORBIDDEN = {401: {"invalid_api_key"}, 403: {"missing_role", "account_not_allowed"}}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """A server without anonymous read, after the crash of the examples."""
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        response = submit_lines(serving, crash_lines())
        assert response["rejected"] == 0
        yield serving


@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call.split()[:2]))
def test_roles_allow_and_forbid_routes(server: LiveServer, call: str) -> None:
    method, path, *rest = call.split()
    command = rest.pop(0) if not rest[0].isdigit() else ""
    body = {"type": command, **BODIES[command]} if command else {}
    for key, status in zip(HEADING.split()[1:], map(int, rest), strict=True):
        with client(server, "" if key == "nobody" else key) as caller:
            answer = caller.request(method, path, content=msgspec.json.encode(body))
            assert answer.status_code == status, (key, answer.text)
            if status in {401, 403}:
                assert answer.json()["error"]["reason"] in FORBIDDEN[status]


@pytest.mark.parametrize(
    "authorization", ["Bearer read.wrong", "Bearer none.s3cret", "Basic read.s3cret", "read"]
)
def test_a_wrong_key_is_rejected_with_401(server: LiveServer, authorization: str) -> None:
    with client(server) as caller:
        for path in ("/v1/contracts", "/v1/fills"):
            answer = caller.get(path, headers={"Authorization": authorization})
            assert answer.status_code == 401
            assert "s3cret" not in answer.text
            assert answer.headers["www-authenticate"] == "Bearer"


ERRORS = """
call                                                    status  reason              field     value
GET /v1/nowhere                                      404     not_found           -         -
GET /v1/contracts/DOGE                               404     unknown_contract    contract  DOGE
GET /v1/contracts/DOGE/queue?side=long               404     unknown_contract    contract  DOGE
GET /v1/contracts/BTCUSDT/queue?side=up              400     invalid_request     side      up
GET /v1/contracts/BTCUSDT/queue                      400     invalid_request     side      -
GET /v1/contracts/BTCUSDT/queue?side=long&limit=0    400     invalid_request     limit     0
GET /v1/contracts/BTCUSDT/queue?side=long&rules=no   404     unknown_rule_set    rules     no
GET /v1/contracts/BTCUSDT/queue?side=long&account=x  404     unknown_account     account   x
GET /v1/pools/none                                   404     unknown_pool        pool      none
GET /v1/pools/none/history                           404     unknown_pool        pool      none
GET /v1/accounts/none                                404     unknown_account     account   none
GET /v1/accounts/ann/explain?contract=BTCUSDT        404     unknown_position    position  -
GET /v1/events?type=nothing                          400     invalid_request     type      nothing
GET /v1/events?after=-1                              400     invalid_request     after     -1
GET /v1/events/stream?after=x                        400     invalid_request     after     x
GET /v1/events/stream?types=adl_started,none         400     invalid_request     types     none
GET /v1/adl/99                                       404     unknown_episode     episode   99
GET /v1/adl/rounds/99999/recompute                   404     unknown_record      sequence  99999
GET /v1/fills/99                                     404     unknown_fill        fill      99
GET /v1/rules/none                                   404     unknown_rule_set    name      none
DELETE /v1/contracts                                    405     method_not_allowed  -         -
"""


@pytest.mark.parametrize("row", ERRORS.strip().splitlines()[1:], ids=lambda row: row[:50].strip())
def test_errors_name_reason_field_and_value(server: LiveServer, row: str) -> None:
    method, path, status, *expected = row.split()
    with client(server, "read") as caller:
        answer = caller.request(method, path)
    error = answer.json()["error"]
    response = [error[name] or "-" for name in ("reason", "field", "value")]
    assert [answer.status_code, *response] == [int(status), *expected]


COMMANDS = """
status  reason            field        type             body
400     invalid_command   -            -                [
400     invalid_command   -            -                []
400     invalid_command   -            define_account   {}
400     invalid_command   type         nothing          {}
400     invalid_command   amount       fund_pool        {"pool":"main","amount":1.5}
400     missing_note      note         fund_pool        {"pool":"main","amount":1,"reason":"seed"}
400     missing_note      note         force_adl        {"contract":"BTCUSDT","note":" "}
400     time_in_future    time_ms      set_time         {"time_ms":99999999999999999999}
400     time_in_future    time_ms      set_time         {"time_ms":4000000000000}
400     invalid_request   fill         cancel_adl       {"fill":99999999999999999999,"note":"x"}
400     invalid_name      account      define_account   {"account":"a\\u0000b"}
400     invalid_name      accounts[1]  define_accounts  {"accounts":["a","b\\nc"]}
400     invalid_name      asset        define_asset     {"asset":"LONG"}
400     invalid_name      asset        define_asset     {"asset":"BT\\u0421"}
400     invalid_name      account      define_account   {"account":"\\uff41nn"}
400     invalid_name      id           set_time         {"id":"LONG"}
422     empty_name        account      define_account   {"account":""}
422     unknown_contract  marks.DOGE   set_marks        {"marks":{"DOGE":"1"},"strict":true}
422     time_in_past      time_ms      set_time         {"time_ms":1}
"""


@pytest.mark.parametrize("row", COMMANDS.strip().splitlines()[1:])
def test_an_invalid_command_is_rejected_with_its_reason(server: LiveServer, row: str) -> None:
    status, reason, field, kind, body = row.replace("LONG", "n" * 201).split(maxsplit=4)
    if kind != "-":
        body = msgspec.json.encode({"type": kind, **msgspec.json.decode(body)}).decode()
    with client(server, "operate") as operator:
        answer = operator.post("/v1/commands", content=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["reason"], error["field"] or "-") == (
            int(status),
            reason,
            field,
        ), answer.text
        assert bool(error["sequence"]) == (status == "422"), "a rejection by the engine is recorded"


def test_a_body_beyond_the_limit_is_rejected_with_413() -> None:
    small = msgspec.structs.replace(CLOSED_CONFIG, listen=ListenConfig(max_body_bytes=1_000))
    with live_server(small) as serving:
        add_role_keys(serving.service)
        with client(serving, "operate") as operator:
            for path in ("/v1/commands", "/v1/commands/bulk"):
                answer = operator.post(path, content=b" " * 1_001)
                assert answer.status_code == 413
                assert answer.json()["error"]["reason"] == "body_too_large"


# --- responses equal the core ---


def facts(answer: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in answer.items() if name not in {"as_of", "time_ms"}}


def test_explanations_and_what_ifs_equal_those_of_the_core() -> None:
    """Before the fall, while all accounts have a position."""
    before = read_scenario(CRASH)[:11]
    own = Book()
    for command in before:
        step(own, command)
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        submit_lines(serving, untimed(before))
        with client(serving, "read") as reader:
            for account in ("bob", "cyd", "dan"):
                path = f"/v1/accounts/{account}/explain"
                response = reader.get(path, params={"contract": "BTCUSDT"}).json()
                why = explain(own, "BTCUSDT", account)
                lines = response.pop("lines")
                assert facts(response) == facts(msgspec.to_builtins(why.facts()))
                assert lines == why.lines()
            changes = {
                "set_leverage": ("leverage", "leverage", "2"),
                "add_margin": ("amount", "add_margin", "1000"),
                "partial_close": ("quantity", "close", "10"),
                "open_hedge": ("quantity", "hedge", "10"),
            }
            for change, (field, argument, amount) in changes.items():
                question = {"contract": "BTCUSDT", "change": {"change": change, field: amount}}
                response = reader.post("/v1/accounts/bob/what-if", json=question).json()
                outcome = what_if(own, "BTCUSDT", "bob", **{argument: amount})
                assert response.pop("text").splitlines()[1:] == str(outcome).splitlines()[1:]
                assert facts(response) == facts(msgspec.to_builtins(outcome.facts()))
            question = {
                "contract": "BTCUSDT",
                "change": {"change": "partial_close", "quantity": 999},
            }
            rejected = reader.post("/v1/accounts/bob/what-if", json=question)
            error = rejected.json()["error"]
            assert (rejected.status_code, error["reason"]) == (422, "exceeds_position")
            assert (error["field"], error["value"]) == ("change.quantity", "999")


CONTRACT = b"""{"type":"define_contract","contract":"C","kind":"linear","settle":"USDT",
"pool":"main","tick_size":"0.1","lot_size":"1"}""".replace(b"\n", b"")


def test_a_queue_is_paged_and_finds_an_account() -> None:
    lines = [
        b'{"type":"define_pool","pool":"main","kind":"shared","asset":"USDT","rules":"bybit"}',
        CONTRACT,
        b'{"type":"set_marks","marks":{"C":"100"}}',
    ]
    rows = []
    for number in range(250):
        name = f"a{number:03}"
        lines.append(b'{"type":"define_account","account":"%s"}' % name.encode())
        rows.append({"account": name, "contract": "C", "side": "long", "quantity": 1 + number % 7})
        rows[-1] |= {"entry_price": str(60 + number % 35), "isolated_margin": 40 if number else 0}
    lines.append(msgspec.json.encode({"type": "set_positions", "version": 1, "positions": rows}))
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        assert submit_lines(serving, b"\n".join(lines))["rejected"] == 0
        with client(serving, "read") as reader:
            path = "/v1/contracts/C/queue"
            pages = [
                reader.get(path, params={"side": "long", "offset": at, "limit": 100}).json()
                for at in (0, 100, 200, 300)
            ]
            found = reader.get(
                path, params={"side": "long", "account": "a123", "limit": 100}
            ).json()
    assert [len(page["rows"]) for page in pages] == [100, 100, 50, 0]
    assert {page["total"] for page in pages} == {250}
    whole = [row for page in pages for row in page["rows"]]
    ranks = [row["rank"] for row in whole if row["rank"]]
    assert ranks == list(range(1, pages[0]["ranked"] + 1))
    assert len({row["account"] for row in whole}) == 250
    assert [row["reason"] for row in whole[len(ranks) :]] == [
        "equity_not_positive" for _ in whole[len(ranks) :]
    ]
    ahead = 0
    for row in whole[: len(ranks)]:
        assert row["quantity_ahead"] == str(ahead)
        ahead += int(row["quantity"])
        assert row["cumulative_quantity"] == str(ahead)
    assert found["rows"] == whole[found["offset"] : found["offset"] + 100]
    assert "a123" in {row["account"] for row in found["rows"]}


def test_anonymous_read_allows_reading_but_not_commands() -> None:
    config = msgspec.convert(
        {"journal": {"path": ":memory:"}, "api": {"anonymous_read": True}}, Config
    )
    with live_server(config) as serving, client(serving) as nobody:
        assert nobody.get("/v1/contracts").json() == []
        assert nobody.get("/v1/pools").json() == []
        assert nobody.post("/v1/commands", content=b"{}").status_code == 401
