"""`delegation registry lint` and `fmt`: for people, for programs, and in a pipeline."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from delegation.registry.schema import schema_text
from tests.cli.command import Ran, run
from tests.docs.pages import ROOT, blocks
from tests.registry import story

NOW = "2026-11-21T12:00:00Z"
US = story.OUR_ISSUER

EXPIRED = story.STORY.replace("2027-01-01", "2026-01-01")
"""With a warning, and a notice."""

WRONG = story.STORY.replace("alias: corp", "alias: Corp")
"""With an error, and what follows from it."""


@pytest.fixture(name="registry")
def _registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for files, seen from where the command runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry").mkdir()
    return Path("registry")


def lint(*arguments: str, issuer: str | None = US) -> Ran:
    """What lint says of `registry`."""
    said = () if issuer is None else ("--issuer", issuer)
    return run("registry", "lint", "registry", "--at", NOW, *said, *arguments)


def test_for_people(registry: Path) -> None:
    """Each finding in a line that editors follow, with what to do below it; then how many."""
    story.write(registry, a=EXPIRED, team__b="clients: [{id: x}]\n")

    ran = lint()

    assert (ran.status, ran.err) == (1, "")
    assert ran.out == (
        "registry/a.yaml:37: warning: this ended on 2026-01-01: it gives nothing any more "
        "[expired]\n"
        "  Remove it; or give it another end, if it is still meant.\n"
        "registry/team/b.yaml:1: error: `audience` is missing. Its own resource identifier: what "
        "the tokens that it presents say in `aud`. No two clients share one. [missing_key]\n"
        "registry/team/b.yaml:1: error: `exchange` is missing. Whether it may exchange tokens. "
        "Must be written. [missing_key]\n"
        "2 errors, 1 warning in 2 files.\n"
    )


@pytest.mark.usefixtures("registry")
def test_nothing_to_say() -> None:
    """Of no files at all, which permit nothing."""
    assert lint().out == "Nothing is found in 0 files.\n"
    assert lint().status == 0


@pytest.mark.parametrize(
    ("text", "status", "strict"), [(story.STORY, 0, 0), (EXPIRED, 0, 1), (WRONG, 1, 1)]
)
@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_the_exit_status(registry: Path, text: str, status: int, strict: int, form: str) -> None:
    """1 for errors; with --strict for warnings, too; never for notices."""
    story.write(registry, a=text)

    assert lint("--format", form).status == status
    assert lint("--format", form, "--strict").status == strict


def test_a_first_registry_is_ready_for_editors(registry: Path) -> None:
    """`init` writes the schema beside it, and its name into the first line; lint has no word."""
    assert run("init", "registry").status == 0

    text = (registry / "registry.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=registry.schema.json\n")
    assert (registry / "registry.schema.json").read_text() == schema_text()
    assert lint("--strict").out == "Nothing is found in 1 file.\n"
    assert run("registry", "fmt", "registry", "--check").status == 0


def test_called_wrongly(registry: Path) -> None:
    """A directory that is not there is no finding."""
    assert run("registry", "lint", "elsewhere").status == 2
    assert run("registry", "lint").status == 2
    assert run("registry", "lint", environment={"DELEGATION_REGISTRY": str(registry)}).status == 0


def test_which_service_it_is_need_not_be_known(registry: Path) -> None:
    """Then it is said what was not looked at."""
    story.write(registry, a=story.STORY.replace("login.example.com\n", "sts.example.com\n"))

    unknown, known = lint(issuer=None), lint()

    assert unknown.status == 0
    assert unknown.err == (
        "Without --issuer, nothing is said of what stands for this service itself.\n"
    )
    assert "[own_issuer]" in known.out


def test_the_admin_audience_can_be_another(registry: Path) -> None:
    """As it is configured for the service."""
    story.write(registry, a=story.STORY.replace("[calendar]", '["urn:admin"]'))

    assert lint().status == 0
    assert "[admin_audience]" in lint("--admin-audience", "urn:admin").out


SHAPE = {
    "type": "object",
    "required": ["findings", "counts", "ignored", "files"],
    "additionalProperties": False,
    "properties": {
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["file", "line", "code", "severity", "message", "remedy"],
                "additionalProperties": False,
                "properties": {
                    "line": {"type": "integer", "minimum": 1},
                    "severity": {"enum": ["error", "warning", "notice"]},
                    "code": {"pattern": "^[a-z_]+$"},
                    **{
                        name: {"type": "string", "minLength": 1}
                        for name in ("file", "message", "remedy")
                    },
                },
            },
        },
        "counts": {
            "type": "object",
            "required": ["error", "warning", "notice"],
        },
        "ignored": {"type": "integer"},
        "files": {"type": "integer"},
    },
}


def test_for_programs(registry: Path) -> None:
    """One object, of the shape that the reference shows."""
    story.write(registry, a=EXPIRED, b=WRONG.replace("issuers:", "issuers:\n  - {}\n"))
    (shown,) = (text for kind, text in blocks(ROOT / "docs/reference/lint.md") if kind == "json")

    answer = json.loads(lint("--format", "json").out)

    for one in (answer, json.loads(shown)):
        jsonschema.validate(one, SHAPE)
        assert sum(one["counts"].values()) == len(one["findings"])
    assert answer["files"] == 2
    assert answer["findings"] == sorted(
        answer["findings"], key=lambda one: (one["file"], one["line"])
    )


def test_for_pull_requests(registry: Path) -> None:
    """A workflow command for each finding, with a line break between message and remedy."""
    story.write(registry, a=EXPIRED)

    assert lint("--format", "github").out == (
        "::notice file=registry/a.yaml,line=21,title=unused_resource::no grant is for this "
        "resource%0ARemove it, unless its grants are still to come.\n"
        "::warning file=registry/a.yaml,line=37,title=expired::this ended on 2026-01-01: it gives "
        "nothing any more%0ARemove it; or give it another end, if it is still meant.\n"
        "1 warning, 1 notice in 1 file.\n"
    )


HOSTILE = [
    "x%0A::set-env name=a::b",
    "x\n::stop-commands::y",
    "x\r\n::add-mask::y",
    "::error::x",
    "##[add-mask]x",
    "x,line=9,title=y::z",
    "\x1b[31m\u202e\u2028::x",
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_no_value_makes_a_command_of_its_own(registry: Path, hostile: str) -> None:
    """In a file, however it is shown: one finding is one line, and only ours are commands."""
    grant = {"grants": [{"id": hostile, hostile: 1, "client": hostile, "subjects": [hostile]}]}
    story.write(registry, a=f"clients: [{{id: {json.dumps(hostile)}}}]\n", b=json.dumps(grant))

    for line in lint("--format", "github").out.splitlines()[:-1]:
        command = re.fullmatch(
            r"::(error|warning|notice) file=registry/[ab]\.yaml,line=\d+,title=[a-z_]+::(.*)", line
        )
        assert command is not None, line
        assert line.isprintable()
        assert command[2].count("%0A") <= 1  # between message and advice, never in either
    for line in lint().out.splitlines():
        assert line.isprintable()
        assert line.startswith(("registry/", "  ")) or line.endswith(" files.")
        assert not line.lstrip().startswith("::")
        assert "##[" not in line


@pytest.mark.parametrize(
    "name", ["::error::x.yaml", " ::error::x.yaml", "x\n::error::y.yaml", "a,line=1:%0A.yaml"]
)
def test_no_name_of_a_file_makes_a_command_of_its_own(registry: Path, name: str) -> None:
    """Nor does it change where a finding is said to be."""
    (registry / name).write_text("grants: 5\n")

    annotated = run("registry", "lint", ".", "--format", "github", "--issuer", US)
    told = run("registry", "lint", ".", "--issuer", US)
    commands = annotated.out.splitlines()
    assert commands[0].startswith("::error file=registry/")
    assert commands[0].count(",line=") == commands[0].count(",title=") == 1
    assert len(commands) == 2
    assert not any(line.startswith("::") for line in told.out.splitlines())

    (registry / name).rename(name)
    for command in ("lint", "test"):
        ran = run("registry", command, ".", "--issuer", US)
        said = (ran.out + ran.err).splitlines()
        # A runner looks behind spaces, too.
        assert said
        assert not any(line.lstrip().startswith("::") for line in said)


# The one layout


def fmt(*arguments: str) -> Ran:
    """What it says."""
    return run("registry", "fmt", *arguments)


def test_files_are_laid_out(registry: Path) -> None:
    """All files of a directory that the loader reads; what is right already is not touched."""
    story.write(registry, a="a: 1  \n", team__b="a: 1\n", team__c="a:\n- 1\n")
    (registry / "note.txt").write_text("a: 1  ")

    checked = fmt("registry", "--check")
    unchanged = (registry / "a.yaml").read_text()
    done = fmt("registry")
    again = fmt("registry", "--check")

    assert (checked.status, checked.err) == (1, "")
    assert (
        checked.out == "registry/a.yaml would be changed\nregistry/team/c.yaml would be changed\n"
    )
    assert unchanged == "a: 1  \n"
    assert (done.status, done.out) == (
        0,
        "registry/a.yaml is changed\nregistry/team/c.yaml is changed\n",
    )
    assert (registry / "a.yaml").read_text() == "a: 1\n"
    assert (registry / "team/c.yaml").read_text() == "a:\n  - 1\n"
    assert (registry / "note.txt").read_text() == "a: 1  "
    assert (again.status, again.out) == (0, "")


def test_single_files_are_laid_out(registry: Path) -> None:
    """As a hook before a commit names them; the schema above them is found."""
    story.write(registry, team__a="a: 1\n", team__b="b: 1  \n")
    (registry / "registry.schema.json").write_text("{}")

    ran = fmt("registry/team/a.yaml")

    assert (ran.status, ran.out) == (0, "registry/team/a.yaml is changed\n")
    assert (registry / "team/a.yaml").read_text() == (
        "# yaml-language-server: $schema=../registry.schema.json\na: 1\n"
    )
    assert (registry / "team/b.yaml").read_text() == "b: 1  \n"


def test_what_cannot_be_laid_out_is_left_and_the_rest_is_done(registry: Path) -> None:
    """It says why, and fails."""
    story.write(registry, a="a: [\n", b="b: |\n  x", c="c: 1  \n")
    (registry / "b.yaml").write_text("b: |\n  x")

    ran = fmt("registry")

    assert ran.status == 1
    assert ran.out == "registry/c.yaml is changed\n"
    first, second = ran.err.splitlines()
    assert first.startswith("registry/a.yaml:2: this is not YAML: ")
    assert second.startswith("registry/b.yaml: this is left as it is, for its meaning could change")
    assert (registry / "b.yaml").read_text() == "b: |\n  x"


def test_what_cannot_be_read_is_said(registry: Path) -> None:
    """By the reason that the system gives."""
    (registry / "a.yaml").symlink_to("nowhere")

    ran = fmt("registry")

    assert ran.status == 1
    assert ran.err == "a.yaml:1: this cannot be read: No such file or directory [unreadable]\n"
    assert fmt("elsewhere").status == fmt().status == 2


def test_what_cannot_be_written_is_said(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays as it is."""
    story.write(registry, a="a: 1  \n")

    def refuse(path: Path, _: bytes) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    ran = fmt("registry")

    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "registry/a.yaml: Permission denied\n"
