"""What a development world keeps, and what it does when that is damaged."""

from pathlib import Path

import pytest

from delegation.dev.kept import Damaged, Directory, Facts, Occupied, write_private
from tests.cli.command import run


@pytest.fixture(name="kept")
def _kept(tmp_path: Path) -> Directory:
    """A world that has been started once."""
    kept = Directory.beside(tmp_path / "dev.env")
    with kept.alone():
        kept.make_keys()
        kept.write_facts(Facts(port=1, issuer_port=2))
    return kept


def test_it_stays_the_same(kept: Directory) -> None:
    """Keys are not made anew, nor secrets; they are not shown either."""
    facts = kept.read_facts()

    assert kept.make_keys().kid == kept.read_issuer_key().kid
    assert kept.read_facts() == facts
    assert (facts.port, facts.issuer_port) == (1, 2)
    assert "dlg_" not in repr(facts)


def test_held_by_one(kept: Directory) -> None:
    """Until it lets go."""
    with kept.alone(), pytest.raises(Occupied), kept.alone():
        pass  # pragma: no cover, it is occupied

    with kept.alone():
        pass


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", '{"colour": "red"}', '{"secrets": {}}', '{"secrets": null}'],
)
def test_facts_that_are_damaged(kept: Directory, text: str) -> None:
    """It says what to remove; so does the command that makes tokens."""
    kept.facts.write_text(text)

    with pytest.raises(Damaged) as caught:
        kept.read_facts()
    ran = run("dev", "token", "--user", "alice", "--env-file", str(kept.path.with_suffix("")))

    remedy = f"{kept.facts} cannot be used any more: remove {kept.path}, and begin anew"
    assert str(caught.value) == remedy
    assert (ran.status, ran.out, ran.err) == (1, "", f"{remedy}.\n")


def test_a_key_that_is_damaged(kept: Directory) -> None:
    """Likewise."""
    kept.issuer_key.write_text("")

    with pytest.raises(Damaged, match=r"issuer\.json cannot be used any more"):
        kept.make_keys()


def test_a_private_file(tmp_path: Path) -> None:
    """It is its owner's, even where others could read what stood there before."""
    file = tmp_path / "file"
    file.write_text("a longer text")
    file.chmod(0o644)

    write_private(file, "short")

    assert file.read_text() == "short"
    assert file.stat().st_mode & 0o777 == 0o600
