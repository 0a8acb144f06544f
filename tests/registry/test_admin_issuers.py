"""Whose tokens open the admin API: a list of its own, and an audience that nobody else has."""

from dataclasses import replace
from pathlib import Path

import pytest

from delegation.domain.errors import Cause, InvalidTarget
from delegation.domain.resources import Targets
from delegation.domain.trust import AdminIssuer
from delegation.registry.loader import load
from delegation.registry.problems import Code, RegistryInvalid
from tests.parties import OUR_ISSUER, a_client, a_registry, a_resource

STAFF = """
admin_issuers:
  - issuer: https://staff.example.com
    alias: staff
    jwks_uri: https://staff.example.com/jwks
    algorithms: [ES256]
"""


def test_what_an_entry_means(tmp_path: Path) -> None:
    """The least that can be said, and the most."""
    (tmp_path / "plain.yaml").write_text(STAFF)
    (tmp_path / "other.yaml").write_text("""
admin_issuers:
  - owner: security
    description: how they log in
    issuer: https://login.example.com/admins
    alias: other
    jwks_uri: http://localhost/jwks
    algorithms: [RS256, PS256]
    types: [at+jwt, admin+jwt]
    legacy_types: true
    scope_claim: scp
    scope_format: array
    private_network: true
""")

    found = load(tmp_path, issuer=OUR_ISSUER).admin_issuers

    assert found["https://staff.example.com"] == AdminIssuer(
        issuer="https://staff.example.com",
        alias="staff",
        jwks_uri="https://staff.example.com/jwks",
        algorithms=frozenset({"ES256"}),
    )
    assert found["https://login.example.com/admins"] == AdminIssuer(
        issuer="https://login.example.com/admins",
        alias="other",
        jwks_uri="http://localhost/jwks",
        algorithms=frozenset({"RS256", "PS256"}),
        types=frozenset({"at+jwt", "admin+jwt"}),
        legacy_types=True,
        scope_claim="scp",
        scope_is_array=True,
        private_network=True,
    )


def test_trust_in_administrators_is_no_other_trust(tmp_path: Path) -> None:
    """Neither in subjects nor in actors."""
    (tmp_path / "a.yaml").write_text(STAFF)

    registry = load(tmp_path, issuer=OUR_ISSUER)

    assert registry.issuers == registry.actor_issuers == {}


def problems(directory: Path, text: str, audience: str | None = None) -> list[Code]:
    """What is wrong with a registry of one file."""
    (directory / "a.yaml").write_text(text)
    with pytest.raises(RegistryInvalid) as raised:
        load(directory, issuer=OUR_ISSUER, admin_audience=audience)
    return [problem.code for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("    scope_claim: sub", Code.RESERVED_CLAIM),
        ("    claims: {}", Code.UNKNOWN_KEY),
        ("    algorithms: [HS256]", Code.WRONG_VALUE),
    ],
)
def test_an_entry_that_is_wrong(tmp_path: Path, line: str, code: Code) -> None:
    """It is refused, as every entry is."""
    text = STAFF.replace("    algorithms: [ES256]\n", "") if "algorithms" in line else STAFF

    assert code in problems(tmp_path, text + line + "\n")


def test_two_of_one_name(tmp_path: Path) -> None:
    """An alias and an issuer stand for one thing."""
    twice = STAFF + "".join(STAFF.splitlines(keepends=True)[2:])

    assert problems(tmp_path, twice) == [Code.DUPLICATE_ID, Code.DUPLICATE_ID]


def test_ourselves(tmp_path: Path) -> None:
    """We do not administer ourselves: no token that we issue opens anything."""
    text = STAFF.replace("issuer: https://staff.example.com\n", f"issuer: {OUR_ISSUER}/\n")

    assert problems(tmp_path, text) == [Code.OWN_ISSUER]


CLIENT = """
clients:
  - id: console
    audience: AUDIENCE
    exchange: true
"""

RESOURCE = """
resources:
  - identifier: https://api.example.com
    names: [AUDIENCE]
    scopes: [locks.write]
"""


@pytest.mark.standard("8707-2-6")
@pytest.mark.parametrize("text", [CLIENT, RESOURCE], ids=["client", "resource"])
@pytest.mark.parametrize(
    ("configured", "written"),
    [
        (None, f"{OUR_ISSUER}/admin"),
        (None, f"{OUR_ISSUER}/Admin/"),
        ("https://admin.example.com", "https://admin.example.com/"),
    ],
)
def test_the_admin_audience_is_nobody_elses(
    tmp_path: Path, text: str, configured: str | None, written: str
) -> None:
    """Else a token for a client, or for a resource, would open the admin API."""
    found = problems(tmp_path, text.replace("AUDIENCE", written), configured)

    assert found == [Code.ADMIN_AUDIENCE]


@pytest.mark.standard("8707-2-6")
def test_nothing_is_ever_issued_for_it() -> None:
    """Whatever is configured: the decision knows it, too."""
    audience = f"{OUR_ISSUER}/admin"
    registry = a_registry(resources=[a_resource(identifier=audience, names=frozenset({"admin"}))])

    for targets in (Targets(resources=(audience,)), Targets(audiences=("admin",))):
        with pytest.raises(InvalidTarget) as refused:
            registry.resource(targets, by=a_client())
        assert refused.value.cause is Cause.TARGET_UNKNOWN
    elsewhere = replace(registry, admin_audience="https://admin.example.com")
    assert elsewhere.resource(Targets(resources=(audience,)), by=a_client()).identifier == audience
