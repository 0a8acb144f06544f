"""The service with a stopwatch for CPU: what each stage of an exchange costs, at `/stages`."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from time import thread_time_ns
from typing import Any

from flask import Response

from delegation.domain.exchange import Lap, Stage
from delegation.lastgood import shared
from delegation.metrics.meter import Meter
from delegation.metrics.tally import Tally
from delegation.settings import Settings
from delegation.wiring import application as assemble

spent: Counter[str] = Counter()
"""Nanoseconds of CPU of the thread that serves, by stage, and *all* for what the server calls."""


class Stopwatch(Meter):
    """Also takes the time of each stage."""

    def stopwatch(self) -> Lap:
        """As ours; what ours costs itself belongs to no stage."""
        told, last = super().stopwatch(), thread_time_ns()

        def lap(stage: Stage) -> None:
            nonlocal last
            spent[stage.value] += thread_time_ns() - last
            told(stage)
            last = thread_time_ns()

        return lap


sys.setswitchinterval(0.0005)  # as `delegation.wsgi` has it

application = assemble(
    Settings.from_environment(os.environ), last_good=shared, meter=Stopwatch(Tally())
)
application.add_url_rule("/stages", view_func=lambda _: Response(json.dumps(spent)))

_served = application.wsgi_app


def _timed(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    began = thread_time_ns()
    answer = _served(environ, start_response)
    if environ["PATH_INFO"] == "/token":
        spent["all"] += thread_time_ns() - began
    return answer


application.wsgi_app = _timed  # type: ignore[method-assign]
