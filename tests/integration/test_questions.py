"""`can-i` and the exchange never disagree: two processes over the same files, each by HTTP."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import jwt
import pytest
import redis
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from delegation.dev.world import World, running_world
from delegation.domain.grants import Agents, Deny, Grant
from delegation.domain.resources import Resource, is_resource_uri
from delegation.domain.tokens import format_scope
from delegation.registry.loader import Snapshot, parse
from delegation.registry.problems import RegistryInvalid
from delegation.registry.secrets import digest, new_secret
from tests import strategies
from tests.parties import (
    ALIAS,
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    CALENDAR_MCP_AUDIENCE,
    DESK_AGENT,
    LOGIN,
    ROOMS_API,
    a_client,
    a_registry,
    an_issuer,
    the_next_client,
)
from tests.registry.story import as_yaml
from tests.registry.test_properties import as_content
from tests.signing import ABSENT
from tests.strategies import API_SCOPES, MCP_SCOPES, OTHER_LOGIN, mostly, subsets
from tests.web.admin.desk import STAFF, Staff
from tests.world import Books, KeyServer, Login, key_server

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"

NO_SHRINKING = (Phase.explicit, Phase.generate)
"""Each attempt to find a smaller world would load files anew, twice."""

MOMENT = 10
"""Seconds in which two hops are done, on a slow machine."""

TOLD = ("error", "error_description", "reason", "required_scope")
"""What a refusal tells the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question: *hops* is whether it is about the second service, which the first one calls."""

    alias: str
    subject: str
    agent: str
    mcp_scope: frozenset[str]
    claims: dict[str, frozenset[str]]
    hops: bool
    resource: str
    scope: frozenset[str] | None

    def as_body(self) -> dict[str, Any]:
        """As the admin API is asked."""
        client = CALENDAR_API_CLIENT if self.hops else CALENDAR_MCP
        body: dict[str, Any] = {
            "client": client,
            "subject": f"{self.alias}|{self.subject}",
            "agent": self.agent,
            "claims": {name: sorted(values) for name, values in self.claims.items()},
            "resource": self.resource,
        }
        body |= {"hops": [CALENDAR_MCP]} if self.hops else {}
        body |= {"mcp_scope": sorted(self.mcp_scope)} if self.mcp_scope else {}
        return body | ({} if self.scope is None else {"scope": sorted(self.scope)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the files say, and what is asked of it."""

    resources: tuple[Resource, ...]
    grants: tuple[Grant | Deny, ...]
    exchanges: bool
    asked: tuple[Asked, ...]


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    """Questions of which many have the right service, and some the right token."""
    hops = draw(st.booleans())
    meant = [ROOMS_API] if hops else [CALENDAR_API, "calendar"]
    others = ["unknown", CALENDAR_MCP_AUDIENCE, CALENDAR_API, ROOMS_API]
    return Asked(
        alias=draw(mostly(st.just(ALIAS), st.just("partner"))),
        subject=draw(mostly(st.sampled_from(["alice", "bob"]), st.just(DESK_AGENT))),
        agent=draw(mostly(st.just(DESK_AGENT), st.just("planner"))),
        mcp_scope=draw(mostly(subsets(MCP_SCOPES, min_size=1), st.just(frozenset()))),
        claims=draw(strategies.claims(min_size=1)),
        hops=hops,
        resource=draw(mostly(st.sampled_from(meant), st.sampled_from(others))),
        scope=draw(mostly(st.none(), strategies.SCOPES) if hops else st.none() | strategies.SCOPES),
    )


@st.composite
def resources(draw: st.DrawFn) -> tuple[Resource, ...]:
    """The calendar, which admits its MCP server, and the rooms, which admit the calendar."""
    found = []
    for one in draw(strategies.resources()):
        admitted = subsets(tuple(sorted(one.scopes)), min_size=1)
        clients = {CALENDAR_API_CLIENT if one.identifier == ROOMS_API else CALENDAR_MCP}
        if one.identifier == ROOMS_API:
            clients |= draw(subsets((CALENDAR_MCP,)))
        found.append(replace(one, clients={client: draw(admitted) for client in sorted(clients)}))
    return tuple(found)


@st.composite
def onward(draw: st.DrawFn, number: int) -> Grant | Deny:
    """A grant or a deny for the second hop."""
    one = draw(mostly(strategies.grants(), strategies.denies()))
    ours = Agents(registered=frozenset({CALENDAR_MCP}))
    changes: dict[str, Any] = {
        "id": f"onward-{number}",
        "client": CALENDAR_API_CLIENT,
        "resource": ROOMS_API,
        "agents": draw(mostly(st.just(ours), st.just(Agents(any=True)))),
    }
    if isinstance(one, Grant):
        meanings = subsets(API_SCOPES, min_size=1)
        changes |= {"scopes": draw(st.fixed_dictionaries(dict.fromkeys(API_SCOPES, meanings)))}
    return replace(one, **changes)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Files of a few grants, and some questions; no grant ends while they are asked.

    None is for one use: a store that has only just begun says of every token that it was used.
    """
    first = [draw(strategies.grants(id=f"grant-{n}")) for n in range(draw(st.integers(1, 3)))]
    denying = [draw(strategies.denies(id=f"deny-{n}")) for n in range(draw(st.integers(0, 1)))]
    second = [draw(onward(number)) for number in range(draw(st.integers(1, 2)))]
    hour = timedelta(hours=1)
    ends = mostly(st.none(), st.sampled_from([hour, -hour]))
    grants = [
        replace(one, expires_at=None if (end := draw(ends)) is None else datetime.now(UTC) + end)
        for one in (*first, *denying, *second, *draw(strategies.shadows()))
    ]
    grants = [replace(one, single_use=False) if isinstance(one, Grant) else one for one in grants]
    return Scene(
        resources=draw(resources()),
        grants=tuple(grants),
        exchanges=draw(st.sampled_from([True, True, True, True, False])),
        asked=tuple(draw(st.lists(questions(), min_size=6, max_size=6))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Both processes, and everybody around them; in *directory* is the link to the registry."""

    world: World
    directory: Path
    keys: KeyServer
    books: Books
    http: httpx2.Client
    staff: Staff
    logins: dict[str, Login]
    secrets: dict[str, str] = field(repr=False)

    def comes_to(self, scene: Scene) -> str:
        """The revision of files that say this scene, once both processes have loaded them.

        What no file can say is left out.
        """
        grants: tuple[Grant | Deny, ...] = ()
        for one in scene.grants:
            with suppress(RegistryInvalid):
                self._revision(self._text(scene, (*grants, one)))
                grants = (*grants, one)
        # What has been in force before is no sign of what is.
        text = f"# {uuid4()}\n{self._text(scene, grants)}"
        revision = self._revision(text)
        put(text, self.directory)
        self._wait(revision)
        return revision

    def _text(self, scene: Scene, grants: tuple[Grant | Deny, ...]) -> str:
        secrets = {
            client: bytes.fromhex(digest(secret).removeprefix("sha256:"))
            for client, secret in self.secrets.items()
        }
        named = {"claims": {"groups": "groups", "department": "department"}}
        registry = a_registry(
            issuer=self.world.url,
            issuers=[
                an_issuer(**self._keys(LOGIN), **named),
                an_issuer(issuer=OTHER_LOGIN, alias="partner", **self._keys(OTHER_LOGIN), **named),
            ],
            actor_issuers=[],
            clients=[
                a_client(may_exchange=scene.exchanges, secrets=(secrets[CALENDAR_MCP],)),
                the_next_client(secrets=(secrets[CALENDAR_API_CLIENT],)),
            ],
            resources=scene.resources,
            grants=grants,
        )
        return as_yaml(as_content(registry) | admins(self._keys(STAFF)))

    def _keys(self, issuer: str) -> dict[str, Any]:
        path = f"/{issuer.removeprefix('https://')}"
        return {"jwks_uri": self.keys.url + path, "private_network": True}

    def _revision(self, text: str) -> str:
        files = Snapshot((("registry.yaml", text.encode()),))
        return parse(files, issuer=self.world.url).revision

    def _wait(self, revision: str) -> None:
        deadline = time.monotonic() + 20
        for name in ("service.log", "admin.log"):
            while revision not in (self.world.directory / name).read_text(errors="replace"):
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def answer(self, asked: Asked) -> Any:
        """What the admin API says."""
        answer = self.http.post(
            f"{self.world.admin_url}/admin/v1/can-i",
            json=asked.as_body(),
            headers={"Authorization": f"Bearer {self.staff.token(aud=self.world.url + '/admin')}"},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def exchange(self, asked: Asked) -> httpx2.Response:
        """What the token endpoint says, to the first that is refused or the last that asks."""
        token = self.logins[asked.alias].token(
            sub=asked.subject,
            client_id=asked.agent,
            scope=format_scope(asked.mcp_scope) or ABSENT,
            **{name: sorted(values) for name, values in asked.claims.items()},
        )
        client = CALENDAR_MCP
        if asked.hops:
            first = self._exchange(client, token, CALENDAR_API, None)
            if first.status_code != 200:
                return first
            client, token = CALENDAR_API_CLIENT, first.json()["access_token"]
        return self._exchange(client, token, asked.resource, asked.scope)

    def _exchange(
        self, client: str, token: str, resource: str, scope: frozenset[str] | None
    ) -> httpx2.Response:
        form = {
            "grant_type": EXCHANGE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "resource" if is_resource_uri(resource) else "audience": resource,
        }
        form |= {} if scope is None else {"scope": format_scope(scope)}
        auth = (client, self.secrets[client])
        return self.http.post(f"{self.world.url}/token", data=form, auth=auth)


def admins(keys: dict[str, Any]) -> dict[str, Any]:
    """Whoever logs administrators in."""
    entry = {"issuer": STAFF, "alias": "staff", "algorithms": ["ES256"]}
    return {"admin_issuers": [entry | keys]}


def put(text: str, directory: Path) -> None:
    """Have the registry's link lead to files that say *text*, in one step."""
    files, link = directory / uuid4().hex, directory / "new"
    files.mkdir()
    (files / "registry.yaml").write_text(text, "utf-8")
    link.symlink_to(files)
    link.rename(directory / "registry")


@pytest.fixture(name="place", scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One worker each, over files that are swapped by a link."""
    directory, registry = tmp_path_factory.mktemp("world"), tmp_path_factory.mktemp("registry")
    directory.chmod(0o700)
    put("", registry)
    logins = {
        alias: Login(issuer, usual={"aud": CALENDAR_MCP_AUDIENCE})
        for alias, issuer in ((ALIAS, LOGIN), ("partner", OTHER_LOGIN))
    }
    staff = Staff()
    roomy = dict.fromkeys(("REFUSALS_PER_MINUTE", "MAX_UNDRAINED_EVENTS"), "1000000")
    with (
        key_server() as keys,
        running_world(
            directory,
            workers=1,
            admin=True,
            DELEGATION_REGISTRY=str(registry / "registry"),
            **{f"DELEGATION_{name}": value for name, value in roomy.items()},
        ) as world,
        redis.Redis.from_url(world.settings.redis_url) as store,
        httpx2.Client(trust_env=False, timeout=10) as http,
    ):
        for party in (*logins.values(), staff):
            keys.documents[f"/{party.issuer.removeprefix('https://')}"] = party.jwks()
        yield Place(
            world=world,
            directory=registry,
            keys=keys,
            books=Books(store),
            http=http,
            staff=staff,
            logins=logins,
            secrets={client: new_secret() for client in (CALENDAR_MCP, CALENDAR_API_CLIENT)},
        )


def must_agree(place: Place, scene: Scene) -> Counter[str]:
    """Ask each question of both; what came of them."""
    revision = place.comes_to(scene)
    found: Counter[str] = Counter()
    for asked in scene.asked:
        said, response = place.answer(asked), place.exchange(asked)
        told, decision = response.json(), response.headers["Delegation-Decision"]
        if said["allowed"]:
            assert response.status_code == 200, (said, place.books.refusal(decision))
            agree_on_the_token(said, told)
            # From hop to hop time passes, and nothing outlives what it grew from.
            late = said["expires_in"] - told["expires_in"]
            assert 0 <= late <= MOMENT * asked.hops
            event = place.books.exchange(decision)
            assert (event["grant"], event["resource"]) == (said["grant"], said["resource"])
            found[f"hop {1 + asked.hops}"] += 1
        else:
            assert response.status_code != 200, said
            event = place.books.refusal(decision)
            assert told == {name: said[name] for name in TOLD if said[name] is not None}, event
            assert (event["cause"], event["client"]) == (said["cause"], said["client"])
            found[event["cause"]] += 1
        assert said["revision"] == event["revision"] == revision
        agree_on_the_shadow(said["shadow"], event.get("shadow"))
    return found


def agree_on_the_token(said: dict[str, Any], told: dict[str, Any]) -> None:
    """That it is worth as much, and that the same act in it for the same subject."""
    claims = jwt.decode(told["access_token"], options={"verify_signature": False})
    actors, inner = [], claims["act"]
    while inner:
        actors.append((inner["iss"], inner["sub"]))
        inner = inner.get("act")
    assert told["scope"] == format_scope(said["scope"])
    assert claims["sub_id"] == said["subject"]
    assert (claims["client_id"], claims["aud"]) == (said["client"], said["resource"])
    assert actors == [(one["iss"], one["sub"]) for one in said["actors"]]


def agree_on_the_shadow(said: list[dict[str, Any]], event: dict[str, Any] | None) -> None:
    """The last one is that of the last exchange, whose event has it."""
    if event is not None:
        last = said[-1]
        assert event["grants"] == last["grants"]
        assert (event["outcome"] == "granted") == last["allowed"]
        assert event.get("cause") == last["cause"]
        assert event.get("grant") == last["grant"]


@given(scene=scenes())
@settings(max_examples=8, deadline=None, phases=NO_SHRINKING)
def test_can_i_never_disagrees_with_the_exchange(place: Place, scene: Scene) -> None:
    """What the one says over HTTP the other does: the same token, or the same refusal."""
    must_agree(place, scene)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nor_in_many_worlds(place: Place) -> None:
    """And they are worlds in which something happens."""
    found: Counter[str] = Counter()

    @given(scene=scenes())
    @settings(max_examples=100, deadline=None, phases=NO_SHRINKING)
    def each(scene: Scene) -> None:
        found.update(must_agree(place, scene))

    # Some of each, or the agreement would be about little; what is seldom may need more worlds.
    causes = {"no_grant", "denied", "scope_exceeded", "scope_empty", "target_not_admitted"}
    outcomes = causes | {"hop 1", "hop 2", "client_not_enabled"}
    for _ in range(3):
        each()
        if outcomes <= {*found}:
            break
    assert outcomes <= {*found}, found
