"""States of a registry that every token tells apart, and the ways in which one follows another."""

import json
import subprocess
import sys
from collections import defaultdict
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from delegation.dev.cast import CALENDAR_API
from delegation.registry.loader import snapshot
from delegation.watch import SETTLE
from tests.attacks.endpoint import Answer

_GRANT = "calendar-for-staff"

_SHORTEST = 100
"""Seconds that a token of the state 0 lives."""

_MOST = ({"events.read"}, {"events.read", "events.write"})
"""What the client may be given in even and in odd states."""


_WRITER = """
import json, sys, time

written_at = time.monotonic()
for path, parts in json.load(sys.stdin):
    with open(path, "w") as file:
        for part in parts:
            file.write(part)
            file.flush()
            last, written_at = written_at, time.monotonic()
            assert written_at - last < float(sys.argv[1]), "held up: this proves nothing"
            # Longer than from one look to the next: who does not wait reads a mixture.
            time.sleep(0.3)
"""


class States:
    """The registry behind *link*, in one numbered state after another.

    The number says how long a token lives, in one file, and what its scope is, in another: a token
    that says one thing by the one and another by the other was decided by a mixture.
    """

    def __init__(self, link: Path) -> None:
        self._link = link
        self._entries: dict[str, list[Any]] = defaultdict(list)
        for file in sorted(link.iterdir()):
            for section, entries in yaml.safe_load(file.read_text()).items():
                self._entries[section] += entries
        self._prepared: dict[int, dict[str, str]] = {}
        self.numbers: dict[str, int] = {}
        """The state that each revision is."""

    def prepare(self, number: int) -> None:
        """Have its files ready, so that bringing it about costs next to nothing."""
        self._prepared[number] = self._files(number)

    def swap(self, number: int) -> str:
        """Bring it about in one step, by a link; the revision."""
        directory = self._link.with_name(f"state-{number}")
        directory.mkdir()
        for name, text in self._files(number).items():
            (directory / name).write_text(text)
        following = self._link.with_name("following")
        following.symlink_to(directory)
        following.replace(self._link)
        return self._revision(number)

    def write(self, number: int) -> str:
        """Bring it about as an editor does, file by file and half by half; the revision.

        By a process of its own, which the load in this one does not hold up.
        """
        parts = []
        for name, text in self._files(number).items():
            half = text.rindex("\n", 0, len(text) // 2)
            parts.append((str(self._link / name), [text[:half], text[half:]]))
        command = [sys.executable, "-c", _WRITER, str(SETTLE)]
        subprocess.run(command, input=json.dumps(parts), text=True, check=True)  # noqa: S603
        return self._revision(number)

    def add(self, grants: int) -> None:
        """From the next state on, have so many grants more, which nobody uses."""
        usual = next(grant for grant in self._entries["grants"] if grant["id"] == _GRANT)
        self._entries["grants"] += [
            deepcopy(usual) | {"id": f"more-{n}", "agents": [f"agent-{n}"]} for n in range(grants)
        ]

    def damage(self) -> None:
        """Leave what nobody can read."""
        (self._link / "grants.yaml").write_text("grants: none\n")

    def number_of(self, answer: Answer) -> int:
        """The state that a token was issued in; it must be one."""
        number = int(answer.json["expires_in"]) - _SHORTEST
        assert set(answer.json["scope"].split()) == _MOST[number % 2], "a mixture"
        return number

    def _revision(self, number: int) -> str:
        revision = snapshot(self._link).revision
        self.numbers[revision] = number
        return revision

    def _files(self, number: int) -> dict[str, str]:
        if number in self._prepared:
            return self._prepared[number]
        both = ["events.read", "events.write"]
        grants = self._with(
            "grants",
            {"id": _GRANT},
            lifetime=_SHORTEST + number,
            scopes={"calendar:read": both},
        )
        resources = self._with(
            "resources",
            {"identifier": CALENDAR_API},
            clients={"calendar-mcp": sorted(_MOST[number % 2])},
        )
        parts = {
            "grants.yaml": {"grants": grants},
            "others.yaml": {
                name: entries
                for name, entries in self._entries.items()
                if name not in {"grants", "resources"}
            },
            "resources.yaml": {"resources": resources},
        }
        return {name: yaml.safe_dump(part, sort_keys=False) for name, part in parts.items()}

    def _with(self, section: str, key: dict[str, str], **changes: Any) -> list[Any]:
        """The entries of *section*, with one of them changed."""
        return [
            entry | changes if key.items() <= entry.items() else entry
            for entry in self._entries[section]
        ]
