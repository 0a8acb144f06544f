"""Sealing and verifying, as people type it: the store is emptied, and the trail proves itself."""

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import redis
from rich.console import Console

from delegation.audit.events import Events
from delegation.audit.note import SignerKey, VerifierKey, opened
from delegation.audit.segments import Directory
from delegation.cli import evidence, replay
from delegation.domain.errors import LockIncomplete
from delegation.domain.ports import StoredEvent
from delegation.jose.keyring import SigningKey, Status, new_key, write_keys
from delegation.ledger.evidence import Evidence
from delegation.ledger.layout import initialize
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.audit.trails import KEY, NAME, a_sealer, a_source, a_trail
from tests.cli.command import run
from tests.parties import a_case
from tests.valkey import decide


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    """Where segments go."""
    return tmp_path / "audit"


@pytest.fixture(name="environment")
def _environment(sound: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a sealer; three exchanges have been recorded."""
    made = run("audit", "new-key", str(tmp_path / "audit.key"), "--name", NAME)
    assert made.status == 0
    server = Server(sound["DELEGATION_REDIS_URL"], timeout=2)
    ledger = RedisLedger(Store(server, Partitions(64)), events=Events(), limits=Limits())
    for _ in range(3):
        ledger.record(decide(ledger), a_case())
    server.close()
    return {**sound, "DELEGATION_AUDIT_KEY": str(tmp_path / "audit.key")}


def key_of(environment: Mapping[str, str]) -> str:
    """What verifies."""
    text = Path(environment["DELEGATION_AUDIT_KEY"]).read_text("ascii")
    return str(SignerKey.parse(text.strip()).verifier)


def test_a_new_key(tmp_path: Path) -> None:
    """The file is secret; what is printed is for everybody."""
    path = tmp_path / "audit.key"

    made = run("audit", "new-key", str(path), "--name", NAME)

    wrote, verifies = made.out.splitlines()
    assert wrote == (
        f"Wrote {path}, which only its owner can read. Set DELEGATION_AUDIT_KEY to it."
    )
    key = verifies.removeprefix("Whoever verifies needs: ")
    assert VerifierKey.parse(key).name == NAME
    assert path.stat().st_mode & 0o077 == 0
    assert SignerKey.parse(path.read_text("ascii").strip()).verifier == VerifierKey.parse(key)


def test_from_the_store_to_the_auditor(environment: dict[str, str], directory: Path) -> None:
    """Sealed once, verified without settings, and the checkpoint is what `verify` takes."""
    sealed = run("audit", "seal", str(directory), "--once", environment=environment)
    again = run("audit", "seal", str(directory), "--once", environment=environment)
    verified = run("audit", "verify", str(directory), "--key", key_of(environment))
    kept = run("audit", "checkpoint", str(directory))

    assert (sealed.status, sealed.err) == (0, "")
    assert sealed.out == f"3 records sealed in {directory}, in 1 segments.\n"
    assert again.out == f"0 records sealed in {directory}, in 0 segments.\n"
    assert (verified.status, verified.err) == (0, "")
    assert (
        re.sub(r" at \S+Z", " at T", verified.out)
        == f"""\
Verified: 3 records in 1 segments.
  trail       {NAME}
  segments    1 to 1, the last sealed at T
  events      3
  gaps        none
"""
    )
    assert opened(kept.out, [VerifierKey.parse(key_of(environment))]).startswith(f"{NAME}\n3\n")


def test_what_a_monitoring_system_reads(
    environment: dict[str, str], directory: Path, tmp_path: Path
) -> None:
    """Where it is asked for, a file says what was sealed; one that cannot be written is said."""
    file, once = tmp_path / "delegation.prom", ("audit", "seal", str(directory), "--once")

    refused = run(*once, "--metrics-file", str(tmp_path / "no" / "x.prom"), environment=environment)
    sealed = run(*once, "--metrics-file", str(file), environment=environment)

    assert (refused.status, sealed.status) == (1, 0)
    assert "choose a directory that can be written to" in refused.err
    assert "\ndelegation_audit_records_total 3.0\n" in file.read_text("ascii")


def test_a_checkpoint_that_was_kept(directory: Path, tmp_path: Path) -> None:
    """What its signer rewrites afterwards does not hold against it."""
    a_trail(directory, [{}], [{}])
    kept = tmp_path / "kept"
    kept.write_text(run("audit", "checkpoint", str(directory)).out, "utf-8")
    verify = ["audit", "verify", str(directory), "--key", str(KEY.verifier)]
    assert run(*verify, "--checkpoint", str(kept)).status == 0

    Directory(directory).file(2).unlink()

    assert run(*verify).status == 0
    ran = run(*verify, "--checkpoint", str(kept))
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "Not verified: segment 2: its checkpoint was kept, and now it is missing.\n"
    kept.write_bytes(b"\xff")
    assert run(*verify, "--checkpoint", str(kept)).status == 2


def test_a_trail_that_was_changed(directory: Path) -> None:
    """The command says where, and its exit status that it is not whole."""
    a_trail(directory, [{}, {"reason": "\x1b[31m"}])
    path = Directory(directory).file(1)
    path.write_bytes(path.read_bytes().replace(b"0f-2", b"0f-7"))

    ran = run("audit", "verify", str(directory), "--key", str(KEY.verifier))

    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Not verified: segment 1, line 2: its seal does not fit")


def test_what_a_trail_says_of_itself(directory: Path) -> None:
    """Gaps, epochs and what could not be read are told; a gap is no success."""
    source = a_source(2, 3)
    source.stood[0, "events"].append(evidence_that_is_none())
    list(a_sealer(source, directory)())

    ran = run("audit", "verify", str(directory), "--key", str(KEY.verifier))

    assert ran.status == 1
    assert ran.out.splitlines()[3:] == [
        "  events      2",
        "  began anew  1 times: what was not sealed by then is not known",
        "  unreadable  1 events, which are kept as they were",
        "  gaps        1: 1 events were gone before they were sealed",
        "    segment 1, line 1: 1 to 1 of 0f:0:events",
    ]


def evidence_that_is_none() -> StoredEvent:
    """What somebody wrote into the store."""
    return StoredEvent(epoch="1a", number=4, at=1_795_176_009_000, event=b"\xff")


def test_events_that_are_missing_when_they_are_sealed(
    environment: dict[str, str], directory: Path
) -> None:
    """Sealing goes on, and says so, in its exit status too."""
    server = Server(environment["DELEGATION_REDIS_URL"], timeout=2)
    store = Store(server, Partitions(64))
    stored = Evidence(store)
    [(place, first)] = [
        (place, events[0]) for place in stored.streams() if (events := stored.read(*place, count=1))
    ]
    stored.trim(*place, first)
    server.close()

    ran = run("audit", "seal", str(directory), "--once", environment=environment)

    assert ran.status == 1
    assert ran.out == f"3 records sealed in {directory}, in 1 segments.\n"
    assert ran.err == "Events are missing: see segment 1.\n"


@pytest.mark.parametrize(
    ("since", "first"),
    [
        ("2", 2),
        ("2026-11-20T12:00:02", 2),
        ("2026-11-20T14:00:02+02:00", 2),
        ("2026-11-20T12:00:03.000001", 3),
        ("2026-11-20", 1),
    ],
)
def test_since(directory: Path, since: str, first: int) -> None:
    """A segment's number, or a date: from the first that may hold something of it."""
    a_trail(directory, [{}], [{}], [{}])

    ran = run("audit", "verify", str(directory), "--key", str(KEY.verifier), "--since", since)

    assert f"  segments    {first} to 3, the last sealed" in ran.out


def test_a_trail_of_somebody_else(environment: dict[str, str], directory: Path) -> None:
    """It is not gone on with, and the command says what may be done."""
    a_trail(directory, [{}])

    ran = run("audit", "seal", str(directory), "--once", environment=environment)

    assert (ran.status, ran.out) == (1, "")
    assert ran.err == (
        f"{directory}: its last checkpoint cannot be trusted: none of the keys given has signed "
        "it. Seal into another directory, or put the former key's verifier key below the key in "
        "DELEGATION_AUDIT_KEY.\n"
    )


def test_a_trail_that_is_none(environment: dict[str, str], directory: Path) -> None:
    """Nothing is added to what is damaged."""
    directory.mkdir()
    Directory(directory).file(1).write_text("{}\n")

    ran = run("audit", "seal", str(directory), "--once", environment=environment)

    assert ran.err == (
        f"{directory}: segment 1: it does not end with a checkpoint: it has another form. Keep it "
        "as it is, and seal into another directory.\n"
    )


def test_a_key_that_signs_tokens(environment: dict[str, str], directory: Path) -> None:
    """An audit key is one of its own."""
    audit = SignerKey.parse(Path(environment["DELEGATION_AUDIT_KEY"]).read_text("ascii").strip())
    keys = Path(environment["DELEGATION_SIGNING_KEYS"])
    same = SigningKey.of(audit.private, "EdDSA", status=Status.ACTIVE)
    write_keys(keys, [new_key("EdDSA"), same])

    ran = run("audit", "seal", str(directory), "--once", environment=environment)

    assert (ran.status, ran.out) == (1, "")
    assert ran.err == (
        f"{environment['DELEGATION_AUDIT_KEY']} holds a key that signs tokens: make one of its own "
        "with `delegation audit new-key`.\n"
    )


def test_a_sealer_without_the_signing_keys(environment: dict[str, str], directory: Path) -> None:
    """It need not be able to read them."""
    Path(environment["DELEGATION_SIGNING_KEYS"]).unlink()

    assert run("audit", "seal", str(directory), "--once", environment=environment).status == 0


def test_a_terminal_sees_how_far_it_is(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal there is a bar, and nothing of it is left in the output."""
    a_trail(directory, [{}])
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=80)
    monkeypatch.setattr(evidence, "Console", lambda **_: terminal)

    ran = run("audit", "verify", str(directory), "--key", str(KEY.verifier))

    assert ran.status == 0
    assert "━" in shown.getvalue()


def emptied(environment: Mapping[str, str]) -> Store:
    """The store, laid out anew, without anything that was in it."""
    store = Store(Server(environment["DELEGATION_REDIS_URL"], timeout=2), Partitions(64))
    with redis.Redis.from_url(environment["DELEGATION_REDIS_URL"]) as raw:
        raw.flushall()
    initialize(store.server, store.partitions)
    return store


def test_stops_are_ordered_again(environment: dict[str, str], directory: Path) -> None:
    """From the trail alone, as often as wanted; and what cannot be known is named."""
    why = ["--reason", "INC-7"]
    assert run("lock", "--client", "calendar-mcp", *why, environment=environment).status == 0
    assert run("audit", "seal", str(directory), "--once", environment=environment).status == 0
    store = emptied(environment)

    first = run("ledger", "replay-locks", str(directory), environment=environment)
    second = run("ledger", "replay-locks", str(directory), environment=environment)

    assert (first.status, first.err) == (0, "")
    assert re.sub(r"at \S+Z", "at T", first.out) == (
        "1 of 1 stops stand again.\n"
        "The trail ends at T: what was stopped or let go after that is not known here, and has to "
        "be ordered again.\n"
    )
    assert second.out == first.out
    listed = run("locks", environment=environment)
    assert "calendar-mcp" in listed.out
    store.server.close()


def test_a_store_is_not_ready_before_every_stop_stands(
    environment: dict[str, str], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off in the middle it issues nothing; the same again completes it."""
    locked = run("lock", "--client", "calendar-mcp", "--reason", "x", environment=environment)
    assert locked.status == 0
    assert run("audit", "seal", str(directory), "--once", environment=environment).status == 0
    with redis.Redis.from_url(environment["DELEGATION_REDIS_URL"]) as raw:
        raw.flushall()
    command = ["ledger", "replay-locks", str(directory)]

    with monkeypatch.context() as patched:
        patched.setattr(replay, "make_ready", _incomplete)
        half = run(*command, environment=environment)
    between = run("check", environment=environment)
    whole = run(*command, environment=environment)
    after = run("check", environment=environment)

    assert (half.status, half.out) == (1, "")
    assert half.err == "A stop does not stand in partitions 5, 7: run this again.\n"
    assert "the store is being restored" in between.err
    assert (whole.status, whole.out.splitlines()[0]) == (0, "1 of 1 stops stand again.")
    assert "store" not in after.err


def _incomplete(*_: object) -> None:
    raise LockIncomplete((5, 7))


def test_a_store_that_is_laid_out_otherwise(environment: dict[str, str], directory: Path) -> None:
    """It is left as it is."""
    assert run("audit", "seal", str(directory), "--once", environment=environment).status == 0

    ran = run(
        "ledger",
        "replay-locks",
        str(directory),
        environment=environment | {"DELEGATION_PARTITIONS": "8"},
    )

    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("ledger: the store has layout version 2 with 64 partitions; ")
    assert ran.err.endswith(": nothing is issued.\n")


@pytest.mark.parametrize("missing", [0, 1])
def test_stops_that_cannot_be_ordered_again(
    environment: dict[str, str], directory: Path, missing: int
) -> None:
    """One that was lifted since is named, and so are events that are missing."""
    target = {"kind": "client", "names": ["calendar-mcp"]}
    order = {"target": target, "parents": False, "since_login": False, "reason": "x", "author": "y"}
    source = a_source(1 + missing)
    event = json.dumps({"type": "lock", "lock": f"0-{'A' * 22}"} | order).encode()
    source.stood[0, "events"].append(
        StoredEvent(epoch="0f", number=2 + missing, at=1_795_176_009_000, event=event)
    )
    key = SignerKey.parse(Path(environment["DELEGATION_AUDIT_KEY"]).read_text("ascii").strip())
    list(a_sealer(source, directory, key=key)())
    command = ["ledger", "replay-locks", str(directory)]
    assert run(*command, environment=environment).status == missing
    lifted = run("unlock", f"0-{'A' * 22}", "--reason", "x", environment=environment)
    assert lifted.status == 0

    ran = run(*command, environment=environment)

    assert ran.status == 1
    assert ran.out.startswith("0 of 1 stops stand again.\n")
    assert ran.err.splitlines() == [
        f"0-{'A' * 22} was lifted meanwhile, or is another lock now.",
        *["Besides, 1 events are missing in the trail: see `delegation audit verify`."] * missing,
    ]
