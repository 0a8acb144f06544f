"""What can be wrong with the files of a registry: each problem, its place, and its remedy."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """The closed set of what can be wrong, for tools and tests. People read the message."""

    UNREADABLE = "unreadable"
    NOT_YAML = "not_yaml"
    SEVERAL_DOCUMENTS = "several_documents"
    ALIAS = "alias"
    TAG = "tag"
    TOO_DEEP = "too_deep"
    KEY_NOT_TEXT = "key_not_text"
    DUPLICATE_KEY = "duplicate_key"
    AMBIGUOUS_VALUE = "ambiguous_value"
    EMPTY_VALUE = "empty_value"

    UNKNOWN_KEY = "unknown_key"
    MISSING_KEY = "missing_key"
    WRONG_TYPE = "wrong_type"
    WRONG_VALUE = "wrong_value"
    NO_TIME_ZONE = "no_time_zone"
    RESERVED_CLAIM = "reserved_claim"
    RESERVED_TYPE = "reserved_type"
    NO_SUBJECTS = "no_subjects"
    EMPTY_TEAM = "empty_team"
    PRIVATE_KEY = "private_key"
    WRONG_KEY = "wrong_key"
    CONTRADICTION = "contradiction"

    DUPLICATE_ID = "duplicate_id"
    SHARED_AUDIENCE = "shared_audience"
    SHARED_SECRET = "shared_secret"
    SHARED_KEY = "shared_key"
    SHARED_NAME = "shared_name"
    OWN_ISSUER = "own_issuer"
    ADMIN_AUDIENCE = "admin_audience"
    SELF_TARGET = "self_target"
    UNKNOWN_REFERENCE = "unknown_reference"
    UNKNOWN_SCOPE = "unknown_scope"
    UNKNOWN_CLAIM = "unknown_claim"
    NOT_ADMITTED = "not_admitted"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong. *file* is relative to the registry; *line* counts from one."""

    file: str
    line: int
    code: Code
    message: str

    def __str__(self) -> str:
        """As compilers write it, for editors and CI: one line, whatever the files have in them."""
        line = f"{self.file}:{self.line}: {self.message} [{self.code}]"
        # What a file says is not for a terminal to act upon, or to look like another line.
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


class RegistryInvalid(Exception):
    """The registry cannot be used. *problems* are all that was found, by file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))
