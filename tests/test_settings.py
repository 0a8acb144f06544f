"""The environment is read strictly: whatever is wrong is said, and nothing is assumed."""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.rates import Per, Rate
from delegation.proxies import TrustedProxies
from delegation.settings import SETTINGS, Settings, SettingsInvalid
from delegation.storeurl import StoreUrl

ENVIRONMENT: Mapping[str, str] = {
    "DELEGATION_ISSUER": "https://sts.example.com",
    "DELEGATION_REDIS_URL": "redis://localhost:6379/0",
    "DELEGATION_REGISTRY": "/etc/delegation/registry",
    "DELEGATION_SIGNING_KEYS": "/run/secrets/keys.json",
}


def settings(**changes: str) -> Settings:
    """The settings of an environment with the least that is needed, and *changes*."""
    return Settings.from_environment(_environment(**changes))


def problems(environ: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with an environment, by variable."""
    with pytest.raises(SettingsInvalid) as caught:
        Settings.from_environment(environ)
    return {problem.variable: problem.message for problem in caught.value.problems}


def _environment(**changes: str) -> dict[str, str]:
    return {**ENVIRONMENT, **{f"DELEGATION_{name}": value for name, value in changes.items()}}


def test_the_defaults_are_those_of_the_reference() -> None:
    """With the least that is needed, all else is as the table says."""
    assert settings() == Settings(
        issuer="https://sts.example.com",
        redis_url="redis://localhost:6379/0",
        registry=Path("/etc/delegation/registry"),
        signing_keys=Path("/run/secrets/keys.json"),
        partitions=64,
        bind="127.0.0.1:8080",
        workers=2,
        max_requests=1_000_000,
        redis_timeout=0.5,
        max_undrained_events=10000,
        refusals_per_minute=60,
        trusted_proxies=TrustedProxies(),
        admin_bind="127.0.0.1:8081",
        admin_audience="https://sts.example.com/admin",
    )


def test_every_setting_can_be_set() -> None:
    """What is written is what is meant."""
    found = settings(
        PARTITIONS="1024",
        BIND="unix:/run/delegation.sock",
        WORKERS="64",
        REDIS_TIMEOUT="1",
        MAX_UNDRAINED_EVENTS="1",
        REFUSALS_PER_MINUTE="1",
        TRUSTED_PROXIES="10.0.0.0/8, unix",
        ADMIN_BIND="[::1]:9000",
        ADMIN_AUDIENCE="https://admin.example.com",
        AUDIT_KEY="/run/secrets/audit.key",
        METRICS_BIND="[::]:9464",
    )

    assert found.audit_key == Path("/run/secrets/audit.key")
    assert found.metrics_bind == "[::]:9464"
    assert (found.admin_bind, found.admin_audience) == ("[::1]:9000", "https://admin.example.com")
    assert (found.partitions, found.workers, found.redis_timeout) == (1024, 64, 1.0)
    assert (found.bind, found.max_undrained_events) == ("unix:/run/delegation.sock", 1)
    assert found.refusals_per_minute == 1
    assert found.trusted_proxies == TrustedProxies(networks=(ip_network("10.0.0.0/8"),), unix=True)


def test_every_problem_is_said_at_once() -> None:
    """Nobody has to start the service five times to learn of five mistakes."""
    found = problems({"DELEGATION_WORKERS": "many", "DELEGATION_ISUER": "x", "HOME": "/"})

    assert found == {
        "DELEGATION_ISUER": "is not known; the nearest that is known is DELEGATION_ISSUER",
        "DELEGATION_ISSUER": "is not set: our issuer identifier: what our tokens say in `iss`, "
        "and where we are found",
        "DELEGATION_REDIS_URL": "is not set: set it, or DELEGATION_REDIS_URL_FILE",
        "DELEGATION_REGISTRY": "is not set: the directory with the registry's files",
        "DELEGATION_SIGNING_KEYS": "is not set: the file with our private JWK Set",
        "DELEGATION_WORKERS": "must be a whole number from 1 to 64",
    }


def test_problems_are_one_line_each() -> None:
    """They can be read in a log."""
    with pytest.raises(SettingsInvalid, match=r"\ADELEGATION_WORKERS: must be .* to 64\Z"):
        settings(WORKERS="0")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_an_empty_variable_is_a_mistake(setting: object) -> None:
    """Emptiness is not absence: no default takes its place."""
    variable = getattr(setting, "variable", "")

    found = problems({**ENVIRONMENT, variable: ""})

    assert found[variable].startswith("is ")


@pytest.mark.standard("8707-2-6")
@pytest.mark.parametrize(
    "audience", ["https://sts.example.com", "https://STS.example.com", "https://sts.example.com/"]
)
def test_an_admin_api_without_a_name_of_its_own(audience: str) -> None:
    """What is for the admin API is for nothing else."""
    found = problems({**ENVIRONMENT, "DELEGATION_ADMIN_AUDIENCE": audience})

    assert found == {
        "DELEGATION_ADMIN_AUDIENCE": "is DELEGATION_ISSUER: the admin API needs its own name"
    }


WRONG = {
    "ADMIN_BIND": ["8081", "localhost"],
    "ADMIN_AUDIENCE": [
        "admin",
        "http://sts.example.com/admin",
        "https://sts.example.com/admin?a=b",
        "https://sts.example.com/admin#a",
        "https://sts.example.com/" + 255 * "a",
    ],
    "ISSUER": [
        "http://sts.example.com",
        "https://sts.example.com/",
        "https://sts.example.com?a=b",
        "https://sts.example.com#a",
        "https://user@sts.example.com",
        "https://sts.example.com/" + 255 * "a",
        "sts.example.com",
    ],
    "REDIS_URL": [
        "redis://localhost?ssl_ca_certs=/etc/ca.pem",
        "redis://localhost?db=first",
        "localhost:6379",
        "http://localhost:6379",
        "redis://",
        "redis://localhost:port",
        "redis://[",
        "unix://localhost",
        "redis://localhost#0",
        "redis://localhost?a",
        "redis://localhost?socket_timeout=60",
        "rediss://localhost?ssl_cert_reqs=none",
        "redis://localhost?db=1&db=2",
        "redis://one:6379,other:6379",
        "unix+cluster:///run/redis.sock",
        "redis+proxy://localhost",
        "redis+://localhost",
        "redis+sentinel://localhost",
        "redis+sentinel://localhost/",
        "redis+sentinel://localhost/a%20name",
        "redis+sentinel://localhost/primary/",
        "redis+sentinel://localhost/primary/first",
        "redis+sentinel://localhost/primary?db=first",
        "redis+sentinel:///primary",
        "redis+sentinel://a b/primary",
        "redis+sentinel://one,/primary",
        "redis+sentinel://one:0/primary",
        "redis+sentinel://one:65536/primary",
        "redis+sentinel://one/primary?password=x",
        "redis+sentinel://one/primary#0",
        "redis+sentinel://one/primary?ssl_ca_certs=/etc/ca.pem",
        "redis+cluster://",
        "redis+cluster://one,two:port",
        "redis+cluster://one/0",
        "redis+cluster://one?db=0",
        "redis+cluster://one?a",
    ],
    "PARTITIONS": ["0", "1025", "64.0", "+64", " 64", "0x40", "٦٤", "1_0", "-1"],
    "BIND": [
        "8080",
        ":8080",
        "host:",
        "host:0",
        "host:65536",
        "unix:",
        "unix:a",
        "::1:80",
        "a b:1",
    ],
    "METRICS_BIND": ["9464", "unix:/run/metrics.sock"],
    "WORKERS": ["0", "65", "two"],
    "REDIS_TIMEOUT": ["0", "0.0", "1.1", "-1", "nan", "inf", "1e-1", ".5", "0.5s"],
    "MAX_UNDRAINED_EVENTS": ["0", "1e4"],
    "REFUSALS_PER_MINUTE": ["0", "60/m"],
    "LIMIT_PER_CLIENT": [
        "600",
        "many/minute",
        "-1/minute",
        "0/minute",
        "1.5/minute",
        "1/fortnight",
        "1/0 minutes",
        "1 per 0 hours",
        "1/year",
        "1/31 days",
        "1000000001/day",
        "1/minute;",
        "1/second:;5/minute",
        "1/minute; 2/60 seconds",
        "none",
        9 * "9" * 1000 + "/day",
    ],
    "LIMIT_PER_CLIENT_AND_SUBJECT": ["0/hour"],
    "LIMIT_PER_GRANT": ["0/hour"],
    "TRUSTED_PROXIES": ["*", "10.0.0.1/8", "0.0.0.0/0", "proxy.example.com", "none,unix"],
}


@pytest.mark.standard("8414-1", "6749-3.2-2")
@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_refused(name: str, value: str) -> None:
    """A value that cannot be right is never bent into one."""
    found = problems(_environment(**{name: value}))

    assert list(found) == [f"DELEGATION_{name}"]
    assert found[f"DELEGATION_{name}"].startswith(("must ", "may "))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISSUER", "http://localhost:8080"),
        ("ISSUER", "https://example.com/sts"),
        ("REDIS_URL", "rediss://user:password@redis.example.com:6380/1?ssl_ca_certs=/etc/ca.pem"),
        ("REDIS_URL", "unix:///run/redis.sock?db=1"),
        ("REDIS_URL", "redis+sentinel://one,other:26380/primary"),
        ("REDIS_URL", "rediss+sentinel://u:p@[::1],a.example/the-one/2?sentinel_password=x"),
        ("REDIS_URL", "redis+sentinel://one/primary?db=1&sentinel_username=u"),
        ("REDIS_URL", "redis+cluster://one:7000,[::1]:7000"),
        ("REDIS_URL", "rediss+cluster://:p%40@one/?ssl_ca_certs=/etc/ca.pem"),
        ("BIND", "0.0.0.0:80"),
        ("BIND", "[::1]:8080"),
    ],
)
def test_a_right_value_is_taken_as_it_is(name: str, value: str) -> None:
    """Nothing is trimmed or normalised."""
    assert getattr(settings(**{name: value}), name.lower()) == value


def test_rate_limits() -> None:
    """In the notation that people know, each of what it counts; by itself nothing is limited."""
    found = settings(
        LIMIT_PER_CLIENT="600/minute",
        LIMIT_PER_CLIENT_AND_SUBJECT="10/second; 5000/day",
        LIMIT_PER_GRANT="1 per 2 hours",
    )

    assert found.rates == {
        Per.CLIENT: (Rate(600, 60),),
        Per.CLIENT_AND_SUBJECT: (Rate(10, 1), Rate(5000, 86_400)),
        Per.GRANT: (Rate(1, 7200),),
    }
    assert settings(LIMIT_PER_GRANT="1/day").rates == {Per.GRANT: (Rate(1, 86_400),)}
    assert settings().rates == {}


def test_a_store_of_several_servers() -> None:
    """Every part is found, and what was escaped is as it was meant."""
    sentinel = StoreUrl.parse("rediss+sentinel://u:p%40%2C@one,[::1]:1/the-one/2?ssl_keyfile=/k")
    cluster = StoreUrl.parse("redis+cluster://:p@one:7000,two")

    assert (sentinel.topology, sentinel.has_tls, sentinel.primary) == ("sentinel", True, "the-one")
    assert sentinel.hosts == (("one", 26379), ("::1", 1))
    assert (sentinel.username, sentinel.password, sentinel.db) == ("u", "p@,", 2)
    assert sentinel.options == {"ssl_keyfile": "/k"}
    assert (cluster.topology, cluster.has_tls) == ("cluster", False)
    assert cluster.hosts == (("one", 7000), ("two", 6379))
    assert (cluster.username, cluster.password) == (None, "p")
    assert "p@" not in repr(sentinel)


@pytest.mark.parametrize("url", ["redis+sentinel://:hunter2@a b/c", "redis+hunter2://", "hunter2"])
def test_a_wrong_url_of_a_store_is_not_repeated(url: str) -> None:
    """It may hold a password."""
    assert "hunter2" not in str(problems(_environment(REDIS_URL=url)))


def _environment_with_file(path: Path) -> dict[str, str]:
    environ = _environment(REDIS_URL_FILE=str(path))
    del environ["DELEGATION_REDIS_URL"]
    return environ


def test_the_redis_url_can_be_in_a_file(tmp_path: Path) -> None:
    """So that a password need not be in the environment."""
    path = tmp_path / "url"
    path.write_text("redis://:password@localhost:6379/0\n")

    found = Settings.from_environment(_environment_with_file(path))

    assert found.redis_url == "redis://:password@localhost:6379/0"


@pytest.mark.parametrize("content", [None, b"\xff", b"", b"http://localhost"])
def test_a_file_without_a_redis_url_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Missing, unreadable, empty and wrong are all mistakes."""
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)

    assert list(problems(_environment_with_file(path))) == ["DELEGATION_REDIS_URL_FILE"]


def test_the_redis_url_is_given_once(tmp_path: Path) -> None:
    """Two of them could differ."""
    path = tmp_path / "url"
    path.write_text("redis://localhost")

    found = problems(_environment(REDIS_URL_FILE=str(path)))

    assert found == {
        "DELEGATION_REDIS_URL_FILE": "is set together with DELEGATION_REDIS_URL: unset one"
    }


def test_no_password_is_shown() -> None:
    """Neither where settings are printed nor where they are refused."""
    secret = "hunter2"

    assert secret not in repr(settings(REDIS_URL=f"redis://:{secret}@localhost"))
    assert secret not in str(problems(_environment(REDIS_URL=f"redis://:{secret}@[")))
    assert secret not in str(problems(_environment(REDIS_URL=f"redis://a?{secret}=1")))


def test_the_variables_of_the_client_half_are_left_alone() -> None:
    """A developer may have both halves in one shell."""
    assert settings(CLIENT_SECRET="", TOKEN_ENDPOINT="x", SCOPE="y") == settings()


def test_the_table_tells_secrets_and_defaults() -> None:
    """The reference page is made from it."""
    table = {setting.variable: setting for setting in SETTINGS}

    assert len(table) == len(SETTINGS)
    assert table["DELEGATION_WORKERS"].default == "2"
    assert [name for name, setting in table.items() if setting.is_secret] == [
        "DELEGATION_REDIS_URL"
    ]
    assert all(setting.meaning for setting in SETTINGS)


@given(
    st.dictionaries(
        st.sampled_from([setting.variable for setting in SETTINGS]) | st.text(max_size=5),
        st.text(st.characters(exclude_characters="\0")),
    )
)
def test_any_environment_is_settings_or_a_list_of_problems(environ: dict[str, str]) -> None:
    """Nothing but `SettingsInvalid` ever comes of an environment."""
    try:
        Settings.from_environment(environ)
    except SettingsInvalid as invalid:
        assert invalid.problems  # noqa: PT017, either outcome is right
