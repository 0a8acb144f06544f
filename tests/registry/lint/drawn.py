"""Registries that Hypothesis draws for lint: few names, so that grants and denies meet."""

from typing import Any

from hypothesis import strategies as st

from tests.strategies import mostly

ALIASES = ("corp", "partner")
CALENDAR_API = "https://calendar.example.com/api"
ROOMS_API = "https://rooms.example.com/api"
PEOPLE = ("alice", "desk-agent")
AGENTS = ("desk-agent", "planner", "calendar-mcp")
GROUPS = ("staff", "board")
API_SCOPES = ("read", "write")
PLACES = (("calendar-mcp", CALENDAR_API), ("calendar-api", ROOMS_API))

YES, NO = st.just(value=True), st.just(value=False)


def some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """One or more of *values*, in some order."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=len(values), unique=True)


def subjects() -> st.SearchStrategy[dict[str, Any]]:
    """People, those with a group, both, or everyone."""
    groups = some(GROUPS).map(lambda values: {"groups": values})
    return st.one_of(
        st.just({"everyone": True}),
        st.fixed_dictionaries({"people": some(PEOPLE)}),
        st.fixed_dictionaries({"claims": groups}),
        st.fixed_dictionaries({"people": some(PEOPLE), "claims": groups}),
    ).flatmap(lambda one: ALIAS.map(lambda alias: {"issuer": alias} | one))


ALIAS = mostly(st.just("corp"), st.just("partner"))


EXPIRIES = mostly(
    st.just("never"), st.sampled_from(["2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z"])
)


@st.composite
def grants(draw: st.DrawFn, number: int) -> dict[str, Any]:
    """A grant or a deny, as a file has it."""
    client, resource = draw(st.sampled_from(PLACES))
    effect = draw(st.sampled_from(["allow", "allow", "deny"]))
    grant = {
        "id": f"grant-{number}",
        "effect": effect,
        "mode": draw(mostly(st.just("enforce"), st.just("shadow"))),
        "client": draw(mostly(st.just(client), st.just({"team": "clients"}))),
        "subjects": draw(
            st.lists(mostly(subjects(), st.just({"team": "people"})), min_size=1, max_size=2)
        ),
        "agents": draw(st.just("any") | some(AGENTS)),
        "resource": resource,
        "expires": draw(EXPIRIES),
    }
    if effect == "deny":
        return grant | {"scopes": draw(st.just("any") | some(API_SCOPES))}
    meanings = st.dictionaries(st.sampled_from(API_SCOPES), some(API_SCOPES), min_size=1)
    return grant | {
        "scopes": draw(meanings),
        "lifetime": draw(mostly(st.sampled_from([60, 300]), st.just(4))),
        "chain_limit": draw(mostly(st.sampled_from([2, 4]), st.just(1))),
        "services": draw(st.booleans()),
        "cycles": draw(st.booleans()),
        "downscope": draw(st.booleans()),
        "single_use": draw(mostly(NO, YES)),
        **draw(mostly(st.just({}), st.just({"rate_limit": "600/minute"}))),
    }


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    """A registry of two hops, without contradictions."""
    admitted = mostly(st.just([*API_SCOPES]), some(API_SCOPES))
    # Each resource admits both clients, so that a team may have both; but none is its own target.
    return {
        "issuers": [
            {
                "issuer": f"https://login.{alias}.example.com",
                "alias": alias,
                "jwks_uri": f"https://login.{alias}.example.com/jwks",
                "algorithms": ["ES256"],
                "claims": {"groups": "groups"},
            }
            for alias in ALIASES
        ],
        "clients": [
            {
                "id": "calendar-mcp",
                "audience": "https://calendar-mcp.example.com/mcp",
                "exchange": draw(mostly(YES, NO)),
            },
            {"id": "calendar-api", "audience": CALENDAR_API, "exchange": True},
        ],
        "resources": [
            {
                "identifier": CALENDAR_API,
                "scopes": [*API_SCOPES],
                "clients": {"calendar-mcp": draw(admitted)},
            },
            {
                "identifier": ROOMS_API,
                "scopes": [*API_SCOPES],
                "clients": {"calendar-api": draw(admitted), "calendar-mcp": draw(admitted)},
            },
        ],
        "teams": [
            {"id": "clients", "clients": ["calendar-mcp"]},
            {"id": "people", "subjects": draw(st.lists(subjects(), min_size=1, max_size=2))},
        ],
        "grants": [draw(grants(number)) for number in range(draw(st.integers(1, 4)))],
    }
