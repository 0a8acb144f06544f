"""Serves what the workers have counted, in a process of its own: `GET /metrics`, and no more."""

import json
import os
import platform
import select
import shutil
import socket
import socketserver
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from delegation.metrics.catalogue import BUILD, CONFIGURED, REGISTRY, Metric

PATIENCE = 2.0
"""Seconds to wait for a peer: meanwhile nobody else is served."""

RETRY = 1.0
"""Seconds after which a port that could not be had is tried again."""

_PACKAGE = "mcp-delegation"


class Counted(Collector):
    """What all workers, *configured* so many, have written to *directory*; and what runs."""

    def __init__(self, directory: str, *, configured: int) -> None:
        self._shared = MultiProcessCollector(None, directory)  # type: ignore[no-untyped-call]
        self._configured = configured

    def collect(self) -> Iterator[Family]:
        """One family after the other."""
        yield _family(BUILD, (version(_PACKAGE), platform.python_version()), 1)
        yield _family(CONFIGURED, (), self._configured)
        for family in self._shared.collect():  # type: ignore[no-untyped-call]
            if family.name == REGISTRY.name:
                # Revisions that nobody runs any more.
                family.samples = [sample for sample in family.samples if sample.value]
            yield family


class Exposition(socketserver.TCPServer):
    """Answers one after the other, until nobody holds the other end of standard input.

    Who can reach it may read it: the address is the only guard. Raises `OSError` where that cannot
    be had.
    """

    allow_reuse_address = True

    def __init__(self, bind: str, collector: Collector) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(collector)
        host, _, port = bind.rpartition(":")
        if host.startswith("["):
            self.address_family = socket.AF_INET6
        super().__init__((host.strip("[]"), int(port)), _Handler)

    def service_actions(self) -> None:
        """Between requests."""
        if _is_over(0):
            raise SystemExit

    def handle_error(self, *_: object) -> None:
        """A peer that goes away is nothing to tell of."""


class _Handler(BaseHTTPRequestHandler):
    server: Exposition
    timeout = PATIENCE

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        try:
            body = encode(self.server.registry)
        except Exception as error:  # noqa: BLE001, whatever it is, its text stays here
            _log("metrics_not_read", type(error).__name__)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        self._answer(HTTPStatus.OK, body, content_type)

    def send_error(self, code: int, *_: object) -> None:
        """Nothing of the request, and no HTML: the number says it all."""
        self._answer(code, f"{code}\n".encode("ascii"), "text/plain; charset=utf-8")

    def version_string(self) -> str:
        return "delegation"

    def log_message(self, *_: object) -> None:
        """Nothing is worth a line."""

    def _answer(self, code: int, body: bytes, content_type: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(directory: str, bind: str, workers: str) -> None:
    """Serve what is in *directory*, and remove it in the end."""
    try:
        serve(bind, Counted(directory, configured=int(workers)))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def serve(bind: str, collector: Collector) -> None:
    """Serve at *bind* as soon as that can be had, until standard input ends."""
    said = False
    while True:
        try:
            with Exposition(bind, collector) as exposition:
                exposition.serve_forever()
        except OSError as error:
            if not said:  # the service before us may still have it
                _log("metrics_not_served", os.strerror(error.errno or 0))
                said = True
            if _is_over(RETRY):
                raise SystemExit from error


def _family(metric: Metric, labels: tuple[str, ...], value: float) -> Family:
    family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    family.add_metric(labels, value)
    return family


def _is_over(seconds: float) -> bool:
    """Whether standard input ends within so many *seconds*."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def _log(event: str, why: str) -> None:
    """A line of the form that the service's have."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"event": event, "why": why, "level": "error", "timestamp": at}
    print(json.dumps(line), file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
