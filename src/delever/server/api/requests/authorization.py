"""API keys, roles and the guards of routes: every route names one of the guards below.

With `[api] anonymous_read` a caller without a key may read the market, queues and the history of
ADL, with masked accounts. Data of a single account, and all events of the journal, need
`anonymous_accounts`, too.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from delever.config import Config, Role
from delever.core.messages import (
    AllocateAdl,
    AmendContract,
    AmendPool,
    CancelAdl,
    Command,
    Compensate,
    ConfirmMark,
    DefineAccount,
    DefineAccounts,
    DefineContract,
    DelistContract,
    ForceAdl,
    FundPool,
    MoveContract,
    PauseAdl,
    SetPlanWait,
    SetTime,
    SettleContract,
)
from delever.server.api.requests.errors import ApiError, RequestError
from delever.server.api.requests.masking import Masking
from delever.server.transport.api_keys import ApiKey, KeyProblem, Keyring
from delever.server.transport.asgi import Scope, address_of

Connection = ASGIConnection[Any, Any, Any, Any]

OPERATOR_COMMANDS = (
    FundPool,
    MoveContract,
    AmendContract,
    AmendPool,
    DelistContract,
    SettleContract,
    CancelAdl,
    PauseAdl,
    ForceAdl,
    SetPlanWait,
    AllocateAdl,
    ConfirmMark,
    Compensate,
)
"""Commands that need the role operate, and a note with their reason."""


@dataclass(frozen=True, slots=True)
class Authenticator:
    """The keys, the permissions of anonymous callers, and the secret of the masks."""

    keyring: Keyring
    anonymous_read: bool
    anonymous_accounts: bool
    salt: bytes
    now_ms: Callable[[], int]
    trust_forwarded: bool

    @classmethod
    def of(cls, config: Config, keyring: Keyring, now_ms: Callable[[], int]) -> "Authenticator":
        """Return the authenticator of a configuration."""
        api = config.api
        salt = secrets.token_bytes(16)
        trusts = config.listen.trust_forwarded
        return cls(keyring, api.anonymous_read, api.anonymous_accounts, salt, now_ms, trusts)

    def key(self, connection: Connection) -> ApiKey | None:
        """Return the caller's key, or None without one; raise RequestError for a refused key."""
        authorization = connection.headers.get("authorization")
        if authorization is None:
            return None
        key = self.keyring.bearer(authorization)
        if key is None:
            raise _invalid_api_key("the key or its secret is wrong")
        scope = cast("Scope", connection.scope)
        address = address_of(scope, trust_forwarded=self.trust_forwarded)
        match key.problem(address, self.now_ms()):
            case KeyProblem.EXPIRED:
                raise _invalid_api_key("the key has expired", "api_key_expired")
            case KeyProblem.ADDRESS:
                raise _address_not_allowed(address)
        return key

    def reader(self, connection: Connection) -> ApiKey | None:
        """Return the caller's key, or None for an anonymous caller who may read the market."""
        key = self.key(connection)
        if key is None and not self.anonymous_read:
            raise missing_api_key()
        return key

    def masking(self, connection: Connection) -> Masking:
        """Return the accounts that the caller may read by name."""
        key = self.key(connection)
        if key is None:
            return Masking(self.salt, self.anonymous_accounts)
        return Masking(self.salt, key.has_role(Role.READ), frozenset(key.accounts))


def authenticator_of(connection: Connection) -> Authenticator:
    """Return the authenticator of a connection's app."""
    authenticator: Authenticator = connection.app.state.authenticator
    return authenticator


async def reads_everything(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Allow callers with the role read."""
    authenticator = authenticator_of(connection)
    key = authenticator.reader(connection)
    if key is None and not authenticator.anonymous_accounts:
        raise missing_api_key()
    if key is not None and not key.has_role(Role.READ):
        raise missing_role(Role.READ)


async def reads_market(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Allow callers with the role read or trade-account."""
    key = authenticator_of(connection).reader(connection)
    if key is not None and not (key.has_role(Role.READ) or key.has_role(Role.TRADE_ACCOUNT)):
        raise missing_role(Role.READ)


async def reads_masked(connection: Connection, handler: BaseRouteHandler) -> None:
    """Allow callers who may read the market; the route masks accounts with `masking_of`."""
    await reads_market(connection, handler)


async def reads_account(connection: Connection, handler: BaseRouteHandler) -> None:
    """Allow callers who may read the account in the path."""
    await reads_market(connection, handler)
    check_can_read(connection, str(connection.path_params["account"]))


def masking_of(connection: Connection) -> Masking:
    """Return the accounts that the caller may read by name."""
    return authenticator_of(connection).masking(connection)


def check_can_read(connection: Connection, account: str | None) -> None:
    """Raise RequestError where the caller may not read an account, or all accounts for None."""
    masking = masking_of(connection)
    if masking.sees_all or (account is not None and masking.can_read(account)):
        return
    if authenticator_of(connection).key(connection) is None:
        raise missing_api_key()
    if account is None:
        raise missing_role(Role.READ)
    message = "this key may not read this account"  # whose, only those know who may read it
    error = ApiError(reason="account_not_allowed", field="account", message=message)
    raise RequestError(403, error)


async def submits(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Allow callers who may submit commands."""
    key = authenticator_of(connection).key(connection)
    if key is None:
        raise missing_api_key()
    if not (key.has_role(Role.INGEST) or key.has_role(Role.OPERATE)):
        raise missing_role(Role.INGEST)


def check_command(connection: Connection, command: Command) -> ApiError | None:
    """Return why a caller who passed `submits` may not submit this command, or None."""
    if not is_operators(command):
        return None
    key = authenticator_of(connection).key(connection)
    if key is None or not key.has_role(Role.OPERATE):
        return _role_error(Role.OPERATE)
    if not getattr(command, "note", "-").strip():  # the definition of a contract has none
        message = "an operator's command needs a note with its reason"
        return ApiError(reason="missing_note", field="note", message=message)
    return None


def is_operators(command: Command) -> bool:
    """Return whether a command needs the role operate, and a note.

    So do exemptions from ADL, and the confirmation of a jump of time.
    """
    match command:
        case SetTime():
            return command.confirmed
        case DefineAccounts():
            return any(command.adl_exempt)
        case DefineAccount() | DefineContract():
            return command.adl_exempt
    return isinstance(command, OPERATOR_COMMANDS)


def status_of(error: ApiError) -> int:
    """Return the status of the response to an error of `check_command`."""
    return 403 if error.reason == "missing_role" else 400


def missing_role(role: Role) -> RequestError:
    """Return the response to a key without a role."""
    return RequestError(403, _role_error(role))


def missing_api_key() -> RequestError:
    """Return the response to a request that needs a key and has none."""
    return _invalid_api_key("send Authorization: Bearer ID.SECRET")


def _role_error(role: Role) -> ApiError:
    return ApiError(
        reason="missing_role", field="role", value=str(role), message=f"needs the role {role}"
    )


def _invalid_api_key(message: str, reason: str = "invalid_api_key") -> RequestError:
    error = ApiError(reason=reason, field="authorization", message=message)
    return RequestError(401, error, {"WWW-Authenticate": "Bearer"})


def _address_not_allowed(address: str) -> RequestError:
    message = f"the key is not accepted from {address}"
    error = ApiError(reason="address_not_allowed", field="address", value=address, message=message)
    return RequestError(403, error)
