"""The scripts: one round trip each, all reads and checks before the first write.

Each begins with `#!lua`: without that header a script goes on half-way through out-of-memory, and
reads from a stale primary. None is `no-writes`, for the same reason. On a full store only that may
run by which it is stopped, looked into by administrators, or emptied.
"""

from dataclasses import dataclass, field
from hashlib import sha1
from importlib.resources import files

_SOURCES = files(__package__) / "scripts"


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the digest that the server knows it by."""

    source: str = field(repr=False)
    sha: str


def script(*parts: str, flags: str = "") -> Script:
    """Compose a script from the named *parts*, in order, with the flags of its header."""
    header = f"#!lua flags={flags}" if flags else "#!lua"
    texts = (_SOURCES.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in parts)
    source = "\n".join((header, *texts))
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())


INIT = script("init")
OPEN = script("open")
PROBE = script("layout", "probe")
RECORD = script("layout", "locks", "lineage", "record")
VOID = script("layout", "locks", "lineage", "void")
DESCRIBE = script("layout", "locks", "lineage", "describe")
CLAIM = script("layout", "claim")
REFUSE = script("layout", "suppression", "refuse")
ALARMS = script("layout", "alarms")
SETTLE = script("layout", "suppression", "settle", flags="allow-oom")
LOCK = script("layout", "locks", "retention", "lock", flags="allow-oom")
LIFT = script("layout", "locks", "retention", "lift", flags="allow-oom")
BOOK = script("layout", "locks", "retention", "book", flags="allow-oom")
LIVE = script("layout", "live", flags="allow-oom")
INSPECT = script("layout", "locks", "lineage", "inspect", flags="allow-oom")
TRIM = script("layout", "trim", flags="allow-oom")
PRESENCE = script("layout", "presence")
TAKE = script("layout", "rate", "take")
USAGE = script("layout", "rate", "usage", flags="allow-oom")
