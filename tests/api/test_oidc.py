"""Tokens of an OpenID Connect provider, which the tests play: believed when it signed them for us, and not else."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.access import ApiKeys, Role
from app.config import OidcSettings, Settings
from app.errors import Misconfigured, NotAllowed, NotAuthenticated, Unavailable
from app.main import create_app
from app.oidc import ASKED_AGAIN_S, KEPT_S, Provider

jwt = pytest.importorskip("jwt")
ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")


class House:
    """A provider with one key, and how often its keys were asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.kid = "one"
        self.broken = False
        house = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.endswith("openid-configuration"):
                    body: Any = {"issuer": house.issuer, "jwks_uri": f"{house.issuer}/keys"}
                else:
                    house.asked += 1
                    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(house.key.public_key()))
                    body = {"keys": [{"kty": "strange", "kid": "x"}, {**public, "kid": house.kid, "alg": "ES256"}]}
                self.send_response(500 if house.broken else 200)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, format: str, *args: Any) -> None:
                """Quietly."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/realm"

    def token(self, *, key: Any = None, alg: str = "ES256", kid: str | None = None, **claims: Any) -> str:
        said = {
            "iss": self.issuer,
            "aud": "facsimile",
            "sub": "u-1",
            "exp": time.time() + 60,
            "tenant": "acme",
            "roles": ["write", "other"],
        } | claims
        return str(
            jwt.encode(
                {name: value for name, value in said.items() if value is not None},
                self.key if key is None else key,
                algorithm=alg,
                headers={"kid": kid or self.kid},
            )
        )


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def provider(house: House) -> Provider:
    return Provider(OidcSettings(issuer=house.issuer))


def test_a_token_says_whose_it_is(house: House, provider: Provider) -> None:
    holder = provider.holder_of(house.token(email="a@qa.example"))
    assert (holder.tenant, holder.role, holder.label) == ("acme", Role.WRITE, "a@qa.example")
    assert holder.key_id.startswith("oidc-")
    assert holder.expires_at
    assert provider.holder_of(house.token(sub="u-2")).key_id != holder.key_id
    assert provider.holder_of(house.token(roles="openid read admin")).role is Role.ADMIN
    assert house.asked == 1


def test_claims_of_other_names(house: House) -> None:
    settings = OidcSettings(
        issuer=house.issuer, tenant_claim="org.team", role_claim="realm_access.roles", role_prefix="facsimile-"
    )
    provider = Provider(settings)
    nested = {"org": {"team": "rival"}, "realm_access": {"roles": ["read", "facsimile-read"]}}
    holder = provider.holder_of(house.token(tenant=None, roles=None, **nested))
    assert (holder.tenant, holder.role) == ("rival", Role.READ)


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"exp": 1_000},
        {"exp": None},
        {"sub": None},
        {"nbf": time.time() + 3_600},
        {"kid": "two"},
    ],
)
def test_tokens_that_are_not_believed(house: House, provider: Provider, wrong: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated, match="not believed"):
        provider.holder_of(house.token(**wrong))


def test_forged_tokens(house: House, provider: Provider) -> None:
    good = house.token()
    head, body, signature = good.split(".")
    public = jwt.algorithms.ECAlgorithm.to_jwk(house.key.public_key()).encode()
    told = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one","typ":"JWT"}').rstrip(b"=") + b"." + body.encode()
    confused = told + b"." + base64.urlsafe_b64encode(hmac.digest(public, told, "sha256")).rstrip(b"=")
    forged = [
        house.token(key=ec.generate_private_key(ec.SECP256R1())),
        house.token(key="s" * 40, alg="HS256"),
        confused.decode(),
        jwt.encode({"iss": house.issuer}, None, algorithm="none", headers={"kid": "one"}),
        f"{head}.{body}.",
        f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        "a.b.c",
        "",
        "x" * 100_000,
    ]
    for token in forged:
        with pytest.raises(NotAuthenticated):
            provider.holder_of(token)
    assert provider.holder_of(good).tenant == "acme"


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant": "_service"},
        {"tenant": "../acme"},
        {"tenant": None},
        {"tenant": 7},
        {"roles": []},
        {"roles": {"write": 1}},
    ],
)
def test_claims_that_allow_nothing(house: House, provider: Provider, wrong: dict[str, Any]) -> None:
    with pytest.raises(NotAllowed):
        provider.holder_of(house.token(**wrong))


def test_a_changed_key_is_looked_for_and_unknown_ones_not_without_end(house: House) -> None:
    now = 0.0
    provider = Provider(OidcSettings(issuer=house.issuer), clock=lambda: now)
    provider.holder_of(house.token())
    for number in range(50):
        with pytest.raises(NotAuthenticated):
            provider.holder_of(house.token(kid=f"made-up-{number}"))
    assert house.asked == 1
    before = house.token()
    house.key, house.kid = ec.generate_private_key(ec.SECP256R1()), "two"
    now += ASKED_AGAIN_S + 1
    assert provider.holder_of(house.token()).tenant == "acme"
    with pytest.raises(NotAuthenticated):
        provider.holder_of(before)
    # The provider is away for a while: what is known goes on; what is withdrawn ends when it is back.
    house.broken = True
    now += KEPT_S + 1
    assert provider.holder_of(house.token()).tenant == "acme"


def test_without_the_providers_keys_nobody_can_tell(house: House, provider: Provider) -> None:
    house.broken = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            provider.holder_of(house.token())
    assert house.asked <= 1


def test_over_the_api(house: House, api: Any, memory_store: Any, memory_queue: Any, settings: Settings) -> None:
    named = settings.model_copy(update={"oidc": OidcSettings(issuer=house.issuer)})
    client = TestClient(create_app(named, store=memory_store, queue=memory_queue))

    def asked(token: str, method: str = "GET", path: str = "/v1/whoami", **more: Any) -> Any:
        return client.request(method, path, headers={"Authorization": f"Bearer {token}"}, **more)

    who = asked(house.token()).json()
    assert (who["tenant"], who["role"]) == ("acme", "write")
    body = {"name": "set", "subjects": 2, "samples_per_subject": 2, "seed": 7}
    made = asked(house.token(), "POST", "/v1/datasets", json=body)
    assert made.status_code == 202
    where = f"/v1/datasets/{made.json()['id']}"
    assert asked(house.token(tenant="rival"), path=where).status_code == 404
    assert asked(house.token(roles=["read"]), "DELETE", where).status_code == 403
    assert asked(house.token(exp=1_000)).status_code == 401
    assert asked(house.token(), path="/v1/keys").status_code == 403
    # API keys are taken as before; without a provider no token is.
    assert asked(ApiKeys(memory_store).issue("acme", "test")).status_code == 200
    without = TestClient(api)
    assert without.get("/v1/whoami", headers={"Authorization": f"Bearer {house.token()}"}).status_code == 401


def test_settings_that_would_let_keys_be_forged() -> None:
    for wrong in ({"issuer": "http://id.example"}, {"issuer": "https://id.example", "jwks_url": "http://id.example/k"}):
        with pytest.raises(ValueError, match="https"):
            OidcSettings(**wrong)


def test_the_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jwt", None)
    with pytest.raises(Misconfigured, match=r"facsimile-faces\[oidc\]"):
        Provider(OidcSettings(issuer="https://id.example"))
