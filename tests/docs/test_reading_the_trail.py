"""The pages on reading and shipping the trail are true: their commands say what is shown."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.audit.segments import Directory
from delegation.cli.reading import export as export_command
from delegation.cli.reading import query
from delegation.domain.errors import Cause, InvalidScope
from delegation.domain.evidence import Outcome
from delegation.domain.locks import LockOrder, Target
from delegation.ledger.evidence import Evidence
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.audit.trails import a_sealer
from tests.cli.command import run
from tests.cli.conftest import _begun, _sound, _unlaid  # noqa: F401, fixtures
from tests.docs.pages import ROOT, alike, blocks, table
from tests.parties import a_case, the_next_client
from tests.valkey import _valkey, _valkey_process, decide, decide_next  # noqa: F401, fixtures

READ, SHIP = (ROOT / f"docs/how-to/{name}-the-audit-trail.md" for name in ("read", "ship"))

DIRECTORY = "/var/lib/delegation"
REFUSED = "42-Jq2ZgG4w6u1k0o8yA5rXbQ"
FIRST, SECOND = "39-mddoxvXI5ysGOUBJV8H7MQ", "39-m_haU-AwwAa1RoQuooXgdQ"


@dataclass
class Scene:
    """Where commands run; *names* are those of the pages, each with what it is here."""

    environment: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)

    def says(self, command: str) -> str:
        """What a command of a page says, in the page's names."""
        for shown, ours in self.names.items():
            command = command.replace(shown, ours)
        ran = run(*shlex.split(command)[1:], environment=self.environment)
        assert ran.status == 0, ran.err
        said = ran.out
        for shown, ours in self.names.items():
            said = said.replace(ours, shown)
        return said


@pytest.fixture(name="scene")
def _scene(sound: dict[str, str], tmp_path: Path) -> Iterator[Scene]:
    """Two hops for Alice, the first of which is sealed, a lock on it, and a refusal."""
    server = Server(sound["DELEGATION_REDIS_URL"], timeout=2)
    store = Store(server, Partitions(64))
    ledger = RedisLedger(store, events=Events(), limits=Limits())
    first = decide(ledger)
    ledger.record(first, a_case())
    refused = ledger.refuse(InvalidScope(Cause.SCOPE_EXCEEDED), a_case())
    Directory(tmp_path / "audit").prepare()
    list(a_sealer(Evidence(store), tmp_path / "audit", clock=lambda: datetime.now(UTC))())  # type: ignore[arg-type]
    second = decide_next(ledger, first)
    ledger.record(second, a_case(client=the_next_client()))
    locks = RedisLocks(store, events=Acts(), waits=False)
    target = Target.exchange(first.id)
    locks.lock(LockOrder(id=locks.new_id(target), target=target, reason="INC-7", author="carol"))
    names = {DIRECTORY: str(tmp_path), FIRST: first.id, SECOND: second.id, REFUSED: refused}
    yield Scene({**sound, "DELEGATION_AUDIT_DIRECTORY": str(tmp_path / "audit")}, names)
    server.close()


def commands(page: Path) -> list[tuple[str, str]]:
    """Each command of a page, with the text that stands right below it."""
    found = blocks(page)
    return [
        (text.strip(), below if kind_below == "text" else "")
        for (kind, text), (kind_below, below) in zip(found, [*found[1:], ("", "")], strict=True)
        if kind == "console" and not text.startswith("export ")
    ]


def told(text: str) -> str:
    """Without what differs from one day to the next: times and widths."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text.strip())
    return re.sub(r"(?<=\S)  +", "  ", text)


def test_reading(scene: Scene) -> None:
    """Every command of the page, in order."""
    for command, expected in commands(READ):
        said = scene.says(command)
        assert not expected or alike(told(said), told(expected)), said


def test_the_options_are_all_there_are() -> None:
    """Of `query`, those that say what fits; and every outcome."""
    rows = table(READ.read_text("utf-8"), "option", "fits")
    named = {name for row in rows for name in re.findall(r"--[a-z]+", row[0])}
    others = {"--sealed", "--limit", "--output", "--cause"}

    assert named == {name for one in query.params for name in one.opts if "--" in name} - others
    [outcomes] = [row[1] for row in rows if row[0] == "`--outcome`"]
    assert re.findall(r"`(\w+)`", outcomes) == list(Outcome)


def test_shipping(scene: Scene) -> None:
    """Each event once, by the page's own command; and the sealed alone."""
    (export, _), (sealed, _) = commands(SHIP)

    everything = scene.says(export).splitlines()
    again = scene.says(export)
    final = scene.says(sealed).splitlines()

    assert [json.loads(line)["type"] for line in everything].count("exchange") == 2
    assert (len(everything), again, len(final)) == (4, "", 2)
    assert all(line.startswith("{") for line in everything)


def test_what_the_page_promises(scene: Scene) -> None:
    """An event is far shorter than what a journal splits."""
    (export, _), _ = commands(SHIP)

    longest = max(map(len, scene.says(export).splitlines()))

    assert longest < 48 * 1024 / 10
    [interval] = [option for option in export_command.params if option.name == "interval"]
    assert interval.default == 1
