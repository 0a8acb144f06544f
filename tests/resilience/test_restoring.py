"""A store that was emptied has its stops again, in whatever number of partitions it is laid out."""

import re
from pathlib import Path

import pytest
import redis

from tests.audit.trails import KEY
from tests.cli.command import Ran, run
from tests.cli.conftest import _begun, _sound, _unlaid  # noqa: F401, fixtures
from tests.valkey import _raw, _valkey, _valkey_process  # noqa: F401, fixtures

PEOPLE = ("alice", "bob", "carol")
ID = r"^\d+-([A-Za-z0-9_-]{22}) "


class Installation:
    """Whoever runs commands for it, and the trail of its sealer."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        key, self.trail = directory / "audit.key", directory / "audit"
        key.write_text(f"{KEY.kept()}\n")
        key.chmod(0o600)
        self.environment = environment | {"DELEGATION_AUDIT_KEY": str(key)}

    def does(self, command: str) -> Ran:
        """What a command says, which must succeed."""
        ran = run(*command.split(), environment=self.environment)
        assert ran.status == 0, ran.err
        return ran

    def moves(self, raw: "redis.Redis", partitions: int) -> str:
        """Seal, lose the store, and put back what was stopped; how many stops stand again."""
        self.does(f"audit seal {self.trail} --once")
        raw.flushall()
        self.environment["DELEGATION_PARTITIONS"] = str(partitions)
        return self.does(f"ledger replay-locks {self.trail}").out.splitlines()[0]

    def standing(self) -> dict[str, str]:
        """The bits of each lock that stands, each with its id."""
        listed = self.does("locks").out
        return {found[1]: found[0].strip() for found in re.finditer(ID, listed, re.MULTILINE)}


@pytest.mark.parametrize("partitions", [8, 64, 256])
def test_stops_stand_and_can_be_let_go(
    sound: dict[str, str], raw: "redis.Redis", tmp_path: Path, partitions: int
) -> None:
    """Each is found by its id, wherever it has to stand by now; what was let go does not return."""
    here = Installation(sound, tmp_path)
    for target in ("client notes-mcp", *(f"subject https://corp.example {one}" for one in PEOPLE)):
        here.does(f"lock --{target} --reason INC-7")
    before = here.standing()

    moved = here.moves(raw, partitions)
    after = here.standing()
    let_go = min(bits for bits, id_ in after.items() if not id_.startswith("0-"))
    here.does(f"unlock {after[let_go]} --reason fixed")
    again = here.moves(raw, 16)

    # What was let go stops her older logins yet.
    assert moved == again == "4 of 4 stops stand again."
    assert before.keys() == after.keys()
    assert here.standing().keys() == after.keys() - {let_go}
    for id_ in here.standing().values():
        here.does(f"unlock {id_} --reason fixed")


def test_an_exchange_that_cannot_be_there(
    sound: dict[str, str], raw: "redis.Redis", tmp_path: Path
) -> None:
    """It went with its store, and its partition with it: nothing is left to be stopped."""
    here = Installation(sound, tmp_path)
    here.does("lock --exchange 63-mddoxvXI5ysGOUBJV8H7MQ --reason INC-7")
    here.does("lock --client notes-mcp --reason INC-7")

    assert here.moves(raw, 8) == "1 of 1 stops stand again."
    assert here.does("check").status == 0
