"""What a monitoring system reads, in the Prometheus text format (version 0.0.4)."""

from collections.abc import Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(alarms: Mapping[str, int], standing_locks: int) -> str:
    """The text of it."""
    lines = [
        "# HELP delegation_alarms_total What somebody should have looked at, by cause.",
        "# TYPE delegation_alarms_total counter",
        *(
            f'delegation_alarms_total{{cause="{_escaped(cause)}"}} {count}'
            for cause, count in sorted(alarms.items())
        ),
        "# HELP delegation_standing_locks Locks that stand now.",
        "# TYPE delegation_standing_locks gauge",
        f"delegation_standing_locks {standing_locks}",
    ]
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
