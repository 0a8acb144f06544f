"""The environment to settings: strict, with every problem at once, and nothing assumed."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from delegation import ratelimits
from delegation.domain.parties import is_name
from delegation.domain.rates import Per, Rate, Rates
from delegation.domain.registry import usual_admin_audience
from delegation.domain.resources import is_resource_uri
from delegation.proxies import TrustedProxies
from delegation.storeurl import StoreUrl

PREFIX = "DELEGATION_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One variable: its *name* without the prefix, its *meaning*, and the value it has by itself.

    *default* is `None` where there is none. *read* turns the text into the value; it raises
    `ValueError` with what to write instead.
    """

    name: str
    meaning: str
    read: Callable[[str], Any] = field(repr=False)
    default: str | None = None
    is_secret: bool = False

    @property
    def variable(self) -> str:
        """The name of the variable."""
        return PREFIX + self.name


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One variable that is wrong, and what to do about it. Values are never shown."""

    variable: str
    message: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.variable}: {self.message}"


class SettingsInvalid(Exception):
    """The environment cannot be used. *problems* are all that was found, by variable."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this instance of the service runs. `SETTINGS` says what each means."""

    issuer: str
    redis_url: str = field(repr=False)
    registry: Path
    signing_keys: Path
    partitions: int
    bind: str
    workers: int
    max_requests: int
    redis_timeout: float
    max_undrained_events: int
    refusals_per_minute: int
    trusted_proxies: TrustedProxies
    admin_bind: str
    admin_audience: str
    metrics_bind: str | None = None
    audit_key: Path | None = None
    audit_directory: Path | None = None
    traces: bool = False
    limit_per_client: tuple[Rate, ...] = ()
    limit_per_client_and_subject: tuple[Rate, ...] = ()
    limit_per_grant: tuple[Rate, ...] = ()

    @property
    def rates(self) -> Rates:
        """The rate limits that are in force, by what they count."""
        given = {
            Per.CLIENT: self.limit_per_client,
            Per.CLIENT_AND_SUBJECT: self.limit_per_client_and_subject,
            Per.GRANT: self.limit_per_grant,
        }
        return {per: rates for per, rates in given.items() if rates}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read all variables that begin with `DELEGATION_`. Raises `SettingsInvalid`.

        An empty variable is a mistake, not an absent one; so is a name that nobody knows.
        """
        problems = [
            Problem(variable, _unknown(variable))
            for variable in environ
            if variable.startswith(PREFIX) and variable not in _KNOWN
        ]
        values: dict[str, Any] = {}
        for setting in SETTINGS:
            text = environ.get(setting.variable, setting.default)
            if text is None:
                continue
            try:
                values[setting.name.lower()] = _read(setting, text)
            except ValueError as error:
                problems.append(Problem(setting.variable, str(error)))
        _choose_redis_url(values, environ, problems)
        _choose_admin_audience(values, problems)
        problems += [
            Problem(setting.variable, f"is not set: {setting.meaning}")
            for setting in SETTINGS
            if setting.name in _REQUIRED and setting.variable not in environ
        ]
        if problems:
            raise SettingsInvalid(problems)
        return cls(**values)


def _read(setting: Setting, text: str) -> object:
    if not text:
        raise ValueError("is empty: give it a value, or unset it")
    return setting.read(text)


def _unknown(variable: str) -> str:
    nearest = get_close_matches(variable, sorted(_KNOWN), n=1, cutoff=0)[0]
    return f"is not known; the nearest that is known is {nearest}"


def _choose_redis_url(
    values: dict[str, Any], environ: Mapping[str, str], problems: list[Problem]
) -> None:
    """One of the two variables, and not both: it could not be told which one counts."""
    given = [name for name in ("REDIS_URL", "REDIS_URL_FILE") if PREFIX + name in environ]
    from_file = values.pop("redis_url_file", None)
    if not given:
        problems.append(
            Problem(PREFIX + "REDIS_URL", "is not set: set it, or DELEGATION_REDIS_URL_FILE")
        )
    elif len(given) > 1:
        problems.append(
            Problem(
                PREFIX + "REDIS_URL_FILE", "is set together with DELEGATION_REDIS_URL: unset one"
            )
        )
    elif from_file is not None:
        values["redis_url"] = from_file


def _choose_admin_audience(values: dict[str, Any], problems: list[Problem]) -> None:
    """Whatever is for the admin API is for nothing else, and so has a name of its own."""
    issuer = values.get("issuer")
    if issuer is None:
        return
    audience = values.setdefault("admin_audience", usual_admin_audience(issuer))
    if audience.casefold().rstrip("/") == issuer.casefold():
        problems.append(
            Problem(
                PREFIX + "ADMIN_AUDIENCE", "is DELEGATION_ISSUER: the admin API needs its own name"
            )
        )


def _admin_audience(text: str) -> str:
    if not is_resource_uri(text) or not is_name(text) or "?" in text:
        raise ValueError(
            "must be an https URL (http only on loopback) without user, query and fragment"
        )
    return text


def _issuer(text: str) -> str:
    if not is_resource_uri(text) or not is_name(text) or "?" in text or text.endswith("/"):
        raise ValueError(
            "must be an https URL (http only on loopback) without user, query, fragment and "
            "trailing slash"
        )
    return text


def _redis_url(text: str) -> str:
    return StoreUrl.parse(text).text


def _redis_url_file(text: str) -> str:
    try:
        content = Path(text).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ValueError("must be the path of a file that can be read, with the URL") from None
    return _redis_url(content.strip())


def _bind(text: str) -> str:
    if re.fullmatch(r"unix:/[^\0]+", text):
        return text
    address = re.fullmatch(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", text, re.ASCII)
    if address is None or not 0 < int(address[1]) < 65536:  # noqa: PLR2004, TCP's ports
        raise ValueError("must be host:port, [address]:port or unix:/path")
    return text


def _metrics_bind(text: str) -> str:
    if not text.startswith("unix:"):
        with suppress(ValueError):
            return _bind(text)
    raise ValueError("must be host:port or [address]:port")


def _between(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return read


def _redis_timeout(text: str) -> float:
    # Two attempts, and the answer is still out within two seconds.
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text, re.ASCII) or not 0 < float(text) <= 1:
        raise ValueError("must be more than 0 seconds, and no more than 1")
    return float(text)


def _traces(text: str) -> bool:
    if text not in {"otlp", "none"}:
        raise ValueError("must be otlp or none")
    if text == "none":
        return False
    try:
        found = find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ValueError(
            "is otlp, which is not installed: pip install 'mcp-delegation[tracing]', or none"
        )
    return True


SETTINGS = (
    Setting(
        name="ISSUER",
        meaning="our issuer identifier: what our tokens say in `iss`, and where we are found",
        read=_issuer,
    ),
    Setting(
        name="REDIS_URL",
        meaning="where the ledger is: redis://, rediss:// or unix://, redis+sentinel:// or "
        "redis+cluster://",
        read=_redis_url,
        is_secret=True,
    ),
    Setting(
        name="REDIS_URL_FILE",
        meaning="instead: a file with that URL, for it may hold a password",
        read=_redis_url_file,
    ),
    Setting(name="REGISTRY", meaning="the directory with the registry's files", read=Path),
    Setting(name="SIGNING_KEYS", meaning="the file with our private JWK Set", read=Path),
    Setting(
        name="PARTITIONS",
        meaning="how many partitions the ledger has; never changed once it has begun",
        read=_between(1, 1024),
        default="64",
    ),
    Setting(
        name="BIND",
        meaning="where to listen: host:port, or unix:/path",
        read=_bind,
        default="127.0.0.1:8080",
    ),
    Setting(name="WORKERS", meaning="how many processes", read=_between(1, 64), default="2"),
    Setting(
        name="MAX_REQUESTS",
        meaning="requests, and up to a tenth more, after which a process is replaced by a new one; "
        "0: never",
        read=_between(0, 1_000_000_000),
        default="1000000",
    ),
    Setting(
        name="REDIS_TIMEOUT",
        meaning="seconds to wait for the ledger at each of two attempts",
        read=_redis_timeout,
        default="0.5",
    ),
    Setting(
        name="MAX_UNDRAINED_EVENTS",
        meaning="events that a partition keeps in each of its streams until they are sealed; with "
        "more, nothing is issued",
        read=_between(1, 1_000_000_000),
        default="10000",
    ),
    Setting(
        name="REFUSALS_PER_MINUTE",
        meaning="refusals of one client that a partition records in a minute; the others are only "
        "counted",
        read=_between(1, 1_000_000),
        default="60",
    ),
    Setting(
        name="LIMIT_PER_CLIENT",
        meaning="how many exchanges a client may make; unset: as many as it likes, and so for the "
        "next two",
        read=ratelimits.parse,
    ),
    Setting(
        name="LIMIT_PER_CLIENT_AND_SUBJECT",
        meaning="how many a client may make for one subject: others have as many for the same one",
        read=ratelimits.parse,
    ),
    Setting(
        name="LIMIT_PER_GRANT",
        meaning="how many a client may make under one grant; what the grant itself says in "
        "`rate_limit` holds besides",
        read=ratelimits.parse,
    ),
    Setting(
        name="TRUSTED_PROXIES",
        meaning="the networks of the proxies in front of us: what these say in `X-Forwarded-For` "
        "is where a request came from, and in `X-Request-Id` what it is called; for all others "
        "it is the peer",
        read=TrustedProxies.parse,
        default="none",
    ),
    Setting(
        name="ADMIN_BIND",
        meaning="where the admin API listens: host:port, or unix:/path",
        read=_bind,
        default="127.0.0.1:8081",
    ),
    Setting(
        name="ADMIN_AUDIENCE",
        meaning="what administrators' tokens are for: the admin API, as it is found; by itself the "
        "issuer and `/admin`",
        read=_admin_audience,
    ),
    Setting(
        name="METRICS_BIND",
        meaning="where `/metrics` is served, to whoever can reach it: host:port; unset: nowhere",
        read=_metrics_bind,
    ),
    Setting(
        name="TRACES",
        meaning="whether requests are traced: otlp, to where the variables `OTEL_...` say, or none",
        read=_traces,
        default="none",
    ),
    Setting(
        name="AUDIT_KEY",
        meaning="the file with the key that `delegation audit seal` signs with; nothing else needs "
        "it",
        read=Path,
    ),
    Setting(
        name="AUDIT_DIRECTORY",
        meaning="the directory with the sealed segments: where `delegation audit seal` puts them, "
        "and where events are read that are no longer in the store",
        read=Path,
    ),
)
"""Every variable of the service, in the order in which people meet them."""

CLIENT_SIDE = frozenset(
    {
        "ADMIN_API",
        "ADMIN_TOKEN",
        "CLIENT_ID",
        "CLIENT_KEY_FILE",
        "CLIENT_SECRET",
        "CLIENT_SECRET_FILE",
        "JWKS_URI",
        "OTHER_CLIENT_ID",
        "OTHER_CLIENT_SECRET",
        "RESOURCE",
        "SCOPE",
        "TOKEN_ENDPOINT",
    }
)
"""Variables of the client half, which may live in the same shell."""

_REQUIRED = frozenset({"ISSUER", "REGISTRY", "SIGNING_KEYS"})

_KNOWN = frozenset(PREFIX + name for name in {setting.name for setting in SETTINGS} | CLIENT_SIDE)
