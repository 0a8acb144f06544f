"""The forms of what requests and answers of the admin API hold; its schemas are made of these."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from delegation.domain.parties import is_name

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
"""The last millisecond that a `datetime` can tell in UTC; with an offset one can be written that is
later, and such an end could be stored and never shown.
"""


def _tidy(schema: dict[str, Any]) -> None:
    schema.pop("title", None)
    schema["description"] = " ".join(schema.get("description", "").split())
    for described in schema.get("properties", {}).values():
        described.pop("title", None)


class Strict(BaseModel):
    """What all have in common: nothing is guessed, converted or ignored."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra=_tidy,
    )


def _name(value: str) -> str:
    if not is_name(value):
        raise ValueError("no name")
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("not printable")
    return value


def _time(value: str) -> str:
    instant(value)
    return value


def instant(value: str) -> int:
    """A date and time of RFC 3339 in milliseconds. Raises `ValueError` where there is none such."""
    found = (datetime.fromisoformat(value) - _EPOCH) // timedelta(milliseconds=1)
    if found > _LAST:
        raise ValueError("later than the calendar goes")
    return found


def timestamp(milliseconds: int) -> str:
    """The same the other way, in UTC."""
    time = _EPOCH + timedelta(milliseconds=milliseconds)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def _whole(value: object) -> object:
    """To JSON, 60.0 is a whole number, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _truth(value: object) -> object:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


_DATE_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)
_NO_CONTROLS = r"^[^\x00-\x1F\x7F]+$"

Name = Annotated[
    str, Field(min_length=1, max_length=255, pattern=_NO_CONTROLS), AfterValidator(_name)
]
Text = Annotated[
    str,
    Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x20\x7F][^\x00-\x1F\x7F]*$"),
    AfterValidator(_printable),
]
Uri = Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^[\x21-\x7E]+$")]
Id = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})-[A-Za-z0-9_-]{22}$")]
Time = Annotated[
    str,
    Field(
        pattern=_DATE_TIME,
        json_schema_extra={"format": "date-time"},
    ),
    AfterValidator(_time),
]
Cursor = Annotated[str, Field(pattern=r"^[0-9A-Za-z._-]{1,255}$", description="Where to go on.")]
Limit = Annotated[
    int,
    Field(ge=1, le=1000, description="How many at most; sometimes there are a few more."),
    BeforeValidator(_number),
]
Flag = Annotated[bool, BeforeValidator(_truth)]
Seconds = Annotated[int, Field(ge=1, le=366 * 24 * 3600), BeforeValidator(_whole)]
