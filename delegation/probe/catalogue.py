"""All probes, in the order in which they are tried, and one round of them."""

import time
from collections.abc import Iterator

import httpx2

from delegation.client.wire import a_client
from delegation.probe.ending import ENDS
from delegation.probe.findings import NotOk, NotTried, Outcome, Verdict
from delegation.probe.issued import WORKS
from delegation.probe.refusals import REFUSED
from delegation.probe.round import Probe, Round
from delegation.probe.target import Target

PROBES = (*WORKS, *REFUSED, *ENDS)

TIMEOUT = 5.0
"""Seconds for each step of a request."""


def tried(target: Target) -> tuple[Outcome, ...]:
    """How every probe of *target* ended, in one round."""
    with a_client(timeout=TIMEOUT) as http:
        return tuple(outcomes(target, http))


def outcomes(target: Target, http: httpx2.Client) -> Iterator[Outcome]:
    """How the probes of *target* end, one after the other. What was issued is revoked at last."""
    round_ = Round(target=target, http=http)
    for probe in PROBES:
        began = time.monotonic()
        verdict, detail = Verdict.OK, ""
        try:
            _must_be_possible(probe, round_)
            probe.tried(round_)
        except NotOk as found:
            verdict, detail = found.verdict, str(found)
        yield Outcome(
            probe=probe.name,
            promise=probe.promise,
            verdict=verdict,
            detail=detail,
            seconds=time.monotonic() - began,
        )


def _must_be_possible(probe: Probe, round_: Round) -> None:
    if probe is not PROBES[0] and round_.metadata is None:
        # Whoever tried it all the same would wait for every single one.
        raise NotTried("there is no metadata")
    if probe.alarming and not round_.target.alarms:
        raise NotTried("it raises an alarm: --with-alarms")
