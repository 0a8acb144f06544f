"""Who is let in: administrators with a token that was made for this, and nobody else."""

import io
from dataclasses import replace
from typing import Any

import pytest
import structlog

from delegation.domain.administration import AdministratorRejected, Capability
from delegation.domain.errors import Unavailable
from delegation.jose.signer import JwtSigner
from delegation.jose.verifier import JwtVerifier
from delegation.ledger.ledger import RedisLedger
from delegation.ledger.store import Store
from delegation.web.admin.access import metadata, metadata_path
from delegation.web.admin.app import create_admin_app
from tests.parties import OUR_ISSUER
from tests.signing import ABSENT, SigningParty, a_keyring, keys_of
from tests.web.admin.desk import ALL, AUDIENCE, STAFF, Desk, Staff, an_admin_issuer, problem

WHERE = f"{OUR_ISSUER}/.well-known/oauth-protected-resource/admin"

CHALLENGE = f'Bearer realm="delegation-admin", resource_metadata="{WHERE}"'

SCOPE = ', scope="exchanges.read"'

INVALID = f'{CHALLENGE}, error="invalid_token"{SCOPE}'


@pytest.mark.standard("6750-1", "9728-2")
@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "DPoP abc", "Bearerabc"], ids=str)
def test_no_credentials(desk: Desk, header: str | None) -> None:
    """RFC 6750 §3.1: who brought nothing is told no error, only where to get a token."""
    headers = {} if header is None else {"Authorization": header}

    answer = desk.app.test_client().get("/admin/v1/exchanges", headers=headers)

    assert problem(answer) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == CHALLENGE + SCOPE


@pytest.mark.standard("6750-1")
def test_a_token_in_the_query_is_ignored(desk: Desk) -> None:
    """It is no credential: addresses stand in logs (RFC 9700 §4.3.2)."""
    query = {"access_token": desk.staff.token()}

    answer = desk.app.test_client().get("/admin/v1/exchanges", query_string=query)

    assert problem(answer) == (401, "unauthenticated")
    assert "error=" not in answer.headers["WWW-Authenticate"]


@pytest.mark.standard("6750-1")
def test_two_methods_at_once(desk: Desk) -> None:
    """RFC 6750 §2: a token comes one way, or the request is malformed."""
    token = desk.staff.token()
    bearer = {"Authorization": f"Bearer {token}"}
    client = desk.app.test_client()

    answers = [
        client.get("/admin/v1/locks", headers=bearer, query_string={"access_token": token}),
        client.post("/admin/v1/locks", headers=bearer, data={"access_token": token}),
        client.get("/admin/v1/locks", headers={"Authorization": f"Bearer {token}, Bearer x"}),
    ]

    for answer in answers:
        assert problem(answer) == (400, "invalid-request")
        assert ', error="invalid_request", scope="' in answer.headers["WWW-Authenticate"]


def test_a_form_without_a_token(desk: Desk) -> None:
    """It is the wrong kind of body, and no second method."""
    bearer = {"Authorization": f"Bearer {desk.staff.token()}"}

    answer = desk.app.test_client().post("/admin/v1/locks", headers=bearer, data={"a": "b"})

    assert problem(answer) == (415, "unsupported-media-type")


class BadChunks(io.RawIOBase):
    """What a server gives where the client's chunks make no sense."""

    def readinto(self, _buffer: object) -> int:
        """Fail, as gunicorn does: with an exception of its own."""
        raise LookupError("Invalid chunk size: b'xyz'")


def test_a_form_that_cannot_be_read(desk: Desk) -> None:
    """Whether there is a token in it nobody can tell: it is no failure of ours."""
    answer = desk.app.test_client().post(
        "/admin/v1/locks",
        headers={"Authorization": f"Bearer {desk.staff.token()}"},
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"wsgi.input": BadChunks(), "wsgi.input_terminated": True},
    )

    assert problem(answer) == (400, "invalid-request")


BAD: dict[str, dict[str, Any]] = {
    "for another audience": {"aud": "https://calendar-mcp.example.com/mcp"},
    "for our issuer": {"aud": OUR_ISSUER},
    "for others, too": {"aud": [AUDIENCE, "https://other.example.com"]},
    "for nobody": {"aud": ABSENT},
    "by a delegate": {"act": {"sub": "agent"}},
    "by a delegate, in a way": {"act": None},
    "bound to a key": {"cnf": {"jkt": "x"}},
    "an ID token": {"nonce": "x"},
    "without a subject": {"sub": ABSENT},
    "of the issuer itself": {"sub": STAFF},
    "over": {"exp": 1_000_000_000, "iat": 999_999_000},
    "of an issuer that is not trusted": {"iss": "https://login.example.com"},
    "without an issuer": {"iss": ABSENT},
    "with a scope that is none": {"scope": "a  b"},
    "with a scope of another kind": {"scope": ["exchanges.read"]},
}


@pytest.mark.standard("6750-1")
@pytest.mark.parametrize("claims", BAD.values(), ids=BAD)
def test_a_token_that_is_not_acceptable(desk: Desk, claims: dict[str, Any]) -> None:
    """Whatever is wrong with it, the answer is the same, and says nothing."""
    answer = desk.ask("GET", "/exchanges", bearer=desk.staff.token(**claims))

    assert problem(answer) == (401, "invalid-token")
    assert answer.headers["WWW-Authenticate"] == INVALID


@pytest.mark.parametrize(
    "header", [{"typ": "JWT"}, {"typ": ABSENT}, {"typ": "dpop+jwt"}, {"alg": "ES384"}], ids=str
)
def test_a_token_of_another_kind(desk: Desk, header: dict[str, Any]) -> None:
    """RFC 8725 §3.11: its type says that it is an access token."""
    answer = desk.ask("GET", "/exchanges", bearer=desk.staff.token(header=header))

    assert problem(answer) == (401, "invalid-token")


@pytest.mark.parametrize("token", ["x", "a.b.c", "a" * 7000])
def test_a_token_that_is_none(desk: Desk, token: str) -> None:
    """Nor does it matter what it is made of."""
    assert problem(desk.ask("GET", "/exchanges", bearer=token)) == (401, "invalid-token")


def test_a_token_that_somebody_else_signed(desk: Desk) -> None:
    """Its issuer's own key must have signed it."""
    forged = Staff()
    header = {"kid": desk.staff.kid}

    answer = desk.ask("GET", "/exchanges", bearer=forged.token(header=header))

    assert problem(answer) == (401, "invalid-token")


def test_our_own_delegated_token_presented_to_the_admin_api_refuses(
    store: Store, ledger: RedisLedger
) -> None:
    """What we issue opens nothing here: not as it is, and not if an admin issuer had our name."""
    desk = Desk(store, ledger)
    keyring = a_keyring()
    delegation = desk.exchanged()
    issued = JwtSigner(keyring, OUR_ISSUER).sign(delegation).value
    misled = Desk(store, ledger, admin_issuers=[an_admin_issuer(issuer=OUR_ISSUER)])
    us = SigningParty(OUR_ISSUER)
    us.key = keyring.active
    verifier = JwtVerifier(keyring=keyring, keys=keys_of(us), clock=lambda: delegation.issued_at)

    assert problem(desk.ask("GET", "/exchanges", bearer=issued)) == (401, "invalid-token")
    with pytest.raises(AdministratorRejected, match="actor_is_delegated"):
        verifier.administrator(issued, misled.registry)


@pytest.mark.standard("6750-1")
@pytest.mark.parametrize("operation", ["exchanges", "locks", "workers", "keys", "alarms"])
def test_too_little_scope(desk: Desk, operation: str) -> None:
    """RFC 6750 §3.1: each capability has a scope of its own, and the answer names it."""
    needed = f"{operation}.read"
    others = " ".join(one for one in Capability if one != needed)

    answer = desk.ask("GET", f"/{operation}", scope=others)

    assert problem(answer) == (403, "insufficient-scope")
    assert answer.headers["WWW-Authenticate"] == (
        f'{CHALLENGE}, error="insufficient_scope", scope="{needed}"'
    )
    assert desk.ask("GET", f"/{operation}", scope=needed).status_code == 200


def test_no_scope_at_all(desk: Desk) -> None:
    """A token that says nothing of scope allows nothing."""
    answer = desk.ask("GET", "/exchanges", bearer=desk.staff.token(scope=ABSENT))

    assert problem(answer) == (403, "insufficient-scope")


def test_an_issuer_that_writes_scope_as_an_array(store: Store, ledger: RedisLedger) -> None:
    """As its entry says."""
    entry = an_admin_issuer(scope_claim="scp", scope_is_array=True)
    desk = Desk(store, ledger, admin_issuers=[entry])
    token = desk.staff.token(scope=ABSENT, scp=ALL.split(" "))

    assert desk.ask("GET", "/exchanges", bearer=token).status_code == 200


def test_keys_out_of_reach(desk: Desk) -> None:
    """Nothing is believed without them: there is no answer yet."""

    def out_of_reach(_: str) -> Any:
        raise Unavailable("issuer_keys")

    desk.app = create_admin_app(replace(desk.service, authenticate=out_of_reach))

    answer = desk.ask("GET", "/exchanges")

    assert problem(answer) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_what_is_logged(desk: Desk) -> None:
    """The cause, and nothing of the token; a flood of them is sampled."""
    with structlog.testing.capture_logs() as logs:
        for _ in range(40):
            desk.ask("GET", "/exchanges", bearer="eyJhbGciOi.secret.x")

    assert len(logs) == 30
    assert {entry["event"] for entry in logs} == {"administrator_rejected"}
    assert logs[0]["cause"] == "token_malformed"
    assert "secret" not in str(logs)


@pytest.mark.standard("9728-2")
def test_the_metadata(desk: Desk) -> None:
    """RFC 9728: where the challenge says, it says who issues tokens for the admin API."""
    path = metadata_path(AUDIENCE)

    answer = desk.app.test_client().get(path)

    assert OUR_ISSUER + path == WHERE
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {
        "resource": AUDIENCE,
        "resource_name": "delegation: admin API",
        "authorization_servers": [STAFF],
        "scopes_supported": sorted(Capability),
        "bearer_methods_supported": ["header"],
    }


def test_metadata_without_an_admin_issuer(store: Store, ledger: RedisLedger) -> None:
    """RFC 9728 §3.2: what is empty is left out; and nobody is let in."""
    desk = Desk(store, ledger, admin_issuers=[])

    assert "authorization_servers" not in metadata(desk.service)
    assert problem(desk.ask("GET", "/exchanges")) == (401, "invalid-token")
