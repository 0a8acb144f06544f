"""The registry that is in force, as the admin API shows it."""

from delegation.domain.errors import Unavailable
from delegation.registry.loader import Snapshot
from delegation.registry.published import published
from delegation.web.admin.service import LoadedRegistry
from tests.registry.story import STORY
from tests.web.admin.desk import AUDIENCE, Desk, problem


def test_the_registry_in_force(desk: Desk) -> None:
    """Its files by their names, what its meaning depends on, and no digest of a secret."""
    files = Snapshot((("story.yaml", STORY.encode()),))
    desk.loaded = LoadedRegistry(
        issuer="https://sts.example.com",
        admin_audience=AUDIENCE,
        revision=files.revision,
        files=published(files),
    )

    answer = desk.get("/registry", scope="registry.read")

    (file,) = answer.pop("files")
    assert answer == {
        "revision": files.revision,
        "issuer": "https://sts.example.com",
        "admin_audience": AUDIENCE,
    }
    assert file["name"] == "story.yaml"
    assert [one["id"] for one in file["content"]["grants"]] == ["calendar-for-staff"]
    assert "1" * 64 not in repr(file)


def test_it_takes_a_scope_of_its_own(desk: Desk) -> None:
    """Whoever may see exchanges may not see all that is allowed."""
    refused = desk.ask("GET", "/registry", scope="exchanges.read workers.read")

    assert problem(refused) == (403, "insufficient-scope")
    assert 'scope="registry.read"' in refused.headers["WWW-Authenticate"]


def test_files_that_cannot_be_read(desk: Desk) -> None:
    """Are not in force, and nothing is made up."""

    def unreadable() -> LoadedRegistry:
        raise Unavailable("registry_invalid")

    object.__setattr__(desk.service, "loaded", unreadable)

    assert problem(desk.ask("GET", "/registry")) == (503, "unavailable")
