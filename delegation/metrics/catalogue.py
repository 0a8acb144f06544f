"""Every metric of service and sealer: its name, what it says, and what tells its series apart.

No label ever holds a subject, an id of an exchange, or anything that a request made up.
"""

from dataclasses import dataclass
from typing import Literal

OTHER = "other"
"""What stands for all that the registry does not name."""

NONE = "none"
"""What stands for what was not said."""

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""The upper bounds of what is measured in seconds."""

Mode = Literal["livesum", "livemin", "livemax", "livemostrecent"]


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric; *mode* says what is made of a gauge that several workers have set."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    mode: Mode = "livesum"

    @property
    def family(self) -> str:
        """Its name without the ending that counters have."""
        return self.name.removesuffix("_total")


EXCHANGES = Metric(
    "delegation_exchanges_total",
    "counter",
    "Exchanges that authenticated clients asked for. `outcome` is `issued`, `refused`, "
    "`unavailable` or `failed`; `reason` is the cause of a refusal, or the problem",
    ("outcome", "reason", "client", "resource"),
)
STAGES = Metric(
    "delegation_exchange_stage_duration_seconds",
    "histogram",
    "How long each stage of an exchange took that was completed: `verify`, `decide`, `record`, "
    "`sign`",
    ("stage",),
)
REQUESTS = Metric(
    "delegation_request_duration_seconds",
    "histogram",
    "How long requests took within the worker, by endpoint and status",
    ("endpoint", "status"),
)
AUTHENTICATION_FAILURES = Metric(
    "delegation_authentication_failures_total",
    "counter",
    "Failed authentications of clients. `cause` is `credentials`, or what was wrong with an "
    "assertion",
    ("client", "cause"),
)
THROTTLED = Metric(
    "delegation_throttled_requests_total",
    "counter",
    "Requests answered 429: too many failed authentications before them",
)
MALFORMED = Metric(
    "delegation_malformed_requests_total",
    "counter",
    "Requests refused before anybody was authenticated; with `not_http`, before they were HTTP",
    ("cause",),
)
ALARMS = Metric(
    "delegation_alarms_sounded_total",
    "counter",
    "Alarms that these workers sounded. The admin API counts those of the whole store",
    ("cause",),
)
SUPPRESSED_EVENTS = Metric(
    "delegation_suppressed_events_total",
    "counter",
    "Refusals that were only counted: their client had more in a minute than are recorded",
)
SUPPRESSED_LINES = Metric(
    "delegation_suppressed_log_lines_total",
    "counter",
    "Lines of the log that were only counted",
)
KEY_FETCHES = Metric(
    "delegation_key_fetches_total",
    "counter",
    "Fetches of others' key sets. `owner` is the alias of an issuer, or a client",
    ("owner", "outcome"),
)
KEYS_FETCHED = Metric(
    "delegation_keys_fetched_timestamp_seconds",
    "gauge",
    "When any worker last fetched the keys of that owner",
    ("owner",),
    "livemax",
)
ROUND_TRIPS = Metric(
    "delegation_ledger_round_trip_duration_seconds",
    "histogram",
    "How long the store took to answer one script",
)
LEDGER_FAILURES = Metric(
    "delegation_ledger_failures_total",
    "counter",
    "Questions to the store that it did not answer, or answered with an error",
    ("problem",),
)
RELOADS = Metric(
    "delegation_reloads_total",
    "counter",
    "Readings of the registry's files and of our keys, `loaded` or `failed`",
    ("what", "outcome"),
)
WORKERS = Metric("delegation_workers", "gauge", "Workers that run")
READY = Metric("delegation_workers_ready", "gauge", "Workers that are ready")
CONFIGURED = Metric("delegation_workers_configured", "gauge", "Workers that there should be")
PROBLEMS = Metric(
    "delegation_problems",
    "gauge",
    "Workers that are not ready for that reason, as `/readyz` names it",
    ("problem",),
)
REGISTRY = Metric(
    "delegation_registry_info", "gauge", "Workers that run that revision", ("revision",)
)
REGISTRY_LOADED = Metric(
    "delegation_registry_loaded_timestamp_seconds",
    "gauge",
    "When the registry in force was read, by the worker that read it first",
    (),
    "livemin",
)
SIGNING_KEYS = Metric(
    "delegation_signing_keys",
    "gauge",
    "Our keys by status; the fewest that any worker knows",
    ("status",),
    "livemin",
)
SIGNING_KEY_SINCE = Metric(
    "delegation_signing_key_since_timestamp_seconds",
    "gauge",
    "Since when the oldest of our keys has that status; 0 where nobody wrote it down, or none has",
    ("status",),
    "livemin",
)
UNDRAINED = Metric(
    "delegation_undrained_events",
    "gauge",
    "Events that wait to be sealed, in the fullest partition",
    ("stream",),
    "livemostrecent",
)
UNDRAINED_LIMIT = Metric(
    "delegation_undrained_events_limit",
    "gauge",
    "How many a partition keeps: with as many `events`, nothing is issued",
    (),
    "livemin",
)
LOCK_CHANGES = Metric(
    "delegation_lock_changes_seen",
    "gauge",
    "Changes of locks that a worker has seen, over all partitions: it rises when something is "
    "stopped or lifted",
    (),
    "livemax",
)
CLOCK = Metric(
    "delegation_clock_difference_seconds",
    "gauge",
    "How far a worker's clock and the store's are apart; beyond 2, nothing is issued",
    (),
    "livemax",
)
BUILD = Metric("delegation_build_info", "gauge", "What runs", ("version", "python"))

SEALED = Metric(
    "delegation_audit_sealed_timestamp_seconds",
    "gauge",
    "When the sealer last had sealed all that stood in the store; before that, when it began",
)
RECORDS = Metric("delegation_audit_records_total", "counter", "Records that it has sealed")
SIZE = Metric(
    "delegation_audit_size", "gauge", "Records in the whole trail, by its last checkpoint"
)
LAG = Metric(
    "delegation_audit_lag_seconds",
    "gauge",
    "How old the oldest event of the last segment was when it was sealed",
)
MISSING = Metric(
    "delegation_audit_missing_total",
    "counter",
    "Gaps, and events that cannot be read, that it has found",
)
SEALING_FAILURES = Metric(
    "delegation_audit_failures_total",
    "counter",
    "Times that it could not seal: the store or the disk was out of reach",
)

CATALOGUE = (
    EXCHANGES,
    STAGES,
    REQUESTS,
    AUTHENTICATION_FAILURES,
    THROTTLED,
    MALFORMED,
    ALARMS,
    SUPPRESSED_EVENTS,
    SUPPRESSED_LINES,
    KEY_FETCHES,
    KEYS_FETCHED,
    ROUND_TRIPS,
    LEDGER_FAILURES,
    RELOADS,
    WORKERS,
    READY,
    CONFIGURED,
    PROBLEMS,
    REGISTRY,
    REGISTRY_LOADED,
    SIGNING_KEYS,
    SIGNING_KEY_SINCE,
    UNDRAINED,
    UNDRAINED_LIMIT,
    LOCK_CHANGES,
    CLOCK,
    BUILD,
)
"""All of the token service, in the order in which people ask."""

SEALERS = (SEALED, RECORDS, SIZE, LAG, MISSING, SEALING_FAILURES)
"""Those of the sealer."""
