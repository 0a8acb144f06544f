"""Every command of the handbook is run by a test of its page, or it stands here why it is not.

What can be run is a block of `console`; what takes a daemon, a cluster or root is one of `sh`.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from delegation.cli import main
from tests.docs.pages import ROOT

PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    if page.parent.name != "decisions"  # each is of its day
)

RUN_BY = {
    "docs/explanation/shadow-and-deny.md": "docs/test_shadow_and_deny.py",
    "docs/how-to/ask-who-can-do-what.md": "docs/test_questions.py",
    "docs/how-to/chains-over-several-services.md": "docs/test_chains.py",
    "docs/how-to/deploy.md": "deploy/test_page.py",
    "docs/how-to/durability-and-topologies.md": "docs/test_stopping.py",
    "docs/how-to/grants-in-ci.md": "docs/test_grants_in_ci.py",
    "docs/how-to/limit-rates.md": "docs/test_limit_rates.py",
    "docs/how-to/measure.md": "benchmarks/test_page.py",
    "docs/how-to/operate.md": "docs/test_operating.py",
    "docs/how-to/probe-a-running-service.md": "integration/test_probe.py",
    "docs/how-to/read-the-audit-trail.md": "docs/test_reading_the_trail.py",
    "docs/how-to/register-a-client.md": "docs/test_how_to.py",
    "docs/how-to/rotate-keys-and-secrets.md": "docs/test_rotating.py",
    "docs/how-to/run-the-service.md": "docs/test_run_the_service.py",
    "docs/how-to/ship-the-audit-trail.md": "docs/test_reading_the_trail.py",
    "docs/how-to/stop-an-agent.md": "docs/test_stopping.py",
    "docs/how-to/trace-requests.md": "docs/test_trace_requests.py",
    "docs/how-to/verify-as-an-auditor.md": "docs/test_auditing.py",
    "docs/how-to/watch-it.md": "metrics/test_watching.py",
    "docs/how-to/who-holds-what.md": "docs/test_stopping.py",
    "docs/reference/client.md": "client/test_alone.py",
    "docs/tutorial/call-an-api-for-your-user.md": "mcp/test_pages.py",
    "docs/tutorial/protect-your-api.md": "docs/test_protect_your_api.py",
    "docs/tutorial/your-first-exchange.md": "docs/test_documentation.py",
    "docs/tutorial/your-first-grant.md": "docs/test_your_first_grant.py",
}
"""For each page with commands the test that runs them."""

OF_MAKE = {"README.md", "CONTRIBUTING.md"}
"""Pages whose commands are targets of make, and what these run is tested by itself."""

NOT_RUN = {
    "docker ": "it takes a daemon; what it is given is tested part by part, in tests/deploy",
    "kubectl ": "it takes a cluster; manifests are validated, in tests/deploy",
    "sudo ": "it takes root; units are verified, in tests/deploy",
    "echo DELEGATION_ISSUER=": "for what takes a daemon",
    "pip install ": "it fetches what is published; what it names is looked at below",
    "export ": "it says where things are that are elsewhere here",
    "delegation serve": "with exports that are elsewhere here; it is run by its own page",
    "delegation audit seal ": "likewise",
}
"""How what is not run begins, and why it is not."""


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """The commands of its blocks in these languages, a line each."""
    kinds = "|".join(languages)
    found = re.findall(
        rf"^ *```(?:{kinds})\n(.*?)^ *```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    for block in found:
        for line in block.replace("\\\n", " ").splitlines():
            command, _, _ = line.strip().partition("   #")
            yield command


def with_commands() -> dict[str, Path]:
    """The pages that have any, by their path."""
    return {str(page.relative_to(ROOT)): page for page in PAGES if [*blocks(page, "console", "sh")]}


def test_every_page_with_commands_has_a_test() -> None:
    """One that names it, at least by the word that it begins with."""
    assert with_commands().keys() == RUN_BY.keys() | OF_MAKE
    for page, module in RUN_BY.items():
        assert Path(page).stem.partition("-")[0] in (ROOT / "tests" / module).read_text("utf-8")


@pytest.mark.parametrize("page", with_commands().values(), ids=lambda page: page.stem)
def test_what_is_not_run_cannot_be(page: Path) -> None:
    """Each line of it begins with something that stands above with its reason."""
    is_run = page.stem == "rotate-keys-and-secrets"
    lines = [] if is_run else [*blocks(page, "sh")]

    assert [line for line in lines if not line.startswith(tuple(NOT_RUN))] == []


def test_every_reason_is_needed() -> None:
    """Nothing stands above that no page has."""
    lines = [line for page in PAGES for line in blocks(page, "sh")]

    assert {one for one in NOT_RUN if any(line.startswith(one) for line in lines)} == {*NOT_RUN}


def ours(page: Path) -> set[str]:
    """The commands of ours on it, be they in a block or in a sentence."""
    said = re.findall(r"(?<!`)`(delegation [^`\n]+)`", page.read_text("utf-8"))
    return {one for one in (*blocks(page, "console", "sh"), *said) if one.startswith("delegation ")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_ours_is_one(page: Path) -> None:
    """With options that it has: also those that are only spoken of."""
    assert [one for one in ours(page) if not is_one(one)] == []


def is_one(line: str) -> bool:
    """Whether there is such a command, with such options; what else it takes may be left out."""
    words, command = shlex.split(re.split(r" [|<>] ?|; ", line)[0])[1:], main
    # A command remembers the option for its help as it is first asked: so always below the first.
    context = click.Context(main, info_name="delegation", **main.context_settings)
    while True:
        try:
            _, words, _ = command.make_parser(context).parse_args(words)
        except click.UsageError as error:
            return not isinstance(error, click.NoSuchOption)
        if not isinstance(command, click.Group) or words in ([], ["..."]):
            return True
        name = words.pop(0)
        command = command.get_command(context, name)
        if command is None:
            return False
        context = click.Context(command, info_name=name, parent=context)


@pytest.mark.parametrize(
    "line", ["delegation lokcs", "delegation audit seel x", "delegation lock --clients x"]
)
def test_what_is_no_command_is_told_apart(line: str) -> None:
    """Else the test before this one would find nothing, ever."""
    assert not is_one(line)


def test_what_is_to_be_installed_is_there() -> None:
    """Each extra that a page names is one of the distribution's, and each file of requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [
        line for page in PAGES for line in blocks(page, "console", "sh") if "pip install" in line
    ]
    named = {
        found for line in lines for found in re.findall(r"mcp-delegation(?:\[([\w,]+)\])?", line)
    }
    files = {found for line in lines for found in re.findall(r"--requirement (\S+)", line)}

    assert project["name"] == "mcp-delegation"
    assert {extra for names in named for extra in names.split(",") if extra} <= {
        *project["optional-dependencies"]
    }
    assert named
    assert files
    assert all((ROOT / file).is_file() for file in files)
