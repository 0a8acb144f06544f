"""What a plan says of a trusted issuer is true of its tokens: which are believed, and how read."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jwt import PyJWTError

from delegation.domain.changes import Effect
from delegation.domain.comparison import Side, compare
from delegation.domain.grants import Subjects
from delegation.domain.registry import Registry
from delegation.domain.tokens import VerifiedToken
from delegation.domain.trust import TrustedIssuer
from delegation.jose.jwks import ForeignKeys
from delegation.jose.parser import TokenFault, UnverifiedToken
from delegation.jose.profiles import ForeignAccessToken
from tests.parties import LOGIN, NOW, OUR_ISSUER, a_grant, a_registry, an_issuer
from tests.signing import NoCooldown

KEYS = ForeignKeys(NoCooldown())
"""Nobody's: the signature is taken to hold."""

ALGORITHMS = ("ES256", "PS256")
TYPES = ("at+jwt", "jwt", "access")
STAFF = Subjects(issuer=LOGIN, claims={"groups": frozenset({"staff"})})

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "algorithms": st.frozensets(st.sampled_from(ALGORITHMS), min_size=1),
    "types": st.frozensets(st.sampled_from(TYPES), min_size=1),
    "legacy_types": st.booleans(),
    "id_claim": st.sampled_from(["jti", "uti", None]),
    "client_claim": st.sampled_from(["client_id", "azp"]),
    "scope_claim": st.sampled_from(["scope", "scp"]),
    "scope_is_array": st.booleans(),
    "several_audiences": st.booleans(),
    "asserts_actors": st.booleans(),
    "actor_issuer": st.sampled_from([None, LOGIN, "https://agents.example.com"]),
    "claims": st.dictionaries(
        st.sampled_from(["groups", "tier"]), st.sampled_from(["groups", "roles"])
    ),
    "service_claims": st.sampled_from([{}, {"idtyp": frozenset({"app"})}]),
}


@st.composite
def issuers(draw: st.DrawFn) -> TrustedIssuer:
    """The login, with its tokens in any form."""
    return an_issuer(**{name: draw(values) for name, values in FIELDS.items()})


@st.composite
def changed(draw: st.DrawFn, issuer: TrustedIssuer) -> TrustedIssuer:
    """The same, with one field or two of another."""
    names = draw(st.lists(st.sampled_from([*FIELDS]), min_size=1, max_size=2))
    return replace(issuer, **{name: draw(FIELDS[name]) for name in names})


SCOPES = st.sampled_from(["calendar:read", ["calendar:read"], "profile"])

CLAIMS = st.fixed_dictionaries(
    {
        "iss": st.just(LOGIN),
        "sub": st.just("alice"),
        "aud": st.sampled_from(["urn:one", ["urn:one"], ["urn:one", "urn:two"]]),
        "iat": st.just(int(NOW.timestamp())),
        "exp": st.just(int(NOW.timestamp()) + 600),
    },
    optional={
        "jti": st.just("id-1"),
        "uti": st.just("id-2"),
        "client_id": st.just("desk-agent"),
        "azp": st.just("planner"),
        "scope": SCOPES,
        "scp": SCOPES,
        "groups": st.just(["staff"]),
        "roles": st.just(["board"]),
        "idtyp": st.just("app"),
        "act": st.sampled_from([{"sub": "planner"}, {"sub": "planner", "iss": LOGIN}]),
    },
)

TOKENS = st.builds(
    UnverifiedToken,
    algorithm=st.sampled_from(ALGORITHMS),
    kid=st.just("key-1"),
    type=st.sampled_from([None, *TYPES]),
    claims=CLAIMS,
    signing_input=st.just(b"signed"),
    signature=st.just(b""),
)


def believed(token: UnverifiedToken, trusted: TrustedIssuer) -> VerifiedToken | None:
    """What a token says whose signature holds; `None` where it is not accepted."""
    profile = ForeignAccessToken(trusted=trusted, our_issuer=OUR_ISSUER, keys=KEYS)
    try:
        profile.check_type(token)
        read = profile.read(token)
    except (TokenFault, PyJWTError, KeyError, TypeError, ValueError):
        return None
    asked = {name: values for name, values in read.claims.items() if name in STAFF.claims}
    return replace(read, claims=asked) if token.algorithm in profile.algorithms else None


def trusting(issuer: TrustedIssuer) -> Registry:
    """A registry with a grant for the staff of *issuer*."""
    return a_registry(issuers=[issuer], grants=[a_grant(subjects=(STAFF,))])


@given(
    issuers().flatmap(lambda one: st.tuples(st.just(one), changed(one))),
    st.lists(TOKENS, min_size=3, max_size=10),
)
def test_no_token_is_believed_of_which_the_plan_does_not_tell(
    pair: tuple[TrustedIssuer, TrustedIssuer], tokens: list[UnverifiedToken]
) -> None:
    """More tokens are wider, fewer are narrower, and what is read otherwise is not the same."""
    before, after = pair
    changes = compare(Side(registry=trusting(before)), Side(registry=trusting(after)), NOW)
    effect = changes[0].effect if changes else Effect.SAME

    for token in tokens:
        old, new = believed(token, before), believed(token, after)
        assert new is None or old is not None or effect in {Effect.WIDER, Effect.BOTH}
        assert old is None or new is not None or effect in {Effect.NARROWER, Effect.BOTH}
        assert old == new or effect is not Effect.SAME
