"""Attacks on whoever looks: characters that act on a terminal, or that forge a line of a log."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
import yaml

from delegation import wiring
from delegation.audit.segments import Directory, Trail
from tests.attacks.attack import Attack
from tests.attacks.endpoint import JWT, basic, encoded
from tests.attacks.test_actor_tokens import JWT_BEARER
from tests.audit.trails import KEY
from tests.cli.command import run
from tests.world import TestWorld

ANSI = "\x1b[31mred\x1b[2J\x1b]0;title\x07"
MARKUP = "[bold red]red[/] [link=https://evil.example]here[/link] :smile:"
BIDI = "\u202egnp\u2066exe\u2069\u200f\u061c"
LINES = 'x\r\n{"event": "forged"}\u2028\u2029\x85y'
C1 = "\x9b31m\x90\x7f\x08"

HOSTILE = {"ansi": ANSI, "markup": MARKUP, "bidi": BIDI, "lines": LINES, "c1": C1}

each = pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)


def _is_one_thing(line: str) -> bool:
    """Whether nothing in *line* acts on a terminal, or turns the writing round."""
    return line.isprintable()


def _checked(registry: Path, issuer: str = "https://sts.example") -> list[str]:
    """What `delegation check` says of the files in *registry*, line by line."""
    environment = {"DELEGATION_ISSUER": issuer, "DELEGATION_REGISTRY": str(registry)}
    ran = run("check", environment=environment)
    assert (ran.status, ran.out) == (1, "")
    return ran.err.removesuffix("\n").split("\n")


def _entries(hostile: str) -> dict[str, Any]:
    """A registry that has *hostile* wherever text can stand."""
    issuer = {
        "issuer": hostile,
        "alias": hostile,
        "jwks_uri": hostile,
        "algorithms": [hostile],
        "types": [hostile],
        "claims": {hostile: hostile},
        hostile: hostile,
    }
    return {
        "issuers": [issuer],
        "actor_issuers": [issuer],
        "clients": [
            {"id": hostile, "audience": hostile, "secrets": [hostile]},
            {
                "id": "mcp",
                "audience": "https://mcp.example/mcp",
                "may_present_actors": {"clients": [hostile], "workloads": {hostile: [hostile]}},
            },
        ],
        "resources": [
            {
                "identifier": "https://api.example",
                "scopes": ["read"],
                "clients": {hostile: [hostile], "mcp": ["read"]},
            },
            {"identifier": "https://api.example", "scopes": [hostile], hostile: 1},
        ],
        "grants": [
            {
                "id": hostile,
                "client": hostile,
                "subjects": [{"issuer": hostile, "claims": {hostile: [hostile]}}],
                "agents": [hostile],
                "resource": hostile,
                "scopes": {hostile: [hostile]},
                "expires": hostile,
            },
        ],
        hostile: [hostile],
    }


# What is right in form, and refers to what is not there: only then is its name repeated.
def _references(hostile: str) -> dict[str, Any]:
    return {
        "issuers": [
            {
                "issuer": "https://login.example",
                "alias": "login",
                "jwks_uri": "https://login.example/jwks",
                "algorithms": ["ES256"],
            }
        ],
        "clients": [{"id": "mcp", "audience": "https://mcp.example/mcp"}],
        "resources": [
            {
                "identifier": "https://api.example",
                "scopes": ["read"],
                "clients": {"mcp": ["read"]},
            }
        ],
        "grants": [
            {
                "id": "grant",
                "client": "mcp",
                "subjects": [{"issuer": "login", "claims": {hostile: ["a"]}}],
                "agents": ["agent"],
                "resource": "https://api.example",
                "scopes": {"read": ["read"]},
                "expires": "never",
                hostile: 1,
            }
        ],
    }


@each
def test_what_is_said_of_a_hostile_registry(tmp_path: Path, hostile: str) -> None:
    """A file that somebody proposes says nothing to the terminal of who checks it: each problem is
    one line of ours, and what is quoted in it is shown.
    """
    for number, entries in enumerate((_entries(hostile), _references(hostile))):
        registry = tmp_path / str(number)
        registry.mkdir()
        (registry / "all.yaml").write_text(yaml.safe_dump(entries))

        lines = _checked(registry)

        assert len(lines) > 1
        assert all(map(_is_one_thing, lines))
        places = ("registry: all.yaml:", "settings: DELEGATION_")
        assert [line for line in lines if not line.startswith(places)] == []
    assert any(MARKUP in line for line in lines) is (hostile == MARKUP)


@each
def test_what_is_said_of_hostile_file_names(tmp_path: Path, hostile: str) -> None:
    """The name of a file is somebody's text, too."""
    name = hostile.replace("/", "_")
    (tmp_path / f"{name}.yaml").write_text("grants: nothing\n")
    (tmp_path / "bytes\udcff.yaml").write_text("grants: nothing\n")

    lines = _checked(tmp_path)

    ours = [line for line in lines if line.startswith("registry: ")]
    assert all(map(_is_one_thing, lines))
    assert len(ours) == 2
    assert all(line.endswith("`grants` must be a list [wrong_type]") for line in ours)


@each
def test_a_worker_that_cannot_start(tmp_path: Path, hostile: str) -> None:
    """What it writes about the registry, before there is a log, is as harmless."""
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(_references(hostile)))
    (tmp_path / f"{hostile.replace('/', '_')}.yaml").write_text("grants: nothing\n")
    program = (
        "import sys; from pathlib import Path; from delegation.registry.loader import load; "
        "load(Path(sys.argv[1]), issuer='https://sts.example')"
    )

    ran = subprocess.run(  # noqa: S603, our own interpreter and arguments
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:surrogateescape"},
    )

    written = ran.stderr.decode("utf-8", "surrogateescape")
    assert "RegistryInvalid" in written
    assert all(map(_is_one_thing, written.removesuffix("\n").split("\n")))
    assert "forged" not in [line.strip() for line in written.split("\n")]


def _requests(attack: Attack, own: TestWorld, hostile: str) -> None:
    """Put *hostile* wherever a log line or an event might pick it up."""
    quoted = quote_plus(hostile)
    endpoint = attack.endpoint
    for authorization in (
        basic(hostile, "guess"),
        basic(own.world.secrets["calendar-mcp"] + hostile, "guess"),
        encoded(f"{quoted}:{quoted}".encode()),
        encoded(f"{hostile}:{hostile}".encode()),
        hostile.replace("\r\n", " ").encode(),
    ):
        endpoint.exchange(headers={"Authorization": authorization})
    nobody = {"headers": {"Authorization": None}}
    endpoint.exchange(**nobody, client_id=hostile, client_secret=hostile)
    for claims, header in (
        ({"jti": hostile}, {}),
        ({"iss": hostile, "sub": hostile}, {}),
        ({}, {"kid": hostile}),
        ({}, {"alg": hostile}),
        ({}, {"typ": hostile}),
        ({"aud": hostile}, {}),
        ({hostile: hostile}, {hostile: hostile}),
    ):
        assertion = own.signer.assertion(header=header, **claims)
        for _ in range(2):
            endpoint.exchange(
                **nobody, client_assertion=assertion, client_assertion_type=JWT_BEARER
            )
            endpoint.exchange(actor_token=assertion, actor_token_type=JWT)
    for name in ("resource", "audience", "scope", "subject_token", hostile):
        endpoint.exchange(**{name: hostile})
    for claim in ("sub", "aud", "jti", "client_id", "scope", "may_act", "act", "groups", "azp"):
        endpoint.exchange(subject_token=attack.login.token(**{claim: hostile}))
        for value in ([hostile], {"sub": hostile}, {hostile: hostile}):
            endpoint.exchange(subject_token=attack.login.token(**{claim: value}))
    endpoint.exchange(subject_token=attack.login.token(header={"kid": hostile}))
    endpoint.exchange(
        subject_token=own.federated.token(aud="https://calendar-mcp.example/mcp", act=hostile)
    )
    one_line = hostile.replace("\r\n", " ").encode()
    for header in ("traceparent", "User-Agent", "X-Forwarded-For", "Host", "X-Request-Id"):
        endpoint.exchange(headers={header: one_line})
    endpoint.raw(b"GET /" + one_line + b" HTTP/1.1\r\n\r\n", method="GET")


@pytest.mark.attack(23)
@pytest.mark.standard("8693-5-3")
@each
def test_what_the_log_says_of_hostile_requests(
    attack: Attack, own: TestWorld, tmp_path: Path, hostile: str
) -> None:
    """Every line of the log and of the evidence is one record of ours, in ASCII that acts on
    nothing; what was sent stands in the evidence as it was, escaped.
    """
    _requests(attack, own, hostile)

    assert all(line.isascii() and line.isprintable() for line in own.log.split("\n"))
    for line in own.log.splitlines():
        if line.startswith("{"):
            assert json.loads(line)["event"] != "forged"
    segments = Directory(tmp_path)
    for _ in wiring.sealer(own.world.store, segments, KEY)():
        pass
    for number in segments.numbers():
        lines = segments.file(number).read_text("ascii").removesuffix("\n").split("\n")
        assert all(map(_is_one_thing, lines))
    # The store is shared, and each trail says what was missing when it was sealed.
    events = [record.exported() for record in Trail(segments).records() if record.event]
    assert all({"id", "at", "version", "type"} <= event.keys() for event in events)
    # What an issuer that we trust has signed is evidence: it stands there as it was.
    assert [hostile] in [event.get("detail", {}).get("audience") for event in events]


@each
def test_a_command_says_what_was_typed(tmp_path: Path, hostile: str) -> None:
    """Also where all went well, the name of a file acts on nothing."""
    directory = tmp_path / hostile.replace("/", "_")
    directory.mkdir()

    for ran in (
        run("keys", "new", str(directory / "keys.json")),
        run("init", str(directory / "registry")),
        run("keys", "list", str(directory / "none.json")),
        run("keys", "list", str(directory)),
        run("init", str(directory)),
        run("dev", "token", "--user", "alice", "--env-file", str(directory / "dev.env")),
    ):
        said = ran.out + ran.err
        assert said
        assert all(map(_is_one_thing, said.removesuffix("\n").split("\n")))
