"""What the URL of the store says: one server, the primary that Sentinels name, or a cluster."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

SENTINEL, CLUSTER = "sentinel", "cluster"

_TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})

_OPTIONS = {
    "": {"db"} | _TLS_OPTIONS,
    SENTINEL: {"db", "sentinel_username", "sentinel_password"} | _TLS_OPTIONS,
    CLUSTER: _TLS_OPTIONS,
}
"""What a URL may ask for. Others would change timeouts and the checking of certificates behind our
back.
"""

_PORTS = {SENTINEL: 26379, CLUSTER: 6379}

_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUrl:
    """The parts of a URL. *topology* is empty where there is one server, which *text* names.

    *primary* is its name among its Sentinels; *options* are the others that the URL has.
    """

    text: str = field(repr=False)
    topology: str = ""
    has_tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    primary: str = ""
    db: int = 0
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read it. Raises `ValueError` with what to write instead; nothing of *text* is in it."""
        scheme, _, rest = text.partition("://")
        family, plus, topology = scheme.partition("+")
        if not (topology in _PORTS if plus else True) or family not in _families(topology):
            raise ValueError(
                "must begin with redis://, rediss:// or unix://; where there are several servers, "
                "with redis+sentinel:// or redis+cluster://, or these with rediss"
            )
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        if topology:
            tail = rest.removeprefix(authority)
            return cls._of_several(text, authority, tail, topology=topology, family=family)
        return cls._of_one(text, authority)

    @classmethod
    def _of_one(cls, text: str, authority: str) -> Self:
        if "," in authority.rpartition("@")[2]:
            raise ValueError("may name several hosts only with redis+sentinel or redis+cluster")
        url, options = _split(text)
        if url.scheme == "unix" and not url.path.startswith("/"):
            raise ValueError("must name a socket: unix:///run/redis.sock")
        if url.scheme != "unix" and not url.hostname:
            raise ValueError("must name a host: redis://host:6379/0")
        _must_fit(url, options, topology="", has_tls=url.scheme == "rediss")
        return cls(text=text)

    @classmethod
    def _of_several(
        cls, text: str, authority: str, tail: str, *, topology: str, family: str
    ) -> Self:
        """The hosts are ours to read: the library of URLs knows of one only."""
        user, _, hosts = authority.rpartition("@")
        url, options = _split(f"//{tail}")
        _must_fit(url, options, topology=topology, has_tls=family == "rediss")
        name, slash, number = url.path.removeprefix("/").partition("/")
        if topology == CLUSTER and url.path not in {"", "/"}:
            raise ValueError("may have no path: a cluster has no numbered databases")
        if topology == SENTINEL and not re.fullmatch(r"[A-Za-z0-9._-]+", name, re.ASCII):
            raise ValueError(
                "must say what its Sentinels call the primary: redis+sentinel://host:26379/name"
            )
        if slash and not _is_db(number):
            raise ValueError("must have a whole number as db")
        username, _, password = user.partition(":")
        return cls(
            text=text,
            topology=topology,
            has_tls=family == "rediss",
            hosts=tuple(_host(host, _PORTS[topology]) for host in hosts.split(",")),
            username=unquote(username) or None,
            password=unquote(password) or None,
            primary=name,
            db=int(number or options.pop("db", "0")),
            options=options,
        )


def _families(topology: str) -> set[str]:
    return {"redis", "rediss"} | (set() if topology else {"unix"})


def _split(text: str) -> tuple[SplitResult, dict[str, str]]:
    try:
        url = urlsplit(text)
        _ = url.port
        options = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise ValueError("must be a URL: redis://host:6379/0, say") from None
    if len(options) != len(dict(options)):
        raise ValueError("must give each option once")
    return url, dict(options)


def _must_fit(
    url: SplitResult, options: Mapping[str, str], *, topology: str, has_tls: bool
) -> None:
    allowed = _OPTIONS[topology]
    if url.fragment or not options.keys() <= allowed:
        raise ValueError(f"may have no options but {', '.join(sorted(allowed))}")
    # The library would say so with a traceback, and only once it connects.
    if not has_tls and options.keys() & _TLS_OPTIONS:
        raise ValueError("may have ssl options only with rediss://")
    if not _is_db(options.get("db", "0")):
        raise ValueError("must have a whole number as db")


def _is_db(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) is not None


def _host(text: str, port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    if found is None or not 0 < int(found[2] or port) < 65536:  # noqa: PLR2004, TCP's ports
        raise ValueError("must name hosts as host:port,host:port")
    return found[1].strip("[]"), int(found[2] or port)
