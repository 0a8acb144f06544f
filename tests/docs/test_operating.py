"""The page on operating is true: its commands run in order, and its tables are whole."""

import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from delegation.domain.errors import ALARMING
from delegation.domain.trust import SKEW
from delegation.preflight import remedy
from delegation.wiring import REGISTRY, SIGNING_KEYS
from tests.audit.trails import KEY
from tests.cli.command import Ran
from tests.cli.command import run as command_run
from tests.cli.conftest import _begun, _sound, _unlaid  # noqa: F401, fixtures
from tests.docs.pages import ROOT, alike, blocks, table
from tests.valkey import _raw, _valkey, _valkey_process  # noqa: F401, fixtures

PAGE = ROOT / "docs/how-to/operate.md"
TEXT = PAGE.read_text("utf-8")
CODE = sorted((ROOT / "delegation").rglob("*.py"))
SCRIPTS = sorted((ROOT / "delegation/ledger/scripts").glob("*.lua"))
EMPTIED = {"delegation check\n": 1, "delegation ledger replay-locks audit\n": 2}
"""The blocks before which the store has lost what it knew: the first or the second of its kind."""


@pytest.fixture(name="environment")
def _environment(
    sound: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The settings of a service that has sealed one stop."""
    monkeypatch.chdir(tmp_path)
    Path("audit.key").write_text(f"{KEY.kept()}\n", "ascii")
    Path("audit.key").chmod(0o600)
    environment = sound | {"DELEGATION_AUDIT_KEY": "audit.key"}
    for command in ("lock --client notes-mcp --reason INC-7", "audit seal audit --once"):
        assert command_run(*command.split(), environment=environment).status == 0
    return environment


def commands() -> Iterator[tuple[str, str]]:
    """Each command block of the page, with what stands below it."""
    found = blocks(PAGE)
    for (kind, text), (below, said) in zip(found, [*found[1:], ("", "")], strict=True):
        if kind == "console":
            yield text, said if below == "text" else ""


def test_every_command_says_what_is_shown(environment: dict[str, str], raw: "redis.Redis") -> None:
    """Copies are made and read, the store is lost and restored, and a release is looked at."""
    seen: Counter[str] = Counter()
    for command, expected in commands():
        seen[command] += 1
        if seen[command] == EMPTIED.get(command):
            raw.flushall()
        ran = [done(line, environment) for line in command.splitlines()][-1]
        assert not expected or alike((ran.out + ran.err).strip(), expected.strip()), ran
        assert ran.status == ("is not laid out" in expected)

    assert all(seen[command] >= EMPTIED[command] for command in EMPTIED)


def done(line: str, environment: dict[str, str]) -> Ran:
    """What a line does as a shell does it; a command of ours is run in this process."""
    words = shlex.split(line.replace("$AUDIT_KEY", str(KEY.verifier)))
    if words[0] != "delegation":
        subprocess.run(words, check=True)  # noqa: S603, our own page
        return Ran(0, "", "")
    words, into = (words[:-2], words[-1]) if ">" in words else (words, None)
    ran = command_run(*words[1:], environment=environment)
    if into is not None:
        Path(into).write_text(ran.out, "utf-8")
    return ran


def named(*head: str) -> list[str]:
    """The first column of the table with this head, without its quotes."""
    return [row[0].strip("`") for row in table(TEXT, *head)]


def of_code(pattern: str) -> set[str]:
    """What *pattern* finds in our code, and in the scripts."""
    return {
        name for path in [*CODE, *SCRIPTS] for name in re.findall(pattern, path.read_text("utf-8"))
    }


def readiness() -> set[str]:
    """All that `/readyz` may name: of what is watched, of the signer, and of the store."""
    watched = {
        f"{one}_{how}" for one in (REGISTRY, SIGNING_KEYS) for how in ("invalid", "restless")
    }
    scripts = "".join(
        path.read_text("utf-8") for path in SCRIPTS if path.stem in {"layout", "probe"}
    )
    ledger = set(re.findall(r"(?:return|status =) '(?!ok)(\w+)'", scripts))
    ledger |= of_code(r'"(ledger_(?:evicts|unreachable|unwell))"')
    return watched | {"signing_key"} | ledger


def test_every_problem_of_readiness_has_its_row() -> None:
    """Each that can be has one, and no other."""
    rows = named("problem", "means", "do")

    assert len(readiness()) == 15
    assert len(rows) == len(set(rows))
    assert set(rows) == readiness()


def test_what_the_check_says_of_the_store_is_known_to_the_page() -> None:
    """Each problem for which `delegation check` has a remedy is one of readiness."""
    unknown = remedy("unknown").replace("unknown", "{}")
    store = [
        name for name in named("problem", "means", "do") if remedy(name) != unknown.format(name)
    ]

    assert set(store) == {
        name for name in readiness() if not name.startswith((REGISTRY, SIGNING_KEYS, "signing_key"))
    }


def test_every_alarm_has_its_row() -> None:
    """Those of requests, and those of the sealer."""
    sealers = of_code(r'_log\.error\(\s*"alarm",\s*cause="(\w+)"')

    assert set(named("cause", "what happened", "first")) == set(ALARMING) | sealers
    assert sealers


@pytest.mark.parametrize("line", ["epoch_begun", "not_sealed", "alarm"])
def test_log_lines_are_called_what_the_page_calls_them(line: str) -> None:
    """Whoever watches for them finds them."""
    assert f"`{line}`" in TEXT or f'"{line}"' in TEXT
    assert of_code(rf'_log\.\w+\(\s*"({line})"')


def test_clocks_are_those_of_the_code() -> None:
    """How far each may be off."""
    layout = next(path for path in SCRIPTS if path.stem == "layout").read_text("utf-8")
    seconds = {row[0]: row[1] for row in table(TEXT, "whose clock", "may be off by", "else")}

    assert "TOLERANCE = 2000" in layout
    assert seconds["a worker's, against the store's"] == "2 seconds"
    assert seconds["an issuer's that is ahead"] == f"{SKEW.seconds} seconds"
