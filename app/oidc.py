"""OpenID Connect: bearer tokens of an identity provider, in place of API keys where the operator names one.

A token is believed that the provider has signed (by its published keys; never by a shared secret), for this service
(audience), and that has not ended. Claims say which tenant it is for and what it may do.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx

from app.access import Holder, Role, is_tenant
from app.config import OidcSettings
from app.errors import Misconfigured, NotAllowed, NotAuthenticated, Unavailable

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")

LONGEST = 8_192
"""Characters of a token."""

KEPT_S = 300.0
"""How long the provider's keys are believed; one that it withdraws works for so long at the most."""

ASKED_AGAIN_S = 10.0
"""A key that is not known is looked for at the provider, but not more often than this, whoever asks."""


class Provider:
    """Recognises one provider's tokens; threads may share it."""

    def __init__(
        self, settings: OidcSettings, wall: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Connects nothing. Raises Misconfigured where the extra `oidc` is not installed."""
        try:
            import jwt
        except ImportError as exc:
            raise Misconfigured(
                "FACSIMILE_OIDC__ISSUER is set and PyJWT is not installed; install 'facsimile-faces[oidc]', or unset it"
            ) from exc
        self._jwt = jwt
        self._settings = settings
        self._wall = wall
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._asked = -1e9

    def holder_of(self, token: str) -> Holder:
        """Whose a token is.

        Raises NotAuthenticated where it is not believed, NotAllowed where its claims give no role or no tenant here,
        and Unavailable where the provider's keys cannot be had.
        """
        claims = self._claims(token)
        tenant = _claim(claims, self._settings.tenant_claim)
        if not isinstance(tenant, str) or not is_tenant(tenant):
            raise NotAllowed(f"the token's claim {self._settings.tenant_claim!r} names no tenant")
        subject = f"{claims['iss']} {claims['sub']}"
        return Holder(
            tenant=tenant,
            key_id=f"oidc-{hashlib.sha256(subject.encode()).hexdigest()[:16]}",
            role=self._role(claims),
            label=str(claims.get("preferred_username") or claims.get("email") or claims["sub"])[:100],
            expires_at=datetime.fromtimestamp(claims["exp"], UTC).isoformat(timespec="seconds"),
        )

    def _role(self, claims: dict[str, Any]) -> Role:
        said = _claim(claims, self._settings.role_claim)
        listed = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
        found = [role for role in Role if f"{self._settings.role_prefix}{role.value}" in listed]
        if not found:
            raise NotAllowed(f"the token's claim {self._settings.role_claim!r} gives no role here")
        return found[-1]  # the highest

    def _claims(self, token: str) -> dict[str, Any]:
        jwt, settings = self._jwt, self._settings
        try:
            if len(token) > LONGEST:
                raise jwt.InvalidTokenError("it is too long")
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise jwt.InvalidTokenError("its algorithm is none that is taken")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(str(header.get("kid", ""))),
                algorithms=list(ALGORITHMS),
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as exc:
            raise NotAuthenticated(f"this token is not believed ({exc}); ask the provider for a new one") from exc
        return claims

    def _key(self, name: str) -> Any:
        """The provider's key of this name; asks the provider where it is not known or was known for long."""
        with self._lock:
            now = self._clock()
            late = now - self._asked > (ASKED_AGAIN_S if name not in self._keys else KEPT_S)
            if late:
                self._asked = now
                try:
                    self._keys = dict(self._published())
                except Unavailable:
                    if name not in self._keys:
                        raise
            if name not in self._keys:
                if not self._keys:
                    raise Unavailable("the identity provider's keys cannot be had now; try again in a moment")
                raise self._jwt.InvalidTokenError("it is signed by a key that is not the provider's")
            return self._keys[name]

    def _published(self) -> Iterator[tuple[str, Any]]:
        settings = self._settings
        try:
            with httpx.Client(timeout=5, trust_env=True, follow_redirects=False) as client:
                address = settings.jwks_url
                if address is None:
                    found = client.get(f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration")
                    address = str(found.raise_for_status().json()["jwks_uri"])
                published = client.get(address).raise_for_status().json()["keys"]
        except (httpx.HTTPError, httpx.InvalidURL, KeyError, TypeError, ValueError) as exc:
            raise Unavailable("the identity provider does not answer with its keys") from exc
        for one in published:
            try:
                yield str(one.get("kid", "")), self._jwt.PyJWK(one)
            except (self._jwt.PyJWTError, AttributeError):
                continue  # of a kind that is not used for signing, or that this library does not know


def _claim(claims: dict[str, Any], path: str) -> Any:
    """The claim at a dotted path, as `realm_access.roles`; None where it is not there."""
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
