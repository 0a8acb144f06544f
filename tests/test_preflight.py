"""Every problem at once, and a remedy for each that there can be."""

from dataclasses import replace
from pathlib import Path

import pytest

from delegation import preflight
from delegation.preflight import listening, problems, remedy
from delegation.settings import Settings
from tests.cli.conftest import _begun, _sound, _unlaid  # noqa: F401, fixtures
from tests.valkey import _raw, _valkey, _valkey_process  # noqa: F401, fixtures


def test_a_service_that_could_serve(sound: dict[str, str]) -> None:
    """There is nothing to say about it."""
    assert problems(sound) == []


def test_an_empty_registry(sound: dict[str, str], tmp_path: Path) -> None:
    """It is no mistake, but nobody may have meant it."""
    (problem,) = problems(sound | {"DELEGATION_REGISTRY": str(tmp_path / "none")})

    assert problem.passes
    assert str(problem) == (
        f"registry: {tmp_path}/none holds no grant, so every exchange will be refused: "
        "start from `delegation init`, or check DELEGATION_REGISTRY"
    )


def test_what_may_mend_itself(sound: dict[str, str]) -> None:
    """A store that does not answer is waited for; one that is laid out otherwise is not."""
    (away,) = problems(sound | {"DELEGATION_REDIS_URL": "unix:///nowhere"})
    (other,) = problems(sound | {"DELEGATION_PARTITIONS": "8"})

    assert away.passes
    assert not other.passes
    assert str(other) == (
        "ledger: the store has another number of partitions: set DELEGATION_PARTITIONS to it"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("unix:///nowhere", "the store does not answer: "),
        ("redis+sentinel://127.0.0.1:1/primary", "no Sentinel names a primary that answers: "),
        ("redis+cluster://127.0.0.1:1", "the cluster does not answer, or not for all of "),
    ],
)
def test_a_store_that_does_not_answer(sound: dict[str, str], url: str, message: str) -> None:
    """What to look at depends on how the store is found."""
    (away,) = problems(sound | {"DELEGATION_REDIS_URL": url})

    assert str(away).startswith(f"ledger: {message}")
    assert away.passes


def test_looking_changes_nothing(unlaid: dict[str, str], raw: object) -> None:
    """A store that is not laid out stays so."""
    assert problems(unlaid) != []

    assert raw.keys() == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name",
    ["stale", "ledger_unwell", "ledger_evicts", "layout_not_ready", "too_many_undrained_events"],
)
def test_every_problem_has_a_remedy(name: str) -> None:
    """What the scripts can answer is known here."""
    assert name not in remedy(name)


def test_a_problem_that_nobody_knows() -> None:
    """It is named, at least."""
    assert remedy("odd") == "the store answers odd, which should not be: report it"


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0", "localhost:0", "unix:PATH/s.sock"])
def test_where_it_could_listen(bind: str, tmp_path: Path) -> None:
    """Addresses of either family, names, and sockets."""
    assert list(listening(bind.replace("PATH", str(tmp_path)))) == []


def test_metadata_that_clients_would_not_accept(sound: dict[str, str]) -> None:
    """The document is judged by a reader that is not ours."""
    settings = Settings.from_environment(sound)

    (problem,) = preflight._metadata(replace(settings, issuer="https://sts.example?tenant=1"))  # noqa: SLF001

    assert str(problem) == (
        'metadata: clients would not accept it: "issuer" has no query or fragment. '
        "Change DELEGATION_ISSUER"
    )


def test_metadata_of_a_loopback_issuer(sound: dict[str, str]) -> None:
    """Development has no TLS, and its metadata is sound but for that."""
    assert problems(sound | {"DELEGATION_ISSUER": "http://127.0.0.1:8080"}) == []
