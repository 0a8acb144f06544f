"""The tutorial on grants does what it shows."""

from typing import Any

import pytest

from tests.docs.pages import ROOT, run


@pytest.mark.slow
def test_the_tutorial_does_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block runs, in order, and prints what stands below it; whatever happens, it ends."""
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}

    try:
        run(ROOT / "docs/tutorial/your-first-grant.md", names)
    finally:
        if "stack" in names:
            names["stack"].close()
