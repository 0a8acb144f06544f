"""A plugin for pytest: the ledger's tests, with each part logged in as the user that is its own.

What is exchanged is recorded by the service; what is stopped and listed, by the admin API; what
stands in the streams is read by the sealer. Only who looks behind the curtain stays who they are.
"""

import re
from functools import partial
from typing import Any

import redis

from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests import valkey
from tests.deploy.places import DEPLOY

SERVICE, ADMIN, SEALER = "delegation", "delegation-admin", "delegation-sealer"


def login(url: str, user: str) -> str:
    """*url* for *user*, who is given a password and the rules that are given out."""
    text = (DEPLOY / "valkey/users.acl").read_text()
    [rules] = re.findall(f"^user {user} (.*)$", text, re.MULTILINE)
    with redis.Redis.from_url(url) as client:
        client.execute_command("ACL SETUSER", user, *re.findall(r"\(.*?\)|\S+", rules), ">password")
    return url.replace("://", f"://{user}:password@", 1)


class Users:
    """Logs parts in: each of the parts of a test at one server."""

    def __init__(self) -> None:
        self._url = ""
        self._stores: dict[str, Store] = {}

    def server(self, url: str, **options: Any) -> Server:
        """A connection for the service."""
        self._url = url
        return Server(login(url, SERVICE), **options)

    def store(self, user: str) -> Store:
        """The same store for another user, with what that has seen of it."""
        return Store(Server(login(self._url, user), timeout=2), valkey.PARTITIONS)


def pytest_configure() -> None:
    """Have the fixtures log in."""
    users = Users()
    initialize = valkey.initialize
    instead = {
        "Server": users.server,
        "initialize": lambda _, partitions: initialize(users.store(ADMIN).server, partitions),
        **{
            name: partial(_for_another, getattr(valkey, name), users, user)
            for name, user in (
                ("RedisLocks", ADMIN),
                ("RedisExchanges", ADMIN),
                ("Evidence", SEALER),
            )
        },
    }
    for name, value in instead.items():
        setattr(valkey, name, value)


def _for_another(part: Any, users: Users, user: str, _store: Store, **options: Any) -> Any:
    return part(users.store(user), **options)
