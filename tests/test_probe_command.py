"""`delegation probe`: what it reads, what it says, and how it ends."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.cli.command import Ran, run
from tests.probed import API, NEXT, StandIn, a_stand_in
from tests.secrecy import shows_any


@pytest.fixture(name="process", scope="module")
def _process() -> Iterator[StandIn]:
    with a_stand_in() as stand_in:
        yield stand_in


@pytest.fixture(name="stand_in")
def _stand_in(process: StandIn) -> Iterator[StandIn]:
    """A sound one."""
    process.mend()
    yield process
    structlog.reset_defaults()


def probe(
    stand_in: StandIn, tmp_path: Path, *arguments: str, without: str = "", **changes: str
) -> Ran:
    """Run it, with the usual environment and a token file."""
    token = tmp_path / "token"
    token.write_text(stand_in.subject_token())
    usual = {
        "ISSUER": stand_in.url,
        "CLIENT_ID": "mcp",
        "CLIENT_SECRET": "mcp",
        "RESOURCE": API,
        "SCOPE": "read",
        "PROBE_SUBJECT_TOKEN_FILE": str(token),
    }
    environment = {name: value for name, value in (usual | changes).items() if name != without}
    named = {f"DELEGATION_{name}": value for name, value in environment.items()}
    return run("probe", *arguments, environment=named)


def _verdicts(ran: Ran) -> dict[str, str]:
    return {one["probe"]: one["verdict"] for one in json.loads(ran.out)["probes"]}


def test_a_sound_service(stand_in: StandIn, tmp_path: Path) -> None:
    """A line for each probe, and how many ended how."""
    ran = probe(stand_in, tmp_path)

    assert (ran.status, ran.err) == (0, "")
    first, *lines, empty, last = ran.out.splitlines()
    assert first.split() == ["VERDICT", "PROBE", "PROMISE", "INSTEAD"]
    assert lines[0].split()[:2] == ["ok", "metadata"]
    assert empty == ""
    assert last.startswith("24 ok, 0 critical, 0 wrong, 0 unavailable, 11 skipped; ")


def test_all_that_can_be_tried(stand_in: StandIn, tmp_path: Path) -> None:
    """Each party brings its own credential, of any kind."""
    secret, expired = tmp_path / "secret", tmp_path / "expired"
    secret.write_text("api\n")
    expired.write_text(stand_in.subject_token(exp=1))
    arguments = ("--with-alarms", "--next-resource", NEXT, "--forbidden-scope", "write")

    ran = probe(
        stand_in,
        tmp_path,
        *arguments,
        *("--forbidden-resource", "https://forbidden.example/api", "--output", "json"),
        OTHER_CLIENT_ID="other",
        OTHER_CLIENT_SECRET="other",
        API_CLIENT_ID="api",
        API_CLIENT_SECRET_FILE=str(secret),
        TOKEN_ENDPOINT=f"{stand_in.url}/token",
        PROBE_EXPIRED_TOKEN_FILE=str(expired),
    )

    assert ran.status == 0
    verdicts = _verdicts(ran)
    assert verdicts.pop("plain_http") == "skipped"
    assert set(verdicts.values()) == {"ok"}
    assert json.loads(ran.out)["issuer"] == stand_in.url
    assert json.loads(ran.out)["count"]["ok"] == len(verdicts)


def test_what_is_found(stand_in: StandIn, tmp_path: Path) -> None:
    """Exit status 1; of tokens and secrets nothing is said."""
    stand_in.faults.add("takes none")

    ran = probe(stand_in, tmp_path)
    (line,) = (line for line in ran.out.splitlines() if line.startswith("critical"))

    assert ran.status == 1
    assert line.split()[1] == "unsigned_token"
    assert line.endswith("it was answered 200 with a token")
    assert not shows_any(ran.out)


def test_what_is_wrong_and_out_of_reach(stand_in: StandIn, tmp_path: Path) -> None:
    """What is found counts more than what nobody can tell."""
    stand_in.down["/jwks"] = 503
    alone = probe(stand_in, tmp_path)
    stand_in.down["/token"] = 400
    both = probe(stand_in, tmp_path)

    assert (alone.status, both.status) == (3, 1)


def test_a_command_for_tokens(stand_in: StandIn, tmp_path: Path) -> None:
    """It is run without a shell, in each round."""
    file = tmp_path / "a token"
    file.write_text(stand_in.subject_token())

    ran = probe(
        stand_in,
        tmp_path,
        *("--subject-token-command", f"cat '{file}'"),
        without="PROBE_SUBJECT_TOKEN_FILE",
    )

    assert ran.status == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--subject-token-command", "cat x"), "Give --subject-token-command or --subject-"),
        (("--interval", "14"), "14 is not in the range"),
        (("--resource",), "requires an argument"),
    ],
)
def test_usage(stand_in: StandIn, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Nothing is asked before it is clear what to ask."""
    ran = probe(stand_in, tmp_path, *arguments)

    assert (ran.status, ran.out, stand_in.asked) == (2, "", [])
    assert said in ran.err


@pytest.mark.parametrize("command", ["", "'", "  "])
def test_no_command(stand_in: StandIn, tmp_path: Path, command: str) -> None:
    """What is no command is not run."""
    ran = probe(
        stand_in,
        tmp_path,
        *("--subject-token-command", command),
        without="PROBE_SUBJECT_TOKEN_FILE",
    )

    assert ran.status == 2
    assert "--subject-token-command is no command." in ran.err


@pytest.mark.parametrize("name", ["RESOURCE", "SCOPE", "PROBE_SUBJECT_TOKEN_FILE"])
def test_something_is_missing(stand_in: StandIn, tmp_path: Path, name: str) -> None:
    """What must work has to be said."""
    assert probe(stand_in, tmp_path, without=name).status == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"CLIENT_SECRET": ""}, "DELEGATION_CLIENT_SECRET: is empty: give it a value, or unset it"),
        ({"ISSUER": "http://sts.example"}, "DELEGATION_ISSUER: is not used: http://sts.example"),
        ({"OTHER_CLIENT_ID": "other"}, "DELEGATION_OTHER_CLIENT_SECRET: is not set: set it, or "),
        ({"API_CLIENT_SECRET": "api"}, "DELEGATION_API_CLIENT_ID: is not set: who asks"),
    ],
)
def test_settings_that_cannot_be_used(
    stand_in: StandIn, tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    """All of it is said, with the name of the variable; half a party is none."""
    ran = probe(stand_in, tmp_path, **changes)

    assert (ran.status, stand_in.asked) == (2, [])
    assert ran.err.startswith(said)


def test_a_metrics_file(stand_in: StandIn, tmp_path: Path) -> None:
    """It is written after the round; where that fails, it is said."""
    file = tmp_path / "probe.prom"

    written = probe(stand_in, tmp_path, "--metrics-file", str(file))
    failed = probe(stand_in, tmp_path, "--metrics-file", str(tmp_path / "none" / "probe.prom"))

    assert written.status == 0
    assert 'delegation_probe_ok{probe="exchange"} 1' in file.read_text()
    assert failed.status == 1
    assert failed.out.endswith(" s\n")
    assert failed.err.startswith("--metrics-file: ")
    assert failed.err.endswith(": No such file or directory.\n")


def test_for_ever(stand_in: StandIn, tmp_path: Path) -> None:
    """Until it is told to stop; what is not as it should be stands in a line of its own."""
    stand_in.faults.add("takes none")
    stand_in.down["/jwks"] = 503
    # In the middle of a round, which is brought to its end.
    stand_in.when_revoked = lambda: os.kill(os.getpid(), signal.SIGTERM)
    nowhere = str(tmp_path / "none" / "probe.prom")

    ran = probe(stand_in, tmp_path, "--interval", "3600", "--metrics-file", nowhere)

    assert (ran.status, ran.out) == (0, "")
    lines = [json.loads(line) for line in ran.err.splitlines()]
    *said, last, not_written = lines
    assert [(line["level"], line["probe"], line["verdict"]) for line in said] == [
        ("warning", "keys", "unavailable"),
        ("warning", "token", "unavailable"),
        ("error", "unsigned_token", "critical"),
    ]
    assert (last["event"], last["level"], last["critical"]) == ("probed", "info", 1)
    assert not_written["event"] == "metrics_not_written"
    assert not shows_any(ran.err)
    assert stand_in.alive == {}


def test_for_ever_in_peace(stand_in: StandIn, tmp_path: Path) -> None:
    """A round in which nothing is found is one line."""
    stand_in.when_revoked = lambda: os.kill(os.getpid(), signal.SIGTERM)
    file = tmp_path / "probe.prom"

    ran = probe(stand_in, tmp_path, "--interval", "3600", "--metrics-file", str(file))

    (line,) = ran.err.splitlines()
    assert json.loads(line)["ok"] == 24
    assert 'delegation_probe_outcomes{verdict="ok"} 24' in file.read_text()
