"""Every mistake in the files of a registry is found, with its line and how to mend it."""

from typing import NamedTuple

import pytest

from delegation.registry.problems import Code, Problem, RegistryInvalid
from tests.registry import story


class Row(NamedTuple):
    """One mistake: *old* text of the story, replaced by *new*, is *code* at *line*."""

    name: str
    old: str
    new: str
    code: Code
    line: int
    message: str
    more: int = 0
    """How many problems follow from it."""


GRANT = "  - id: calendar-for-staff\n"
EXPIRES = "    expires: 2027-01-01T00:00:00Z\n"
CORP = "    alias: corp\n"
LOGIN = "issuer: https://login.example.com\n"
OTHER_GRANT = (
    "  - {id: calendar-for-staff, client: calendar-mcp, agents: any, expires: never,\n"
    "     subjects: [{issuer: corp, everyone: true}], scopes: {a: [events.read]},\n"
    "     resource: https://calendar.example.com/api}\n"
)
OTHER_ISSUER = (
    "  - {issuer: https://login.example.net, alias: corp, algorithms: [ES256],\n"
    "     jwks_uri: https://login.example.net/jwks}\n"
)
WEB = "must be an https URI without user or fragment (http only on loopback)"

SYNTAX = [
    Row("broken", "  - id: calendar-api", "  - id: [", Code.NOT_YAML, 14, "did not find"),
    Row("tab", CORP, "\talias: corp\n", Code.NOT_YAML, 3, "a tab stands in the indentation"),
    Row("tab-first", "  - id: calendar-api", "\t- id: x", Code.NOT_YAML, 12, "a tab stands in"),
    Row("control", CORP, "    alias: co\x07rp\n", Code.UNREADABLE, 3, "a control character"),
    Row("second", "grants:\n", "---\ngrants:\n", Code.SEVERAL_DOCUMENTS, 24, "a file of its own"),
    Row("anchor", "alias: corp", "alias: &a corp", Code.ALIAS, 3, "anchors are not read"),
    Row("alias", "alias: corp", "alias: *a", Code.ALIAS, 3, "aliases are not read"),
    Row("merge", CORP, CORP + "    <<: {}\n", Code.ALIAS, 4, "merge keys are not read"),
    Row("tag", "alias: corp", "alias: !!str corp", Code.TAG, 3, "tags are not read"),
    Row("twice", CORP, CORP + CORP, Code.DUPLICATE_KEY, 4, "`alias` is written twice"),
    Row("key-int", CORP, CORP + "    4: x\n", Code.KEY_NOT_TEXT, 4, "put it in quotes"),
    Row("key-list", CORP, CORP + "    ? [a]\n    : x\n", Code.KEY_NOT_TEXT, 4, "in quotes"),
    Row(
        "yes", "exchange: true", "exchange: yes", Code.AMBIGUOUS_VALUE, 11, "`yes` is not the same"
    ),
    Row("norway", "[alice]", "[no]", Code.AMBIGUOUS_VALUE, 31, "`no` is not the same"),
    Row("time", "lifetime: 300", "lifetime: 5:00", Code.AMBIGUOUS_VALUE, 36, "plain whole number"),
    Row("octal", "lifetime: 300", "lifetime: 0300", Code.AMBIGUOUS_VALUE, 36, "`0300`"),
    Row("fraction", "[alice]", "[1.10]", Code.AMBIGUOUS_VALUE, 31, "`1.10`"),
    Row("empty", "alias: corp", "alias:", Code.EMPTY_VALUE, 3, "give a value, or remove"),
    Row("deep", "[alice]", "[" * 20 + "]" * 20, Code.TOO_DEEP, 31, "nested this deep"),
]

SHAPE = [
    Row("list", story.STORY, "- issuers", Code.WRONG_TYPE, 1, "`issuers`, `actor_issuers`"),
    Row("text", story.STORY, "issuers", Code.WRONG_TYPE, 1, "a file must be a mapping"),
    Row("section", "grants:\n", "grant:\n", Code.UNKNOWN_KEY, 24, "`grant` is no key of a file"),
    Row(
        "no-list",
        "clients:\n",
        "clients: {}\nx:\n",
        Code.WRONG_TYPE,
        7,
        "`clients` must be a list",
        1,
    ),
    Row("entry", GRANT, "  - 5\n" + GRANT, Code.WRONG_TYPE, 25, "this entry must be a mapping"),
    Row("typo", "    agents:", "    agent:", Code.UNKNOWN_KEY, 33, "did you mean `agents`?", 1),
    Row("odd", CORP, CORP + "    x: 1\n", Code.UNKNOWN_KEY, 4, "there are `owner`, `description`"),
    Row(
        "missing", "    exchange: true\n", "", Code.MISSING_KEY, 8, "`exchange` is missing. Whether"
    ),
    Row("no-agents", "    agents: [desk-agent]\n", "", Code.MISSING_KEY, 25, "`agents` is missing"),
    Row("no-expiry", EXPIRES, "", Code.MISSING_KEY, 25, "`expires` is missing. When this grant"),
    Row("inner", "      - issuer: corp\n        p", "      - p", Code.MISSING_KEY, 30, "`issuer`"),
    Row("text-int", "lifetime: 300", "lifetime: '300'", Code.WRONG_TYPE, 36, "without quotes"),
    Row("bool-int", "lifetime: 300", "lifetime: true", Code.WRONG_TYPE, 36, "a whole number"),
    Row("int-text", "[alice]", "[4711]", Code.WRONG_TYPE, 31, "an entry of `people` must be text"),
    Row("text-bool", "exchange: true", "exchange: 'true'", Code.WRONG_TYPE, 11, "true or false"),
    Row(
        "no-map", "{groups: [staff]}", "[staff]", Code.WRONG_TYPE, 32, "`claims` must be a mapping"
    ),
    Row("no-array", "people: [alice]", "people: alice", Code.WRONG_TYPE, 31, "must be a list"),
    Row("null", "people: [alice]", "people: null", Code.WRONG_TYPE, 31, "must be a list"),
    Row("nobody", "people: [alice]", "people: []", Code.EMPTY_VALUE, 31, "`people` is empty"),
    Row("no-scopes", '{"calendar:read": [events.read]}', "{}", Code.EMPTY_VALUE, 35, "is empty"),
    Row("no-scope", '"calendar:read": [events.read]', "a: []", Code.EMPTY_VALUE, 35, "is empty"),
    Row("no-catalogue", "[rooms.read]\n    c", "[]\n    c", Code.EMPTY_VALUE, 22, "is empty"),
    Row("no-agent", "[desk-agent]", "[]", Code.EMPTY_VALUE, 33, "`agents` is empty"),
    Row("all-agents", "[desk-agent]", "all", Code.WRONG_VALUE, 33, "`agents` must be a list of"),
    Row("long", "lifetime: 300", "lifetime: 901", Code.WRONG_VALUE, 36, "must be 900 or less"),
    Row(
        "rate",
        "lifetime: 300",
        "rate_limit: many/minute",
        Code.WRONG_VALUE,
        36,
        "`rate_limit` must be a rate such as 600/minute, or several like 10/second; 5000/day",
    ),
    Row(
        "two-rates",
        "lifetime: 300",
        "rate_limit: 1/minute; 2/60 seconds",
        Code.WRONG_VALUE,
        36,
        "each of another time",
    ),
    Row("zero", "lifetime: 300", "lifetime: 0", Code.WRONG_VALUE, 36, "must be 1 or more"),
    Row("chain", EXPIRES, EXPIRES + "    chain_limit: 9\n", Code.WRONG_VALUE, 38, "8 or less"),
    Row("date", "01-01T00:00:00Z", "01-01", Code.WRONG_VALUE, 37, "must be `never`, or a date"),
    Row("no-date", "01-01T00:00:00Z", "02-30T00:00:00Z", Code.WRONG_VALUE, 37, "`never`"),
    Row("zone", "01-01T00:00:00Z", "01-01T00:00:00", Code.NO_TIME_ZONE, 37, "add `Z` for UTC"),
    Row("none", "[ES256]", "[ES256, none]", Code.WRONG_VALUE, 5, "`algorithms` must be 'ES256'"),
    Row("hmac", "[ES256]", "[HS256]", Code.WRONG_VALUE, 5, "Only asymmetric ones."),
    Row("bar", "id: calendar-api", "id: a|b", Code.WRONG_VALUE, 12, "no `|`", 1),
    Row("capital", "alias: corp", "alias: Corp", Code.WRONG_VALUE, 3, "lower-case letters", 1),
    Row(
        "secret", '["sha256:' + 64 * "1", '["dlg_1', Code.WRONG_VALUE, 10, "never the secret itself"
    ),
    Row("three", '["', "[" + 3 * f'"sha256:{64 * "2"}", ' + '"', Code.WRONG_VALUE, 10, "than 2"),
    Row("http", "/jwks", "/jwks\n    actor_issuer: http://x.test", Code.WRONG_VALUE, 5, WEB),
    Row("http-keys", "https://login.example.com/j", "http://x.test/j", Code.WRONG_VALUE, 4, WEB),
    Row("http-iss", LOGIN, "issuer: http://x.test\n", Code.WRONG_VALUE, 2, WEB),
    Row("http-aud", "https://calendar-mcp", "http://calendar-mcp", Code.WRONG_VALUE, 9, WEB),
    Row("http-api", "- identifier: https://r", "- identifier: http://r", Code.WRONG_VALUE, 21, WEB),
    Row("http-name", "[calendar]", "['http://c.test']", Code.WRONG_VALUE, 17, WEB),
    Row("query", LOGIN, "issuer: https://x.test/?a=b\n", Code.WRONG_VALUE, 2, "without query"),
    Row("user", "https://login.example.com/j", "https://a@b.test/j", Code.WRONG_VALUE, 4, WEB),
    Row("set", "[ES256]\n", "[ES256]\n    types: [secevent+jwt]\n", Code.RESERVED_TYPE, 6, "alone"),
    Row("jwt", "[ES256]\n", "[ES256]\n    types: [jwt]\n", Code.RESERVED_TYPE, 6, "legacy_types"),
    Row("media", "[ES256]\n", "[ES256]\n    types: [AT+JWT]\n", Code.WRONG_VALUE, 6, "lower case"),
    Row("two-scopes", "[events.read]}", "[a b]}", Code.WRONG_VALUE, 35, "must be one scope"),
    Row("scope-key", '"calendar:read"', "a b", Code.WRONG_VALUE, 35, "a key of `scopes` must be"),
    Row("person", "[alice]", '["a\\u200Bb"]', Code.WRONG_VALUE, 31, "printable characters"),
    Row(
        "grant-id", "id: calendar-for-staff", "id: a b", Code.WRONG_VALUE, 25, "1 to 128 of letters"
    ),
]

TOGETHER = [
    Row("grant", GRANT, OTHER_GRANT + GRANT, Code.DUPLICATE_ID, 28, "used already at 0.yaml:25"),
    Row("alias", "clients:\n", OTHER_ISSUER + "clients:\n", Code.DUPLICATE_ID, 7, "0.yaml:2"),
    Row(
        "issuer",
        "clients:\n",
        OTHER_ISSUER.replace("login.example.net,", "login.example.com,").replace("corp", "next")
        + "clients:\n",
        Code.DUPLICATE_ID,
        7,
        "`issuer` is used already",
    ),
    Row("client", "id: calendar-api", "id: calendar-mcp", Code.DUPLICATE_ID, 12, "0.yaml:8", 1),
    Row("resource", "r: https://rooms", "r: https://calendar", Code.DUPLICATE_ID, 21, "`ident", 1),
    Row(
        "audience",
        "audience: https://calendar.example.com/api",
        "audience: https://calendar-mcp.example.com/mcp",
        Code.SHARED_AUDIENCE,
        13,
        "each has its own",
    ),
    Row(
        "shared-secret",
        "    exchange: false\n",
        f'    exchange: false\n    secrets: ["sha256:{64 * "1"}"]\n',
        Code.SHARED_SECRET,
        15,
        "make a new one for each",
    ),
    Row(
        "private-key",
        "    exchange: false\n",
        "    exchange: false\n    keys:\n      - {kty: EC, kid: a,\n         d: abc}\n",
        Code.PRIVATE_KEY,
        17,
        "`d` belongs to a private key",
    ),
    Row(
        "wrong-key",
        "    exchange: false\n",
        "    exchange: false\n    keys:\n      - {kty: OKP, kid: a,\n         crv: P-256}\n",
        Code.WRONG_KEY,
        17,
        "`crv` of `kty: OKP` must be Ed25519",
    ),
    Row(
        "loopback-keys",
        "    exchange: false\n",
        "    exchange: false\n    jwks_uri: http://localhost/jwks\n",
        Code.CONTRADICTION,
        15,
        "needs `private_network: true`",
    ),
    Row(
        "name",
        "    scopes: [rooms.read]\n",
        "    names: [calendar]\n    scopes: [rooms.read]\n",
        Code.SHARED_NAME,
        22,
        "the resource at 0.yaml:16 has this name already",
    ),
    Row("no-client", "client: calendar-mcp", "client: calendar", Code.UNKNOWN_REFERENCE, 28, "did"),
    Row(
        "no-resource",
        "resource: https://calendar",
        "resource: https://x",
        Code.UNKNOWN_REFERENCE,
        34,
        "no `h",
    ),
    Row(
        "no-issuer", "- issuer: corp", "- issuer: crop", Code.UNKNOWN_REFERENCE, 30, "mean `corp`?"
    ),
    Row("nobody", "{calendar-api: [r", "{zebra: [r", Code.UNKNOWN_REFERENCE, 23, "no `zebra`"),
    Row(
        "by-another-name",
        "resource: https://calendar.example.com/api",
        "resource: https://calendar.example.com/api/",
        Code.UNKNOWN_REFERENCE,
        34,
        "did you mean `https://calendar.example.com/api`?",
    ),
    Row("outside", "[events.read]}", "[events.reed]}", Code.UNKNOWN_SCOPE, 35, "`events.read`?"),
    Row(
        "admitted",
        "{calendar-api: [r",
        "{calendar-api: [x, r",
        Code.UNKNOWN_SCOPE,
        23,
        "`x` is not",
    ),
    Row(
        "not-admitted",
        "client: calendar-mcp",
        "client: calendar-api",
        Code.NOT_ADMITTED,
        34,
        "add it",
    ),
    Row("claim", "{groups: [staff]}", "{group: [staff]}", Code.UNKNOWN_CLAIM, 32, "mean `groups`?"),
    Row(
        "everyone",
        "[alice]\n",
        "[alice]\n        everyone: true\n",
        Code.CONTRADICTION,
        32,
        "remove",
    ),
    Row(
        "no-condition",
        "        people: [alice]\n        claims: {groups: [staff]}\n",
        "        everyone: false\n",
        Code.NO_SUBJECTS,
        30,
        "add `people`, `claims`, or `everyone: true`",
    ),
    Row("self", "names: [calendar]", "names: [calendar-mcp]", Code.SELF_TARGET, 17, "to itself"),
    Row(
        "self-slash",
        "names: [calendar]",
        "names: ['https://calendar-mcp.example.com/MCP/']",
        Code.SELF_TARGET,
        17,
        "`calendar-mcp` is this resource itself",
    ),
    Row(
        "nobody-asks",
        "    scopes: [rooms.read]\n",
        "    scopes: [rooms.read]\n    introspects: true\n",
        Code.CONTRADICTION,
        23,
        "nobody could ask",
    ),
    Row("us", LOGIN, "issuer: https://sts.example.com\n", Code.OWN_ISSUER, 2, "itself"),
    Row("us-slash", LOGIN, "issuer: https://sts.example.com/\n", Code.OWN_ISSUER, 2, "itself"),
    Row("us-case", LOGIN, "issuer: https://STS.example.com\n", Code.OWN_ISSUER, 2, "remove it"),
    Row(
        "our-actors",
        CORP,
        CORP + "    asserts_actors: true\n    actor_issuer: https://sts.example.com\n",
        Code.OWN_ISSUER,
        5,
        "`actor_issuer` is this service itself",
    ),
    Row(
        "our-audience",
        "https://calendar-mcp.example.com/mcp",
        "https://sts.example.com/",
        Code.OWN_ISSUER,
        9,
        "`audience` is this service itself",
    ),
    Row(
        "our-name", "[calendar]", "['https://sts.example.com']", Code.OWN_ISSUER, 17, "never a res"
    ),
    Row(
        "our-api",
        "r: https://rooms.example.com/api",
        "r: https://sts.example.com/",
        Code.OWN_ISSUER,
        21,
        "this service itself is never a resource",
    ),
    Row(
        "actors", CORP, CORP + "    actor_issuer: https://a.test\n", Code.CONTRADICTION, 4, "needs"
    ),
    Row("id-claim", CORP, CORP + "    id_claim: sub\n", Code.RESERVED_CLAIM, 4, "rule it is `jti`"),
    Row(
        "same", CORP, CORP + "    id_claim: x\n    scope_claim: x\n", Code.CONTRADICTION, 2, "three"
    ),
    Row("reserved", "{groups: groups}", "{groups: act}", Code.RESERVED_CLAIM, 6, "take it out"),
    Row("reserved-name", "{groups: g", "{groups: x, sub: g", Code.RESERVED_CLAIM, 6, "`sub`"),
    Row(
        "scope-claim",
        "{groups: groups}",
        "{groups: scp}\n    scope_claim: scp",
        Code.RESERVED_CLAIM,
        6,
        "`groups` is taken from a claim",
    ),
]

PLATFORM = story.ACTOR_ISSUERS
"""An entry that is right, in lines 7 to 11 where it stands before the clients."""

OTHER_PLATFORM = (
    "  - {issuer: https://other.example.com, alias: other, algorithms: [ES256],\n"
    "     jwks_uri: https://other.example.com/jwks}\n"
)


def _of_actors(name: str, text: str, code: Code, line: int, message: str) -> Row:
    """A mistake in actor issuers that stand before the clients."""
    return Row(name, "clients:\n", f"{text}clients:\n", code, line, message)


def _of_api(name: str, text: str, code: Code, message: str) -> Row:
    """A mistake in a line that is added to the entry of *calendar-api*."""
    old = "    exchange: false\n"
    return Row(name, old, f"{old}    {text}\n", code, 15, message)


def _of_login(name: str, text: str, code: Code, message: str) -> Row:
    """A mistake in a line that is added to the entry of the trusted issuer."""
    return Row(name, CORP, f"{CORP}    {text}\n", code, 4, message)


ACTORS = [
    _of_actors(
        "alias",
        PLATFORM + OTHER_PLATFORM.replace("other,", "platform,"),
        Code.DUPLICATE_ID,
        12,
        "`alias` is used already at 0.yaml:8",
    ),
    _of_actors(
        "issuer",
        PLATFORM + OTHER_PLATFORM.replace("other.example.com,", "workloads.example.com,"),
        Code.DUPLICATE_ID,
        12,
        "`issuer` is used already at 0.yaml:8",
    ),
    _of_actors("id", PLATFORM + "    id_claim: sub\n", Code.RESERVED_CLAIM, 12, "it is `jti`"),
    _of_actors(
        "client-claim",
        PLATFORM + "    client_claim: aud\n",
        Code.RESERVED_CLAIM,
        12,
        "`client_claim` is a claim that means something else; as a rule it is `client_id`",
    ),
    _of_actors(
        "same",
        PLATFORM + "    id_claim: azp\n    client_claim: azp\n",
        Code.CONTRADICTION,
        8,
        "`id_claim` and `client_claim` must be two different claims",
    ),
    _of_actors(
        "us",
        PLATFORM.replace("issuer: https://workloads.", "issuer: https://STS."),
        Code.OWN_ISSUER,
        8,
        "`issuer` is this service itself",
    ),
    _of_actors(
        "http",
        PLATFORM.replace("https://workloads.example.com\n", "http://x.test\n"),
        Code.WRONG_VALUE,
        8,
        WEB,
    ),
    _of_actors(
        "type", PLATFORM + "    types: [jwt]\n", Code.RESERVED_TYPE, 12, "`legacy_types: true`"
    ),
    *(
        _of_actors(
            f"assertion-type-{kind}",
            PLATFORM + f"    assertion_types: [jwt, {kind}]\n",
            Code.RESERVED_TYPE,
            12,
            "an entry of `assertion_types` must be a type that no other kind of token has",
        )
        for kind in ("at+jwt", "client-authentication+jwt", "oauth-id-jag+jwt")
    ),
    _of_actors(
        "assertion-case",
        PLATFORM + "    assertion_types: [JWT]\n",
        Code.WRONG_VALUE,
        12,
        "a media type in lower case",
    ),
    _of_actors(
        "no-assertions",
        PLATFORM + "    assertion_types: []\n",
        Code.EMPTY_VALUE,
        12,
        "`assertion_types` is empty",
    ),
    _of_actors(
        "subjects-key",
        PLATFORM + "    asserts_actors: true\n",
        Code.UNKNOWN_KEY,
        12,
        "`asserts_actors` is no key here",
    ),
    _of_actors(
        "no-keys",
        PLATFORM.replace("    jwks_uri: https://workloads.example.com/jwks\n", ""),
        Code.MISSING_KEY,
        8,
        "`jwks_uri` is missing. Where it publishes its keys.",
    ),
    Row(
        "client-of-that-name",
        "clients:\n  - id: calendar-mcp\n",
        f"{PLATFORM}clients:\n"
        "  - {id: 'https://workloads.example.com', audience: x, exchange: false}\n"
        "  - id: calendar-mcp\n",
        Code.CONTRADICTION,
        8,
        "the client at 0.yaml:13 has this for its id: rename that",
    ),
    _of_api(
        "shows-nobody",
        "may_present_actors: {clients: [calendar]}",
        Code.UNKNOWN_REFERENCE,
        "there is no `calendar` among the clients; did you mean",
    ),
    _of_api(
        "shows-itself",
        "may_present_actors: {clients: [calendar-mcp, calendar-api]}",
        Code.CONTRADICTION,
        "a client may always act itself: take it out",
    ),
    _of_api(
        "shows-of-nowhere",
        "may_present_actors: {workloads: {corp: [planner]}}",
        Code.UNKNOWN_REFERENCE,
        "there is no `corp` among the actor_issuers",
    ),
    _of_api(
        "shows-none", "may_present_actors: {clients: []}", Code.EMPTY_VALUE, "`clients` is empty"
    ),
    _of_api(
        "shows-no-workload",
        "may_present_actors: {workloads: {}}",
        Code.EMPTY_VALUE,
        "`workloads` is empty",
    ),
    _of_api(
        "shows-none-of-a-platform",
        "may_present_actors: {workloads: {corp: []}}",
        Code.EMPTY_VALUE,
        "`workloads` is empty",
    ),
    _of_api(
        "shows-any",
        "may_present_actors: any",
        Code.WRONG_TYPE,
        "`may_present_actors` must be a mapping",
    ),
    _of_api(
        "shows-agents",
        "may_present_actors: {agents: [desk-agent]}",
        Code.UNKNOWN_KEY,
        "`agents` is no key here; did you mean `clients`?",
    ),
    _of_api(
        "shows-no-client-id",
        "may_present_actors: {clients: ['a|b']}",
        Code.WRONG_VALUE,
        "an entry of `clients` must be 1 to 255 visible ASCII characters",
    ),
    _of_api(
        "shows-of-no-alias",
        "may_present_actors: {workloads: {Platform: [planner]}}",
        Code.WRONG_VALUE,
        "a key of `workloads` must be 1 to 32 lower-case letters",
    ),
    _of_api(
        "shows-a-list",
        "may_present_actors: {workloads: [planner]}",
        Code.WRONG_TYPE,
        "`workloads` must be a mapping",
    ),
    _of_login(
        "placeholder",
        "service_claims: {name: ['service-account-{client_id}']}",
        Code.WRONG_VALUE,
        "must be text without braces, but for `{client}`",
    ),
    _of_login("brace", "service_claims: {name: ['x}']}", Code.WRONG_VALUE, "without braces"),
    _of_login("no-marks", "service_claims: {}", Code.EMPTY_VALUE, "`service_claims` is empty"),
    _of_login("no-mark", "service_claims: {gty: []}", Code.EMPTY_VALUE, "is empty"),
    _of_login("mark", "service_claims: {gty: machine}", Code.WRONG_TYPE, "must be a list"),
]


def _problems_of(*files: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(RegistryInvalid) as caught:
        story.of(*files)
    return caught.value.problems


@pytest.mark.standard(
    "8693-2.1-8", "8693-4.1-9", "8693-5-1", "8707-2-4", "8707-2-6", "8725-3.1-1", "9068-5-1"
)
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=f"{group}-{row.name}")
        for group, rows in (
            ("syntax", SYNTAX),
            ("shape", SHAPE),
            ("together", TOGETHER),
            ("actors", ACTORS),
        )
        for row in rows
    ],
)
def test_a_mistake_is_found_at_its_line(row: Row) -> None:
    """One mistake in a registry that was right is reported, with its code, line and remedy."""
    assert story.STORY.count(row.old)
    text = story.STORY.replace(row.old, row.new, 1)

    problems = _problems_of(text)

    found = [one for one in problems if (one.code, one.line) == (row.code, row.line)]
    assert len(problems) == 1 + row.more, "\n".join(map(str, problems))
    assert [row.message in problem.message for problem in found] == [True]


@pytest.mark.standard("8693-4.1-9")
@pytest.mark.parametrize(
    "claim",
    ["act", "aud", "client_id", "cnf", "exp", "iat", "iss", "jti", "may_act", "scope", "sub"],
)
def test_a_claim_with_a_meaning_of_its_own_keeps_it(claim: str) -> None:
    """It is matched under no other name, and no other claim under its name."""
    for claims in (f"{{groups: groups, x: {claim}}}", f"{{groups: groups, {claim}: x}}"):
        (problem,) = _problems_of(story.STORY.replace("{groups: groups}", claims))

        assert problem.code is Code.RESERVED_CLAIM


def test_all_problems_are_reported_at_once() -> None:
    """Whatever is wrong, in any file, is in one report, by file and line."""
    first = story.STORY.replace("alias: corp", "alias: Corp").replace("300", "yes")
    second = "grants: [{id: a}]\nx: 1\n"
    third = b"\xff"

    problems = _problems_of(first, second, third)

    assert [(problem.file, problem.line, problem.code) for problem in problems] == [
        ("0.yaml", 3, Code.WRONG_VALUE),
        ("0.yaml", 36, Code.AMBIGUOUS_VALUE),
        *[("1.yaml", 1, Code.MISSING_KEY)] * 6,
        ("1.yaml", 2, Code.UNKNOWN_KEY),
        ("2.yaml", 1, Code.UNREADABLE),
    ]


def test_one_mistake_is_not_reported_by_all_who_refer_to_it() -> None:
    """An entry that is wrong is not missing: its users are not blamed."""
    wrong = story.STORY.replace("exchange: true", "exchange: 5")

    problems = _problems_of(wrong)

    assert [problem.line for problem in problems] == [11]


@pytest.mark.parametrize(
    "other",
    [
        "a: [",
        "clients: {}",
        "client: []",
        "clients: *a",
        "clients: [*a]",
        "- a",
        "*a",
        "clients: [5]",
    ],
)
def test_nothing_is_said_to_be_missing_while_a_section_cannot_be_read(other: str) -> None:
    """It may be there."""
    text = story.STORY.replace("id: calendar-api", "id: zebra").replace("Z\n", "\n")

    problems = _problems_of(text, other)

    assert {problem.file for problem in problems} == {"0.yaml", "1.yaml"}
    assert Code.UNKNOWN_REFERENCE not in {problem.code for problem in problems}


@pytest.mark.parametrize("other", ["a: [", "clients: [{id: rooms-api}]\n"])
def test_nobody_is_said_to_ask_for_nothing_while_a_client_cannot_be_read(other: str) -> None:
    """It may be the one."""
    text = story.STORY.replace("[rooms.read]\n", "[rooms.read]\n    introspects: true\n")

    problems = _problems_of(text, other)

    assert {problem.file for problem in problems} == {"1.yaml"}


def test_a_duplicate_is_found_across_files() -> None:
    """All files together are one registry."""
    problems = _problems_of(story.STORY, story.STORY)

    assert {problem.file for problem in problems} == {"1.yaml"}
    assert {problem.code for problem in problems} == {
        Code.DUPLICATE_ID,
        Code.SHARED_AUDIENCE,
        Code.SHARED_SECRET,
    }
    assert "used already at 0.yaml:25" in str(problems[-1])


def test_a_problem_is_written_as_compilers_do() -> None:
    """Editors and CI can follow it."""
    problem = Problem("team/a.yaml", 7, Code.UNKNOWN_KEY, "`x` is no key here")

    assert str(problem) == "team/a.yaml:7: `x` is no key here [unknown_key]"
    assert str(RegistryInvalid([problem, problem])) == str(problem)


def test_no_message_shows_a_secret() -> None:
    """A secret that was put where its digest belongs is not spread further."""
    leaked = "dlg_" + 43 * "s"

    problems = _problems_of(story.STORY.replace("sha256:" + 64 * "1", leaked))

    assert leaked not in "".join(map(str, problems))
