"""Rotating keys, as an operator does it."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from delegation.jose.keyring import Keyring, Status, new_key, write_keys
from tests.cli.command import run

LONG_AGO = 1_600_000_000


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    write_keys(file, [new_key(status=Status.ACTIVE, since=LONG_AGO), new_key(since=LONG_AGO)])
    return file


def test_a_rotation(file: Path) -> None:
    """What is next signs, and what signed can go later: both are said."""
    active, following = Keyring.load(file).keys

    ran = run("keys", "rotate", str(file))

    assert (ran.status, ran.err) == (0, "")
    signs, fresh, retires = ran.out.splitlines()
    assert signs.startswith(f"{following.kid}  ES256  active since 20")
    assert "ES256  next since 20" in fresh
    assert retires.startswith(f"{active.kid}  ES256  retiring since 20")
    assert "Z: can go from 20" in retires
    assert Keyring.load(file).active.kid == following.kid


def test_twice_in_a_row(file: Path) -> None:
    """The second is refused, since not everybody can know the new key; unless it has to be."""
    run("keys", "rotate", str(file))
    before = file.read_bytes()

    refused = run("keys", "rotate", str(file))
    meanwhile = file.read_bytes()
    hurried = run("keys", "rotate", str(file), "--now")

    assert (refused.status, refused.out) == (1, "")
    first, second = refused.err.splitlines()
    assert first.startswith(f"{file} is left as it is: until 20")
    assert first.endswith("Z not everybody knows the next key.")
    assert second == (
        "Wait; or, where a key is in the wrong hands, use --now: good tokens fail then, too."
    )
    assert meanwhile == before
    assert hurried.status == 0
    assert len(Keyring.load(file).keys) == 4


def test_retiring(file: Path) -> None:
    """What nobody can need any more goes, and is said to be able to go."""
    active, following = Keyring.load(file).keys
    write_keys(file, [active, replace(following, status=Status.RETIRING)])

    listed = run("keys", "list", str(file))
    ran = run("keys", "retire", str(file))

    assert listed.out.endswith("retiring since 2020-09-13T12:26:40Z: can go now\n")
    assert ran.out == f"{active.kid}  ES256  active since 2020-09-13T12:26:40Z\n"
    assert [key.kid for key in Keyring.load(file).keys] == [active.kid]


def test_nothing_retires(file: Path) -> None:
    """That is no success: somebody expected something."""
    ran = run("keys", "retire", str(file))

    assert (ran.status, ran.err) == (
        1,
        f"{file} is left as it is: no key retires: rotate first.\n",
    )


def test_who_could_read_the_keys_still_can(file: Path) -> None:
    """Services need not run as who rotates."""
    file.chmod(0o640)

    run("keys", "rotate", str(file))

    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert file.stat().st_uid == os.getuid()


def test_what_cannot_be_replaced(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is changed where the file could not be given back to whom it belongs."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    before = file.read_bytes()

    ran = run("keys", "rotate", str(file))

    assert (ran.status, ran.err) == (
        1,
        f"{file} is left as it is (Operation not permitted): run this as who may replace it.\n",
    )
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_keys_of_unknown_age(file: Path) -> None:
    """Nothing is said of when they came to be what they are, where nobody wrote it down."""
    write_keys(file, [active := new_key(status=Status.ACTIVE)])

    assert run("keys", "list", str(file)).out == f"{active.kid}  ES256  active\n"


def test_keys_that_are_not_there(tmp_path: Path) -> None:
    """The message is the one of all commands."""
    ran = run("keys", "rotate", str(tmp_path / "none.json"))

    assert ran.status == 1
    assert "is not there: make it with `delegation keys new" in ran.err
