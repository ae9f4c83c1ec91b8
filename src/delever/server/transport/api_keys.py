"""API keys with roles and accounts, and signatures over the bytes of a request as received.

Secrets are compared in constant time, stored only here, and never part of a message or error.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import unquote_to_bytes

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from delever.config import ApiKeyConfig, ConfigError, Role, expiry_ms, secret

FAILED_LOGIN_DELAY_S = 0.2
"""How late a login with a wrong key is answered."""

Network = IPv4Network | IPv6Network
PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey


log = structlog.get_logger()


class KeyProblem(StrEnum):
    """Why a key whose secret is right is refused."""

    EXPIRED = "expired"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API key; `accounts` are those that a trade-account key may read.

    `name` is its public name, if it has one. It is refused from `expires_ms` on, and from addresses
    outside `networks` where there are any.
    """

    id: str
    roles: frozenset[Role]
    accounts: tuple[str, ...]
    _secret: bytes = field(default=b"", repr=False)
    _passphrase: bytes = field(default=b"", repr=False)
    _public: PublicKey | None = field(default=None, repr=False)
    name: str = ""
    expires_ms: int | None = None
    networks: tuple[Network, ...] = ()

    def problem(self, address: str, now_ms: int) -> KeyProblem | None:
        """Return why the key is refused from an address now, or None where it is accepted."""
        if self.expires_ms is not None and now_ms >= self.expires_ms:
            return KeyProblem.EXPIRED
        return None if self._is_allowed(address) else KeyProblem.ADDRESS

    def _is_allowed(self, address: str) -> bool:
        if not self.networks:
            return True
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)  # an IPv4 client of a socket for both
        return any((mapped or parsed) in network for network in self.networks)

    @property
    def public_name(self) -> str:
        """What journal and log call the key: its name, or its id where that is no credential.

        The venue APIs open some streams with the id of a trade-account key alone.
        """
        return self.name or ("" if Role.TRADE_ACCOUNT in self.roles else self.id)

    def has_role(self, role: Role) -> bool:
        """Whether the key has a role."""
        return role in self.roles

    def can_read(self, account: str) -> bool:
        """Whether the key may read an account: any with the role read, else its own ones."""
        return Role.READ in self.roles or account in self.accounts

    @property
    def account(self) -> str | None:
        """The account that the venue APIs return to this key, or None."""
        return self.accounts[0] if self.accounts else None

    @property
    def secret_bytes(self) -> bytes | None:
        """The secret, for a check of its strength, or None for a key without one."""
        return self._secret or None

    def matches_secret(self, secret_text: str) -> bool:
        """Whether a text is the key's secret, in constant time."""
        given = secret_text.encode(errors="replace")
        return bool(self._secret) and hmac.compare_digest(given, self._secret)

    def matches_passphrase(self, passphrase: str) -> bool:
        """Whether a text is the key's passphrase, in constant time."""
        return hmac.compare_digest(passphrase.encode(errors="replace"), self._passphrase)

    def derive(self, purpose: bytes) -> bytes:
        """Return 64 bytes that only a holder of the key's secret can compute, for a purpose.

        A key with a public key instead of a secret derives them from that public key, which this
        server does not publish.
        """
        secret_bytes = self._secret or _public_bytes(self._public)
        return hmac.digest(secret_bytes, purpose + self.id.encode(), hashlib.sha512)

    def verifies_hex(self, payload: bytes, signature: str) -> bool:
        """Whether a signature of the payload is this key's, in the text form of Binance and Bybit.

        HMAC-SHA256 in hexadecimal, of any case; RSA (PKCS #1 v1.5, SHA-256) and Ed25519 in base64,
        percent-encoded or not.
        """
        if self._public is not None:
            return _verified(self._public, payload, unquote_to_bytes(signature))
        expected = hmac.new(self._secret, payload, hashlib.sha256).hexdigest()
        return hmac.compare_digest(signature.lower().encode(errors="replace"), expected.encode())

    def verifies_base64(self, payload: bytes, signature: str) -> bool:
        """Whether a base64 HMAC-SHA256 of the payload (the form of OKX) is this key's.

        False for a key that has a public key instead of a secret.
        """
        if not self._secret:
            return False
        expected = base64.b64encode(hmac.new(self._secret, payload, hashlib.sha256).digest())
        return hmac.compare_digest(signature.encode(errors="replace"), expected)


def _public_bytes(public: PublicKey | None) -> bytes:
    if public is None:
        return b""
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _verified(public: PublicKey, payload: bytes, encoded: bytes) -> bool:
    try:
        signature = base64.b64decode(encoded, validate=True)
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, payload, padding.PKCS1v15(), hashes.SHA256())
        else:
            public.verify(signature, payload)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


class FailedLogins:
    """Counts, logs and delays logins that fail; `counts` has them by API."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def report(self, api: str, address: str, why: str) -> None:
        """Report a login that failed; return after the delay of its answer."""
        self.counts[api] += 1
        log.warning("a login failed", api=api, address=address, why=why)
        await asyncio.sleep(FAILED_LOGIN_DELAY_S)


class Keyring:
    """All API keys of a server; raises ConfigError where a key's secret cannot be read."""

    def __init__(self, keys: Iterable[ApiKeyConfig]) -> None:
        self._keys = {key.id: _load(key) for key in keys}
        self.failed_logins = FailedLogins()

    def add(self, key: ApiKey) -> None:
        """Add a key that is not in the configuration."""
        self._keys[key.id] = key

    def reload(self, keys: Iterable[ApiKeyConfig]) -> None:
        """Replace all keys; raise ConfigError, with the keys of before, where one cannot be read.

        Requests that are being served, and open sockets, keep the key that they began with.
        """
        self._keys = {key.id: _load(key) for key in keys}

    def find(self, key_id: str) -> ApiKey | None:
        """Return the key with an id, or None."""
        return self._keys.get(key_id)

    def all(self) -> Iterable[ApiKey]:
        """Return all keys."""
        return tuple(self._keys.values())

    def bearer(self, authorization: str) -> ApiKey | None:
        """Return the key of `Authorization: Bearer ID.SECRET`, or None."""
        scheme, _, token = authorization.partition(" ")
        key_id, _, secret_text = token.strip().partition(".")
        key = self._keys.get(key_id)
        if scheme.lower() != "bearer" or key is None or not key.matches_secret(secret_text):
            return None
        return key


def _load(key: ApiKeyConfig) -> ApiKey:
    where = f"key {key.id!r}"
    material = b""
    if key.secret_env or key.secret_file:
        material = secret(where, env=key.secret_env, file=key.secret_file).encode()
    passphrase = secret(where, env=key.passphrase_env) if key.passphrase_env else ""
    return ApiKey(
        id=key.id,
        roles=frozenset(key.roles),
        accounts=key.accounts,
        _secret=material,
        _passphrase=passphrase.encode(),
        _public=_public_key(where, key.public_key_file) if key.public_key_file else None,
        name=key.name,
        expires_ms=expiry_ms(key.expires),
        networks=tuple(map(ip_network, key.addresses)),
    )


def _public_key(where: str, path: str) -> PublicKey:
    try:
        public = load_pem_public_key(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {path}: {error}") from error
    if not isinstance(public, rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise ConfigError(f"{where}: {path}: neither an RSA nor an Ed25519 key")
    return public
