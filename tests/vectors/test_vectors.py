"""The vectors: sound data, a runner that can say no, and our own service, which passes."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from tests.vectors.__main__ import main
from tests.vectors.adapter import Answer, HttpServer, Request, Server
from tests.vectors.adapters import idpyoidc, ours
from tests.vectors.cases import Case, load, patched
from tests.vectors.matching import ABSENT, differences
from tests.vectors.report import as_markdown, as_text
from tests.vectors.runner import Result, run
from tests.vectors.world import World, a_world

HERE = Path(__file__).parent
RUNNER = sorted({*HERE.glob("*.py")} - {Path(__file__)})
SCHEMA = json.loads((HERE / "case.schema.json").read_text("utf-8"))
WORLD = json.loads((HERE / "world.json").read_text("utf-8"))
CASES = load()

THEMES: Mapping[str, tuple[str, ...]] = {
    "request": (
        *(f"8693-2.1-{number}" for number in (1, 2, 3, 4, 5, 13, 15, 16, 17)),
        "6749-3.2-1",
        "6749-3.2-3",
        "6749-3.2-4",
        "6749-5.2-1",
        "6749-5.2-2",
    ),
    "token-types": ("8693-2.1-6", "8693-3-1", "8693-3-2"),
    "subject-token": ("8693-2.1-14", "8693-2.2.2-1"),
    "actor-tokens": tuple(f"8693-A-{number}" for number in (1, 2, 3, 4, 5, 6)),
    "act-chain": tuple(f"8693-4.1-{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 10)),
    "may-act": ("8693-4.4-1", "8693-4.4-2", "8693-4.4-3"),
    "targets": ("8693-2.1-7", "8693-2.1-8", "8693-2.1-9", "8693-2.1-10", "8693-2.2.2-2"),
    "scope": ("8693-2.1-11", "8693-4.2-1", "6749-3.3-1", "6749-3.3-2", "6749-3.3-3"),
    "response": (
        *(f"8693-2.2.1-{number}" for number in (1, 2, 3, 4, 5, 6, 7)),
        "8693-2.2.2-4",
        "8693-4.3-1",
    ),
}


def _of(theme: str) -> list[Case]:
    return [case for case in CASES if case["id"].startswith(f"{theme}.")]


@pytest.fixture(name="world", scope="session")
def _world() -> Iterator[World]:
    with a_world() as world:
        yield world


@pytest.fixture(name="service", scope="session")
def _service(world: World) -> Iterator[Server]:
    """Ours, running."""
    with ours.adapter(world) as server:
        yield server


@pytest.mark.parametrize(
    "theme",
    [pytest.param(name, marks=pytest.mark.standard(*rows)) for name, rows in THEMES.items()],
)
def test_our_service_passes(theme: str, world: World, service: Server) -> None:
    """Every case of the theme, and none is left out for want of a feature."""
    results = list(run(_of(theme), service, world))

    assert results
    assert {result.outcome for result in results} == {"passed"}, as_text("ours", results)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_case_is_as_the_schema_says(case: Case) -> None:
    """It is valid, and speaks only of features, parties and tokens that there are."""
    Draft202012Validator(SCHEMA).validate(case)
    needs = set(case.get("needs", ()))
    assert needs <= WORLD["features"].keys()
    assert sorted(needs) == case.get("needs", [])
    text = json.dumps(case["expected"])
    assert ('"claims"' in text) <= ("readable-tokens" in needs)
    assert ('"act": {' in text) <= ("act-claim" in needs)
    assert ("before" in case.get("given", {})) <= ("second-hop" in needs)


def test_the_schema_is_one() -> None:
    """It is a JSON Schema."""
    Draft202012Validator.check_schema(SCHEMA)


def test_no_two_cases_have_one_id() -> None:
    """An id names one case, in the file of its theme."""
    ids = [case["id"] for case in CASES]

    assert len(ids) == len(set(ids))
    assert {id_.partition(".")[0] for id_ in ids} == set(THEMES)


def test_the_readme_shows_a_case_as_it_is() -> None:
    """The example is one of the cases."""
    readme = (HERE / "README.md").read_text("utf-8")
    _, shown = readme.split("```json\n")

    assert json.loads(shown.partition("```")[0]) in CASES


def test_every_feature_is_needed_and_explained() -> None:
    """A feature stands in the world, in the README, and in some case."""
    readme = (HERE / "README.md").read_text("utf-8")
    needed = {feature for case in CASES for feature in case.get("needs", ())}

    assert needed == WORLD["features"].keys()
    assert all(f"| `{name}` | {meaning} |" in readme for name, meaning in WORLD["features"].items())


@pytest.mark.parametrize("path", RUNNER, ids=lambda path: path.name)
def test_the_runner_stands_alone(path: Path) -> None:
    """It imports the standard library, PyJWT, cryptography and httpx2: the folder can be copied."""
    known = {*sys.stdlib_module_names, "jwt", "cryptography", "httpx2"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                assert {one.name.partition(".")[0] for one in names} <= known
            case ast.ImportFrom(module=module, level=level):
                assert level == 1 or str(module).partition(".")[0] in known
                assert level <= 1


def test_the_folder_can_be_copied(tmp_path: Path) -> None:
    """Elsewhere, and under another name, the runner finds its world and its cases."""
    copy = tmp_path / "vectors"
    shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("adapters", "test_*", "__pycache__"))
    code = "from vectors import __main__, cases; print(len(cases.load()), __main__.__file__)"

    run = subprocess.run(  # noqa: S603, our own interpreter
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert run.stdout.split() == [str(len(CASES)), str(copy / "__main__.py")]


class Careless(HttpServer):
    """Says yes to everything, with a token that anybody could have made."""

    def exchange(self, request: Request) -> Answer:
        """Grant it."""
        del request
        return Answer(status=200, headers={}, body={"access_token": "yes", "token_type": "Bearer"})

    def claims(self, issued: str) -> Mapping[str, Any]:
        """Somebody acts, but the chain is inside out."""
        del issued
        actors = {"sub": "front", "act": {"sub": "middle"}}
        return {"sub": "alice", "act": actors, "aud": "anywhere"}


class Silent(Careless):
    """Answers nothing that could be read."""

    def exchange(self, request: Request) -> Answer:
        """No JSON."""
        del request
        return Answer(status=200, headers={}, body=None)


@contextmanager
def _made(kind: type[HttpServer], world: World) -> Iterator[HttpServer]:
    with httpx2.Client() as http:
        yield kind(
            name=kind.__name__,
            identifier="https://wrong.example",
            features=frozenset(world.features) - {"cycle-rules"},
            http=http,
            token_endpoint="https://wrong.example/token",
            jwks_uri="https://wrong.example/jwks",
            secrets={},
        )


@contextmanager
def careless(world: World) -> Iterator[HttpServer]:
    """An adapter to a server that does everything wrong."""
    with _made(Careless, world) as server:
        yield server


@pytest.mark.parametrize("kind", [Careless, Silent])
def test_a_wrong_server_fails(kind: type[HttpServer], world: World) -> None:
    """Whatever must be refused fails where it is granted; so does what is granted wrongly."""
    with _made(kind, world) as server:
        results = {result.case["id"]: result for result in run(CASES, server, world)}

    for case in CASES:
        expected = case["expected"].get("either", [case["expected"]])
        if case["id"] == "act-chain.cycle-allowed":
            assert results[case["id"]].outcome == "skipped"
        elif all(one["status"] != 200 for one in expected):
            assert results[case["id"]].outcome == "failed"
    for wrong in ("act-chain.two-hops", "act-chain.first-hop", "targets.resource"):
        assert results[wrong].outcome == "failed"


@pytest.mark.parametrize(
    ("expected", "found", "differs"),
    [
        ({"act": {"sub": "a"}}, {"act": {"sub": "a", "iss": "i"}}, False),
        ({"act": {"sub": "a"}}, {"act": {"sub": "a", "act": {"sub": "b"}}}, True),
        ({"act": {"sub": "a", "act": {"sub": "b"}}}, {"act": {"sub": "a"}}, True),
        ({"act": {"sub": "a", "act": "$any"}}, {"act": {"sub": "a", "act": 1}}, False),
        ({"a": "$absent"}, {}, False),
        ({"a": "$absent"}, {"a": None}, True),
        ({"a": "$present"}, {"a": None}, False),
        ({"a": "$present"}, {}, True),
        ({"a": 1}, {"a": True}, True),
        ({"a": {"b": 1}}, {"a": "b"}, True),
        ({"a": {"$scope": "b c"}}, {"a": "c b"}, False),
        ({"a": {"$scope": "b c"}}, {"a": ["b", "c"]}, True),
        ({"a": {"$at_most": 5}}, {"a": 5}, False),
        ({"a": {"$at_most": 5}}, {"a": 6}, True),
        ({"a": {"$at_least": 5}}, {"a": 4}, True),
        ({"a": {"$at_least": 5}}, {"a": "6"}, True),
        ({"a": {"$about": 100}}, {"a": 104}, False),
        ({"a": {"$about": None}}, {"a": 104}, True),
        ({"a": {"$matches": "b+"}}, {"a": "bb"}, False),
        ({"a": {"$matches": "b"}}, {"a": "bb"}, True),
        ({"a": {"$matches": "b"}}, {}, True),
        ({"a": {"$in": ["b"]}}, {}, True),
    ],
)
def test_patterns(expected: object, found: object, *, differs: bool) -> None:
    """What each pattern takes; an actor chain is compared whole."""
    assert bool(list(differences(expected, found, "claims"))) == differs


def test_what_is_missing_is_said() -> None:
    """The difference names the place."""
    assert list(differences(1, ABSENT, "body.x")) == ["body.x is missing, not 1"]


def test_a_patch_takes_out_what_is_null() -> None:
    """RFC 7396: null takes out, objects are merged, anything else replaces."""
    patch = {"a": {"b": None, "c": {"d": 2}}, "f": None}

    assert patched({"a": {"b": 1, "c": 3}, "e": [1]}, patch) == {"a": {"c": {"d": 2}}, "e": [1]}


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_a_report_of_failure(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each form names what failed and what was not tried, and the exit status says no."""
    only = ("--only", "may-act.names-another", "--only", "act-chain.cycle*")

    status = main(["--adapter", f"{__name__}:careless", "--report", form, *only])

    said = capsys.readouterr().out
    assert status == 1
    assert "may-act.names-another" in said
    assert "200, not 400" in said
    assert "cycle-rules" in said


def test_nothing_tried_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern that fits no case, or cases that are all skipped, are not a pass."""
    arguments = ["--adapter", f"{__name__}:careless", "--only"]

    assert main([*arguments, "no-such-case"]) == 1
    assert main([*arguments, "act-chain.cycle-allowed"]) == 1
    assert main([*arguments, "request.sound"]) == 0
    assert "Careless: rfc8693: 1 passed, 0 failed, 0 skipped" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_another_server_answers_is_as_recorded(world: World) -> None:
    """Somebody else's server, as it is published, gives the report that stands in `results`."""
    try:
        with idpyoidc.adapter(world) as server:
            results: list[Result] = list(run(CASES, server, world))
    except idpyoidc.NotInstalled as error:
        pytest.skip(f"it could not be installed: {error}")

    report = as_markdown(server.name, results)

    assert report == (HERE / "results/idpyoidc.md").read_text("utf-8")
