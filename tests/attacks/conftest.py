"""What is attacked: a world of this suite's own, or any running service.

With no variable set, every test process starts a world. To point the suite at a running service,
name it, two of its clients, and an issuer that it trusts:

    DELEGATION_TOKEN_ENDPOINT       https://sts.example/token
    DELEGATION_CLIENT_ID            a client that may exchange, and its secret
    DELEGATION_CLIENT_SECRET
    DELEGATION_OTHER_CLIENT_ID      another one, to which no token of the first is addressed
    DELEGATION_OTHER_CLIENT_SECRET
    DELEGATION_RESOURCE             a resource at which the first client may act
    DELEGATION_SCOPE                all the scope that those tokens stand for there
    DELEGATION_SUBJECT_ISSUER       a trusted issuer that signs with ES256, as its tokens name it,
                                    and that may not say who acts
    DELEGATION_SUBJECT_KEYS         a file with its private JWK Set, `kid` the RFC 7638 thumbprint
    DELEGATION_SUBJECT_CLAIMS       JSON: `sub`, `aud`, `client_id`, `scope` and what else a grant
                                    asks for, of a token that the first client may exchange

Then what only our own world has (a second issuer, a look into the ledger and the log) is skipped.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from delegation.jose.keyring import Keyring
from tests.attacks.attack import Attack, Service
from tests.world import TEAM, TEAM_API, TEAM_MCP, Login, TestWorld, a_test_world


@pytest.fixture(name="service", scope="session")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service under attack."""
    if "DELEGATION_TOKEN_ENDPOINT" in os.environ:  # pragma: no cover, not in our own runs
        yield _named_by(os.environ)
        return
    with a_test_world(tmp_path_factory.mktemp("world")) as world:
        yield Service.of(world)


@pytest.fixture(name="attack")
def _attack(service: Service) -> Attack:
    """An attacker with an address of its own, and a sound request to begin with."""
    return Attack(service)


@pytest.fixture(name="own", scope="session")
def _own(service: Service) -> TestWorld:
    """Our own world, for what no other service has."""
    if service.own is None:  # pragma: no cover, not in our own runs
        pytest.skip("this needs a world of our own")
    return service.own


@pytest.fixture(name="team")
def _team(attack: Attack, own: TestWorld) -> Attack:
    """An attacker who is *team-mcp*: who may present other actors, and whose tokens may have some
    already.
    """
    return attack.as_client(
        TEAM,
        own.secrets[TEAM],
        resource=TEAM_API,
        token=lambda: own.login.token(aud=TEAM_MCP),
    )


def _named_by(environ: "os._Environ[str]") -> Service:  # pragma: no cover, not in our own runs
    given = {name.removeprefix("DELEGATION_"): value for name, value in environ.items()}
    return Service(
        url=given["TOKEN_ENDPOINT"].removesuffix("/token"),
        client=given["CLIENT_ID"],
        secret=given["CLIENT_SECRET"],
        other=(given["OTHER_CLIENT_ID"], given["OTHER_CLIENT_SECRET"]),
        resource=given["RESOURCE"],
        scope=given["SCOPE"],
        login=Login(
            given["SUBJECT_ISSUER"],
            usual=json.loads(given["SUBJECT_CLAIMS"]),
            key=Keyring.load(Path(given["SUBJECT_KEYS"])).active,
        ),
    )
