"""The page on scale adds up, from figures that the benchmarks print by these names."""

from delegation.domain.grants import MAX_LIFETIME
from delegation.settings import Settings
from tests.docs.pages import ROOT, blocks
from tests.docs.scale import PAGE, figures, summed

TEXT = PAGE.read_text("utf-8")
BENCHMARKS = "".join(
    path.read_text("utf-8") for path in sorted((ROOT / "tests/benchmarks").glob("*.py"))
)


def test_every_sum_is_right() -> None:
    """Each block prints what stands below it; `python -m tests.docs.scale` writes that anew."""
    assert summed(TEXT) == TEXT
    assert [kind for kind, _ in blocks(PAGE)] == ["python", "text"] * 11


def test_a_figure_that_changes_changes_its_sums() -> None:
    """So nothing below the table is written by hand."""
    slower = TEXT.replace("| worker CPU per exchange | ", "| worker CPU per exchange | 1")

    changed = summed(slower)

    assert changed.count("562 exchanges a second for each core") == 0
    assert changed != slower


def test_every_figure_can_be_measured_anew() -> None:
    """The benchmarks print it by the name that it has on the page."""
    for name in figures(TEXT):
        for part in name.removeprefix("a lock ").split(", "):
            assert part in BENCHMARKS, name


def test_what_the_sums_begin_with_is_so() -> None:
    """How long tokens live, and what a store has by itself."""
    needed = {
        "DELEGATION_ISSUER": "https://sts.example",
        "DELEGATION_REDIS_URL": "redis://store.example",
        "DELEGATION_REGISTRY": "registry",
        "DELEGATION_SIGNING_KEYS": "keys.json",
    }
    settings = Settings.from_environment(needed)

    assert f"LIFE = {MAX_LIFETIME.seconds} " in TEXT
    assert f"{settings.partitions} * {settings.max_undrained_events:_} " in TEXT
