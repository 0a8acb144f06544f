"""Runs cases against a server: each is passed, failed or skipped, and says why."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .adapter import Answer, NotSupported, Request, Server
from .cases import Case, Scene, parameters, patched
from .matching import ABSENT, differences
from .world import World

_GRANTED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a case. *why* says what differed, or which feature is missing."""

    case: Case
    outcome: Literal["passed", "failed", "skipped"]
    why: str = ""


def run(cases: Iterable[Case], server: Server, world: World) -> Iterator[Result]:
    """Run *cases* one after another; none depends on another."""
    for case in cases:
        yield _run(case, server, world)


def _run(case: Case, server: Server, world: World) -> Result:
    missing = sorted(set(case.get("needs", ())) - set(server.features))
    if missing:
        return Result(case=case, outcome="skipped", why=", ".join(missing))
    try:
        why = "; ".join(_play(case, Scene(world=world, server=server)))
    except NotSupported as error:
        return Result(case=case, outcome="skipped", why=error.feature)
    except Exception as error:  # noqa: BLE001, whatever a server does, the others are still run
        why = f"no answer that can be read: {type(error).__name__}: {error}"
    return Result(case=case, outcome="failed" if why else "passed", why=why)


def _play(case: Case, scene: Scene) -> list[str]:
    """What differs from what *case* expects; nothing where it passes."""
    given = case.get("given", {})
    usual = scene.world.sound["tokens"]
    for name, token in (usual | given.get("tokens", {})).items():
        scene.sign(name, token if "raw" in token else {**usual.get(name, {}), **token})
    for step in given.get("before", ()):
        answer = scene.server.exchange(_request(scene, step.get("request", {})))
        scene.keep(step["as"], answer.body)
        if step["as"] not in scene.tokens:
            return [f"the exchange before it was refused: {_told(answer)}"]
    answer = scene.server.exchange(_request(scene, case.get("request", {})))
    scene.keep("answer", answer.body)
    expected = case["expected"]
    either = expected.get("either", [expected])
    found = [_differences(scene, one, answer) for one in either]
    return [] if [] in found else [" - or ".join("; ".join(one) for one in found)]


def _request(scene: Scene, patch: Mapping[str, Any]) -> Request:
    """The sound request, but for *patch*."""
    request = scene.filled(patched(scene.world.sound["request"], patch))
    return Request(
        client=request["client"],
        parameters=tuple(parameters(request["parameters"])),
        query=tuple(parameters(request.get("query", {}))),
        **{name: request[name] for name in _OPTIONAL if name in request},
    )


_OPTIONAL = ("authentication", "method", "encoding")


def _differences(scene: Scene, expected: Mapping[str, Any], answer: Answer) -> list[str]:
    wanted = scene.filled(expected)
    statuses = wanted["status"] if isinstance(wanted["status"], list) else [wanted["status"]]
    granted = _GRANTED in statuses
    if answer.status not in statuses:
        return [f"{_told(answer)}, not {' or '.join(map(str, statuses))}"]
    if answer.body is None:
        return [] if wanted.get("any_body") else ["the answer is no JSON object"]
    found = list(_always(answer.body, granted=granted))
    if "error" in wanted:
        errors = wanted["error"] if isinstance(wanted["error"], list) else [wanted["error"]]
        found += differences({"$in": errors}, answer.body.get("error", ABSENT), "error")
    found += differences(wanted.get("body", {}), answer.body, "body")
    for name, value in wanted.get("headers", {}).items():
        found += differences(value, answer.headers.get(name, ABSENT), f"header {name}")
    if granted and "claims" in wanted and not found:
        claims = scene.server.claims(answer.body["access_token"])
        found += differences(wanted["claims"], claims, "claims")
    return found


def _always(body: Mapping[str, Any], *, granted: bool) -> Iterator[str]:
    """What holds for every answer: there is a token or an error, and never both."""
    there, not_there = ("access_token", "error") if granted else ("error", "access_token")
    if not isinstance(body.get(there), str):
        yield f"there is no {there}"
    if not_there in body:
        yield f"there is {not_there}"


def _told(answer: Answer) -> str:
    error = "" if answer.body is None else answer.body.get("error", "")
    return f"{answer.status} {error}".rstrip()
