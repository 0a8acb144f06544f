"""The reference says what the code does."""

import doctest
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx2
import jwt
import pytest
from authlib.oauth2.rfc6749 import UnsupportedGrantTypeError
from werkzeug.exceptions import MethodNotAllowed, NotFound, RequestEntityTooLarge

from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP, ROOMS_API
from delegation.dev.world import World, running_world
from delegation.domain.delegations import Delegation
from delegation.domain.errors import ALARMING, Cause, Refused, Unavailable
from delegation.domain.parties import Actor, ActorChain, Identity
from delegation.domain.tokens import SERVICE, Authentication
from delegation.jose.signer import JwtSigner
from delegation.registry.schema import SECTIONS
from delegation.settings import SETTINGS
from delegation.web.errors import AuthenticationFailed, Boundary, TooManyFailures
from delegation.web.form import MAX_BODY
from tests.docs import generate
from tests.parties import (
    CALENDAR_API_CLIENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    a_delegation,
    a_second_delegation,
    a_token_of_ours,
)
from tests.signing import a_keyring
from tests.web.endpoint import Endpoint, basic

PAGES = generate.REFERENCE
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ROW = re.compile(r"^\| (.*) \|$", re.MULTILINE)
KEY = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
COMPARE = doctest.OutputChecker()


def page(name: str) -> str:
    """The text of a page of the reference."""
    return (PAGES / f"{name}.md").read_text("utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The blocks of a page in one language, in order."""
    return [text for kind, text in BLOCK.findall(page(name)) if kind == language]


def table(name: str, *head: str) -> list[list[str]]:
    """The rows of the one table of a page with this head, without the marks of code."""
    rows = [re.split(r"(?<!\\) \| ?", row) for row in ROW.findall(page(name))]
    start = rows.index(list(head)) + 2
    end = next((i for i, row in enumerate(rows[start:], start) if row[0] == "---"), None)
    found = rows[start : None if end is None else end - 1]
    return [[cell.strip().strip("`") for cell in row] for row in found]


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_the_generated_parts_are_as_the_code_has_them(path: Path) -> None:
    """No page tells yesterday's settings or keys: `python -m tests.docs.generate` writes them."""
    text = path.read_text("utf-8")

    assert generate.rendered(text) == text, "run: python -m tests.docs.generate"


def test_every_generated_part_is_on_a_page() -> None:
    """What can be generated is shown somewhere."""
    shown = {part for path in PAGES.glob("*.md") for part in generate.parts(path.read_text())}

    assert shown == set(generate.PARTS)


def test_every_setting_is_described() -> None:
    """Each variable has a row, with what it may be and what it is by itself."""
    rows = {row[0]: row for row in table("settings", "variable", "meaning", "value", "default")}

    assert list(rows) == [setting.variable for setting in SETTINGS]
    assert all(cell for row in rows.values() for cell in row)
    assert rows["DELEGATION_WORKERS"][2:] == ["must be a whole number from 1 to 64", "2"]
    assert rows["DELEGATION_ISSUER"][3] == "must be set"


def test_every_key_of_the_registry_is_described() -> None:
    """Each key of each entry stands in the table of its section, in the order of the schema."""
    sections = re.split(r"^## `(\w+)`$", page("registry"), flags=re.MULTILINE)[1:]
    tables = dict(zip(sections[::2], sections[1::2], strict=True))

    keys = {
        name: re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) for name, text in tables.items()
    }

    assert list(keys) == list(SECTIONS)
    for name, model in SECTIONS.items():
        assert keys[name][: len(model.model_fields)] == list(model.model_fields)


def refusals(kind: type[Refused] = Refused) -> Iterator[Refused]:
    """One refusal of each kind that there is."""
    for one in kind.__subclasses__():
        yield one(Cause.MALFORMED)
        yield from refusals(one)


OTHER_ANSWERS = (
    UnsupportedGrantTypeError("x"),
    AuthenticationFailed(),
    NotFound(),
    MethodNotAllowed(["POST"]),
    RequestEntityTooLarge(),
    TooManyFailures(60),
    RuntimeError(),
    Unavailable("ledger_unreachable"),
)


def test_every_answer_is_listed() -> None:
    """Status, code, reason and text of each error are those that the service gives."""
    boundary = Boundary(lambda: 0.0)
    head = ("status", "error", "reason", "description", "when", "what to do")

    answers = [boundary(error) for error in (*refusals(), *OTHER_ANSWERS)]
    given = [
        (answer.status_code, json.loads(b"".join(answer({"REQUEST_METHOD": "POST"}, print))))
        for answer in answers
    ]

    assert sorted(row[:4] for row in table("errors", *head)) == sorted(
        [str(status), body["error"], body.get("reason", "none"), body["error_description"]]
        for status, body in given
    )
    assert all(all(row) for row in table("errors", *head))
    assert f"{MAX_BODY // 1024} KiB" in page("errors")


def test_every_cause_is_listed() -> None:
    """The closed set is closed: each cause has its line, in order, and those that alarm say so."""
    rows = table("errors", "cause", "means", "alarm")

    assert [row[0] for row in rows] == [cause.value for cause in Cause]
    assert all(row[1] for row in rows)
    assert {row[0] for row in rows if row[2] == "yes"} == {cause.value for cause in ALARMING}


def claims_of(delegation: Delegation) -> dict[str, Any]:
    """What our signer writes."""
    value = JwtSigner(a_keyring(), OUR_ISSUER).sign(delegation).value
    claims: dict[str, Any] = jwt.decode(value, options={"verify_signature": False})
    return claims


LOGGED_IN = Authentication(time=NOW - timedelta(minutes=5), acr="1", amr=("pwd",))


def test_every_claim_is_listed() -> None:
    """The table has the claims that are always there, and those that a token may also have."""
    rows = table("claims", "claim", "present", "meaning", "standard")
    service = a_token_of_ours(authentication=LOGGED_IN, sub_profile=SERVICE)

    least = claims_of(a_delegation())
    most = claims_of(replace(a_second_delegation(), parent=service))

    assert [row[0] for row in rows if row[1] == "always"] == list(least)
    assert sorted(row[0] for row in rows) == sorted(most)
    assert all(all(row) for row in rows)


def test_every_member_of_an_actor_is_listed() -> None:
    """Whatever stands in `act` has its row."""
    rows = table("claims", "member", "present", "meaning")
    identity = Identity(LOGIN, "desk-agent")
    chain = ActorChain((Actor(identity=identity, client_id="x", sub_profile="y"),) * 2)

    outer = chain.as_claim() or {}

    assert [row[0] for row in rows] == list(outer)
    assert {row[0] for row in rows if row[1] == "always"} == set(
        ActorChain((Actor(identity=identity),)).as_claim() or {}
    )


def test_the_header_is_listed() -> None:
    """The header has these members, and no others."""
    rows = {row[0]: row[1] for row in table("claims", "header", "value")}
    value = JwtSigner(a_keyring(), OUR_ISSUER).sign(a_delegation()).value

    header = jwt.get_unverified_header(value)

    assert set(header) == set(rows)
    assert header["typ"] == rows["typ"]
    assert header["alg"] in rows["alg"]


def test_the_example_of_claims_is_what_the_signer_writes() -> None:
    """The example token is the second hop of the story, claim by claim."""
    (example,) = blocks("claims", "json")

    assert json.dumps(claims_of(a_second_delegation()), indent=2) == example.strip()
    assert CALENDAR_API_CLIENT in example


def test_every_address_has_its_section() -> None:
    """No endpoint is left out, and none is made up."""
    served = {
        f"{method} {rule.rule}"
        for rule in Endpoint().app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert set(re.findall(r"^## (.*)$", page("http-api"), re.MULTILINE)) == served
    assert {row[0] for row in table("http-api", "address", "what it is for")} == served


def test_unreadiness_is_shown_as_it_is() -> None:
    """The answer of a service that is unwell looks like the one that is shown."""
    sts = Endpoint()
    (shown,) = map(json.loads, blocks("http-api", "json"))
    sts.problems = shown["problems"]

    answer = sts.ask(path="/readyz", method="GET")

    assert (answer.status_code, answer.json) == (503, shown)


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running service, with one worker."""
    directory = tmp_path_factory.mktemp("reference")
    directory.chmod(0o700)
    with running_world(directory, workers=1) as world:
        yield world


@pytest.fixture(name="http", scope="module")
def _http() -> Iterator[httpx2.Client]:
    """What calls it."""
    with httpx2.Client(trust_env=False, timeout=10) as http:
        yield http


def alices(world: World) -> str:
    """Alice's token for the calendar's MCP server, for reading."""
    return world.issuer.token(
        user="alice",
        agent="desk-agent",
        audience=CALENDAR_MCP,
        scope="calendar:read",
        groups=["staff"],
    )


def parse(message: str) -> tuple[str, dict[str, str], str]:
    """A shown message in its parts: first line, headers, body."""
    head, _, body = message.partition("\n\n")
    first, *lines = head.strip().splitlines()
    return first, dict(line.split(": ", 1) for line in lines), body.strip()


def exchanges() -> Sequence[tuple[str, str]]:
    """The shown requests, each with the answer below it."""
    shown = blocks("http-api", "http")
    return list(zip(shown[::2], shown[1::2], strict=True))


@pytest.mark.parametrize("number", range(len(exchanges())))
def test_the_service_answers_as_it_is_shown(world: World, http: httpx2.Client, number: int) -> None:
    """Each shown request, sent to a running service, gets the answer that stands below it."""
    request, expected = exchanges()[number]
    first, headers, body = parse(request)
    method, path, _ = first.split(" ")
    if "Authorization" in headers:
        headers["Authorization"] = basic("calendar-mcp", world.secrets["calendar-mcp"])
    body = body.replace("subject_token=...", f"subject_token={quote_plus(alices(world))}")
    for client, secret in world.secrets.items():
        named = f"client_id={client}&client_secret="
        body = body.replace(f"{named}...", f"{named}{quote_plus(secret)}")
    if body.endswith("&token=..."):
        token = issued(world, http, "calendar-mcp", alices(world), CALENDAR_API)
        body = body.replace("&token=...", f"&token={token}")

    answer = http.request(method, f"{world.url}{path}", headers=headers, content=body)

    status, shown, content = parse(expected)
    assert str(answer.status_code) == status.split(" ")[1]
    for name, value in shown.items():
        assert COMPARE.check_output(value, answer.headers[name], doctest.ELLIPSIS), name
    text = json.dumps(answer.json(), indent=2) if answer.content else ""
    said = text.replace(world.url, "https://sts.example.com")
    assert COMPARE.check_output(content, said, doctest.ELLIPSIS), said


def test_an_api_verifies_as_it_is_shown(world: World, http: httpx2.Client) -> None:
    """The shown function takes a token for its API, and refuses those that it says it refuses."""
    (code,) = blocks("claims", "python")
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # noqa: S102, it is our own page
    namespace |= {
        "ISSUER": world.url,
        "AUDIENCE": CALENDAR_API,
        "keys": jwt.PyJWKClient(f"{world.url}/jwks"),
    }
    verify = namespace["verify"]

    token = issued(world, http, "calendar-mcp", alices(world), CALENDAR_API)
    further = issued(world, http, "calendar-api", token, ROOMS_API)

    assert verify(token, "events.read")["act"]["sub"] == "calendar-mcp"
    for wrong, scope in ((token, "events"), (further, "rooms.read"), (alices(world), "x")):
        with pytest.raises(jwt.PyJWTError):
            verify(wrong, scope)
    namespace["ISSUER"] = "https://other.example"
    with pytest.raises(jwt.InvalidIssuerError):
        verify(token, "events.read")


def issued(world: World, http: httpx2.Client, client: str, token: str, resource: str) -> str:
    """What *client* is given for *token*, for *resource*."""
    form: Mapping[str, str] = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "resource": resource,
    }
    answer = http.post(f"{world.url}/token", data=form, auth=(client, world.secrets[client]))
    return str(answer.json()["access_token"])
