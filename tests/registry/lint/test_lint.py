"""Lint says whatever the loader refuses, at once, and of what is right nothing."""

import re
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from delegation.dev.cast import CLIENTS
from delegation.dev.cast import story as development
from delegation.dev.issuer import DevelopmentIssuer
from delegation.domain.registry import Registry
from delegation.jose.keyring import new_key
from delegation.registry.lint.catalogue import RULES, LintCode, Severity
from delegation.registry.lint.findings import Finding
from delegation.registry.lint.linter import lint, look_at
from delegation.registry.loader import Snapshot
from delegation.registry.problems import Code, RegistryInvalid
from delegation.registry.skeleton import write_skeleton
from tests.docs.pages import ROOT, blocks
from tests.registry import story
from tests.registry.lint import drawn
from tests.registry.test_properties import as_content, registries

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
US = story.OUR_ISSUER


def found_in(*files: str | bytes) -> tuple[Finding, ...]:
    """All findings in these files, which are called `0.yaml` and so on."""
    contents = [file.encode() if isinstance(file, str) else file for file in files]
    named = tuple((f"{number}.yaml", content) for number, content in enumerate(contents))
    return look_at(Snapshot(named), issuer=US, now=NOW).findings


def refused(*files: str | bytes) -> set[tuple[str, int, str, str]]:
    """What the loader says of these files."""
    try:
        story.of(*files)
    except RegistryInvalid as invalid:
        return {(one.file, one.line, one.code.value, one.message) for one in invalid.problems}
    return set()


def errors_in(*files: str | bytes) -> set[tuple[str, int, str, str]]:
    """What lint says is an error in them."""
    return {
        (one.file, one.line, str(one.code), one.message)
        for one in found_in(*files)
        if one.severity is Severity.ERROR
    }


def test_every_code_has_its_rule() -> None:
    """A severity, a meaning and a remedy; errors are what the loader refuses, and nothing else."""
    assert RULES.keys() == {*Code, *LintCode}
    assert {code for code, rule in RULES.items() if rule.severity is Severity.ERROR} == {*Code}
    assert all(rule.meaning.endswith(".") and rule.remedy.endswith(".") for rule in RULES.values())


@settings(max_examples=20)  # each is large
@given(registries())
def test_a_registry_that_loads_has_no_error(registry: Registry) -> None:
    """Whatever can be written without contradiction."""
    text = story.as_yaml(as_content(registry))

    assert errors_in(text) == refused(text) == set()


@st.composite
def damaged(draw: st.DrawFn) -> list[bytes]:
    """A registry in some files, of which some lines are lost, doubled, or of another file."""
    content = draw(drawn.contents())
    lines = story.as_yaml(content).splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 3))):
        at, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        damage = draw(st.sampled_from(["lose", "double", "swap", "break", "rename"]))
        match damage:
            case "lose":
                lines[at] = ""
            case "double":
                lines[at] *= 2
            case "swap":
                lines[at], lines[other] = lines[other], lines[at]
            case "break":
                lines[at] = lines[at].replace(":", draw(st.sampled_from(["", "::", ": [", ": &a"])))
            case _:
                name = draw(st.sampled_from(['"zebra"', "5", "no"]))
                lines[at] = re.sub(r'"[\w-]+"', name, lines[at])
    half = draw(st.integers(0, len(lines)))
    return ["".join(part).encode() for part in (lines[:half], lines[half:])]


@settings(max_examples=30)  # each is read twice
@given(damaged())
def test_there_is_an_error_exactly_where_the_loader_refuses(files: list[bytes]) -> None:
    """However a file is damaged: the same places, codes and messages; and it never crashes."""
    assert errors_in(*files) == refused(*files)


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_any_bytes_can_be_linted(files: list[bytes]) -> None:
    """Whatever is in them."""
    assert errors_in(*files) == refused(*files)


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """As the loader says it, before it looks into any file."""
    (tmp_path / "a.yaml").symlink_to("nowhere")

    report = lint(tmp_path, issuer=US, now=NOW)

    assert [(one.file, one.code) for one in report.findings] == [("a.yaml", Code.UNREADABLE)]


def test_everything_is_said_at_once() -> None:
    """Errors hide nothing of other grants, but what is not used may be used by what is wrong."""
    text = story.STORY.replace("scopes: [rooms.read]", "scopes: rooms.read") + (
        "  - id: old\n    client: calendar-mcp\n    subjects: [{issuer: partner, everyone: true}]\n"
        "    agents: any\n    resource: https://calendar.example.com/api\n"
        '    scopes: {"calendar:read": [events.read]}\n    expires: 2020-01-01T00:00:00Z\n'
    )
    partner = (
        "issuers:\n  - issuer: https://login.partner.example.net\n    alias: partner\n"
        "    jwks_uri: https://localhost/jwks\n    algorithms: [ES256]\n"
    )

    codes = {one.code for one in found_in(text, partner)}

    assert codes == {Code.WRONG_TYPE, LintCode.EXPIRED, LintCode.KEYS_OUT_OF_REACH}


def worst(*files: str | bytes) -> set[str]:
    """The codes of all that is more than a notice."""
    return {one.code for one in found_in(*files) if one.severity is not Severity.NOTICE}


def test_the_first_registry_is_clean(tmp_path: Path) -> None:
    """`delegation init` makes nothing that lint would speak of."""
    write_skeleton(tmp_path / "registry", secret="sha256:" + 64 * "1")

    assert lint(tmp_path / "registry", issuer=US, now=NOW).findings == ()


def test_the_development_world_is_clean() -> None:
    """So is the tutorial's registry, but for what waits to be used in it."""
    issuer = DevelopmentIssuer(url="http://127.0.0.1:8001", key=new_key("ES256"))
    secrets = {client: f"secret of {client}" for client in CLIENTS}
    text = story.as_yaml(development(issuer, secrets))

    assert worst(text) == set()
    assert worst(story.STORY) == worst(story.WITH_ACTORS) == set()


def shown_on(page: str) -> list[str]:
    """The files that a page of the documentation shows."""
    path = ROOT / f"docs/how-to/{page}.md"
    return [text for language, text in blocks(path) if language == "yaml"]


def test_the_examples_of_the_documentation_are_clean() -> None:
    """Files that belong together, but for what a page leaves out to be short."""
    chain = shown_on("chains-over-several-services")[:4]
    issuers, registering = chain[0], shown_on("register-a-client")
    asking = shown_on("ask-who-can-do-what")

    assert worst(*chain) == set()
    assert worst(issuers, *registering[:3]) == set()
    assert worst(*asking) == {LintCode.NO_CREDENTIALS}
