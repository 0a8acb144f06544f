"""What a round has found, for the textfile collector of the Prometheus node exporter."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from delegation.probe.findings import Outcome, Verdict


def write(path: Path, outcomes: Sequence[Outcome], *, now: float) -> None:
    """Replace the file at *path* in one step: who reads it meanwhile sees all of a round, or none.

    *now* are seconds since 1970. Raises `OSError`.
    """
    text = "\n".join(_lines(outcomes, now)) + "\n"
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(number)
    written = Path(name)
    try:
        written.write_text(text, "utf-8")
        # The exporter is somebody else, and nothing in here is secret.
        written.chmod(0o644)
        written.replace(path)
    except OSError:
        written.unlink()
        raise


def _lines(outcomes: Sequence[Outcome], now: float) -> Iterator[str]:
    yield from _head("delegation_probe_ok", "Whether the probe ended well. Not tried: not there.")
    for one in outcomes:
        if one.verdict is not Verdict.SKIPPED:
            yield f'delegation_probe_ok{{probe="{one.probe}"}} {int(one.verdict is Verdict.OK)}'
    yield from _head("delegation_probe_outcomes", "Probes of the last round, by how they ended.")
    count = Counter(one.verdict for one in outcomes)
    for verdict in Verdict:
        yield f'delegation_probe_outcomes{{verdict="{verdict}"}} {count[verdict]}'
    yield from _head("delegation_probe_round_seconds", "How long the last round took.")
    yield f"delegation_probe_round_seconds {sum(one.seconds for one in outcomes):.3f}"
    yield from _head("delegation_probe_last_round_timestamp_seconds", "When the last round ended.")
    yield f"delegation_probe_last_round_timestamp_seconds {now:.3f}"


def _head(name: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} gauge"
