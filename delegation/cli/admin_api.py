"""The admin API as commands call it: over the network, or in this process for whoever runs it."""

import logging
import os
import pwd
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import httpx2
import structlog

from delegation import preflight, wiring
from delegation.cli.common import give_up, settings
from delegation.client.wire import LOOPBACK, Unusable, must_be_safe

TOKEN = "DELEGATION_ADMIN_TOKEN"

_TIMEOUT = 30
"""Seconds for each step: counting what a stop reaches takes a moment."""

PAUSE = 1.0
"""Seconds between two attempts."""

_ATTEMPTS = 5

_BASE = "/admin/v1"

_LOCAL = "http://localhost"


class Api:
    """The admin API. What it refuses ends the command with *status*, the reason and what to do."""

    def __init__(self, http: httpx2.Client, status: int = 1) -> None:
        self._http = http
        self._status = status

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """What there is to read; parameters that are `None` are left out."""
        return self._ask("GET", path, query={n: v for n, v in query.items() if v is not None})

    def post(
        self, path: str, body: Mapping[str, object], *, key: str = "", dry_run: bool = False
    ) -> dict[str, Any]:
        """Do something. Where it is not done everywhere it is tried again, a few times.

        With a *key* a repetition is the same lock; to lift a lock again is to lift it once.
        """
        return self._ask(
            "POST",
            path,
            query={"dry_run": "true"} if dry_run else {},
            body={name: value for name, value in body.items() if value is not None},
            key=key,
            acts=True,
        )

    def ask(self, path: str, question: Mapping[str, object]) -> dict[str, Any]:
        """The answer to *question*, by which nothing is done; members that are `None` are left out.

        It is asked once.
        """
        body = {name: value for name, value in question.items() if value is not None}
        return self._ask("POST", path, body=body, acts=False)

    def items(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        cursor = None
        while True:
            page = self.get(path, **query, cursor=cursor)
            yield from page["items"]
            cursor = page["cursor"]
            if cursor is None:
                return

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] = MappingProxyType({}),
        body: Mapping[str, object] | None = None,
        key: str = "",
        acts: bool = False,
    ) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        attempts, again = (_ATTEMPTS, _uncertain(key)) if acts else (1, [])
        for attempt in range(1, attempts + 1):
            try:
                answer = self._http.request(
                    method, _BASE + path, params=query, json=body, headers=headers
                )
            except httpx2.HTTPError as error:
                if attempt == attempts:
                    give_up(_no_answer(error), *again, status=self._status)
            else:
                if answer.is_success:
                    return self._object(answer)
                if answer.status_code != httpx2.codes.SERVICE_UNAVAILABLE or attempt == attempts:
                    give_up(*_refused(answer, self._object(answer), again), status=self._status)
            time.sleep(PAUSE)
        raise AssertionError  # pragma: no cover, the last attempt returns or gives up

    def _object(self, answer: httpx2.Response) -> dict[str, Any]:
        """The JSON object that was answered; somebody else's server may answer anything."""
        try:
            value = answer.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            said = f"it said {answer.status_code}, and no JSON"
            give_up(f"What answers is no admin API: {said}.", status=self._status)
        return value


@contextmanager
def reached(api: str | None, token_file: Path | None, *, status: int = 1) -> Iterator[Api]:
    """The admin API at *api*; without that, what the settings in the environment stand for.

    Where it refuses or cannot be reached, the command ends with *status*.
    """
    if api is None:
        with _in_this_process() as http:
            yield Api(http)
        return
    try:
        must_be_safe(api)
    except Unusable as error:
        give_up(f"{error}.", status=status)
    hosts = (f"[{host}]" if ":" in host else host for host in LOOPBACK)
    with httpx2.Client(
        base_url=api.rstrip("/"),
        headers={"Authorization": f"Bearer {_token(token_file)}"},
        timeout=_TIMEOUT,
        mounts={f"all://{host}": None for host in hosts},
    ) as http:
        yield Api(http, status)


@contextmanager
def _in_this_process() -> Iterator[httpx2.Client]:
    found = settings("Or name the admin API, with --api or in DELEGATION_ADMIN_API.")
    with _logging_apart(), preflight.store(found) as store:
        app = wiring.local_admin_application(found, store, user=_user())
        with httpx2.Client(
            transport=httpx2.WSGITransport(app=app, remote_addr=""), base_url=_LOCAL
        ) as http:
            yield http


@contextmanager
def _logging_apart() -> Iterator[None]:
    """What the service logs meanwhile is no answer, and an outage the command says by itself."""
    structlog.configure(
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    )
    try:
        yield
    finally:
        structlog.reset_defaults()


def _user() -> str:
    """Who runs this, as the system knows it, and not as the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _token(file: Path | None) -> str:
    try:
        token = os.environ.get(TOKEN) if file is None else file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        token = None
    if not token or not token.isascii() or not token.isprintable():
        raise click.UsageError(f"Set {TOKEN}, or name a file that holds the token.")
    return token


def _no_answer(error: httpx2.HTTPError) -> str:
    reason = str(error).rstrip(".") or type(error).__name__
    return f"The admin API cannot be reached: {reason}."


def _refused(
    answer: httpx2.Response, problem: Mapping[str, Any], again: Sequence[str]
) -> list[str]:
    """Why, in the API's own words, and what to do: *again* where the store did not answer."""
    lines = [str(problem.get("title", f"The admin API answered {answer.status_code}."))]
    if "detail" in problem:
        lines.append(f"  {problem['detail']}")
    faults = problem.get("faults", [])
    lines += dict.fromkeys(f"  {_option(fault['where'])} {fault['what']}" for fault in faults)
    if "missing" in problem:
        lines.append(f"  missing in partitions {', '.join(map(str, problem['missing']))}")
    if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
        lines += again
    name = str(problem.get("type", "")).rpartition("/")[2]
    remedy = _LOOKING.get(name) or _REMEDIES.get(answer.status_code)
    return [*lines, *([remedy] if remedy else [])]


def _option(where: str) -> str:
    """A place in a request, by the option that it was given with."""
    match where.split("/"):
        case ["body", "target", kind, *_]:
            return f"--{kind}"
        case [_, name, *_]:
            return "--" + _OPTIONS.get(name, name.removesuffix("_issuer")).replace("_", "-")
        case _:
            return where


def _uncertain(key: str) -> list[str]:
    again = f" with --key {key}" if key else ""
    return [
        "It may be done in part: do not take it for done.",
        f"Run the same command again{again}, until it says that it is done.",
    ]


_OPTIONS = {"ends_at": "until", "Idempotency-Key": "key", "hops": "hop", "claims": "claim"}
"""Options that are not called as in the API."""

_LOOKING = {
    "unknown-exchange": "`delegation exchanges` lists those that have not expired.",
    "unknown-lock": "`delegation locks --state all` lists those that are not forgotten.",
    "unaskable": "That is what is in force there: with --registry the same is asked of files.",
    "audit-trail-unreadable": "Look at DELEGATION_AUDIT_DIRECTORY: `delegation audit verify` says "
    "what is wrong with it.",
}
"""Where to look for what is not there."""

_REMEDIES = {
    400: "`--help` says what each option takes, the reference of the admin API in full.",
    401: f"Get a new token for the admin audience, and put it into {TOKEN}.",
    403: "Get a token with that scope: the reference of the admin API says which.",
    404: "Is DELEGATION_ADMIN_API the address of the admin API, and without /admin/v1?",
    409: "Order it without --key, or with another one.",
    503: "Look at the store: `delegation check` says what is wrong with it.",
}
