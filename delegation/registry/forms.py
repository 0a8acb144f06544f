"""The forms that the texts of a registry must have, each with the words that say it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import (
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from delegation import ratelimits
from delegation.domain.errors import Cause
from delegation.domain.parties import NAME_LIMIT, is_name
from delegation.domain.resources import is_resource_uri
from delegation.registry.problems import Code

_ACCESS_TOKEN_TYPES = frozenset({"at+jwt"})

RESERVED_TYPES = frozenset(
    {
        "client-authentication+jwt",
        "dpop+jwt",
        "jwt",
        "kb+jwt",
        "logout+jwt",
        "oauth-client-attestation+jwt",
        "oauth-client-attestation-pop+jwt",
        "oauth-id-jag+jwt",
        "secevent+jwt",
        "statuslist+jwt",
        "token-introspection+jwt",
        "txntoken+jwt",
    }
)
"""Media types of JWTs that are no access tokens, whoever sends them (RFC 8725 §3.11)."""


class Fault(ValueError):
    """A value of the right type that will not do; *message* says what to write instead."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The form that a text must have: a pattern, and a test where a pattern cannot say it."""

    should_be: str
    pattern: str = r".*"
    test: Callable[[str], bool] = bool
    code: Code = Code.WRONG_VALUE

    def check(self, text: str) -> str:
        """*text* itself. Raises `Fault` where it has another form."""
        if not re.fullmatch(self.pattern, text, re.ASCII) or not self.test(text):
            raise Fault(self.code, f"must be {self.should_be}")
        return text

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The check, after that of the type."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The pattern, for editors."""
        return handler(schema) | {"pattern": f"^(?:{self.pattern})$"}


def _is_issuer(text: str) -> bool:
    return is_name(text) and is_resource_uri(text) and "?" not in text


def _is_target_name(text: str) -> bool:
    is_web = text.lower().startswith(("http:", "https:"))
    return is_resource_uri(text) if is_web else is_name(text)


def _is_own_type(text: str) -> bool:
    return text not in RESERVED_TYPES


def _is_assertion_type(text: str) -> bool:
    return text == "jwt" or text not in RESERVED_TYPES | _ACCESS_TOKEN_TYPES


_VISIBLE = r"[\x21-\x7E]"
_SCOPE_TOKEN = r"[\x21\x23-\x5B\x5D-\x7E]+"
_WEB = "an https URI without user or fragment (http only on loopback)"

Issuer = Annotated[
    str, Form(should_be=f"{_WEB}, and without query", pattern=r"https?://[^?#]+", test=_is_issuer)
]
Uri = Annotated[str, Form(should_be=_WEB, pattern=r"https?://[^#]+", test=is_resource_uri)]
Alias = Annotated[
    str,
    Form(
        should_be="1 to 32 lower-case letters, digits and hyphens, the first no hyphen",
        pattern=r"[a-z0-9][a-z0-9-]{0,31}",
    ),
]
MediaType = Annotated[
    str,
    Form(
        should_be="a type that is for access tokens alone; for `JWT` write `legacy_types: true`",
        test=_is_own_type,
        code=Code.RESERVED_TYPE,
    ),
    Form(
        should_be="a media type in lower case, without `application/`",
        pattern=r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}",
    ),
]
AssertionType = Annotated[
    str,
    Form(
        should_be="a type that no other kind of token has",
        test=_is_assertion_type,
        code=Code.RESERVED_TYPE,
    ),
    Form(
        should_be="a media type in lower case, without `application/`",
        pattern=r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}",
    ),
]
ClaimName = Annotated[
    str, Form(should_be="the name of a claim: visible ASCII", pattern=_VISIBLE + r"{1,255}")
]
ClientId = Annotated[
    str,
    Form(
        should_be="1 to 255 visible ASCII characters, and no `|`",
        pattern=r"[\x21-\x7B\x7D\x7E]{1,255}",
    ),
]
GrantId = Annotated[
    str,
    Form(
        should_be="1 to 128 of letters, digits, `.`, `_`, `-` and `/`, the first a letter or digit",
        pattern=r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}",
    ),
]
TeamId = GrantId
RateLimit = Annotated[
    str,
    Form(
        should_be=ratelimits.SHOULD_BE,
        pattern=ratelimits.PATTERN,
        test=ratelimits.is_rates,
    ),
]
TargetName = Annotated[
    str,
    Form(
        should_be=f"{_WEB}, or another name of visible ASCII",
        pattern=_VISIBLE + r"{1,2048}",
        test=_is_target_name,
    ),
]
SecretDigest = Annotated[
    str,
    Form(
        should_be="`sha256:` and 64 lower-case hex digits; never the secret itself",
        pattern=r"sha256:[0-9a-f]{64}",
    ),
]
ScopeToken = Annotated[
    str, Form(should_be='one scope: visible ASCII without `"` and `\\`', pattern=_SCOPE_TOKEN)
]
Name = Annotated[
    str,
    Form(
        should_be=f"1 to {NAME_LIMIT} printable characters",
        pattern=r"[^\x00-\x1F\x7F]{1,255}",
        test=is_name,
    ),
]
SubjectName = Annotated[
    str,
    Form(
        should_be="`<alias>|<sub>`: the alias of a trusted issuer, and the `sub` of its token",
        pattern=r"[a-z0-9][a-z0-9-]{0,31}\|[^\x00-\x1F\x7F]{1,255}",
        test=lambda text: is_name(text.partition("|")[2]),
    ),
]
CauseName = Annotated[
    str,
    Form(
        should_be="a cause of refusals, such as `no_grant` or `denied`",
        pattern="|".join(cause.value for cause in Cause),
    ),
]
ServiceValue = Annotated[
    Name,
    Form(
        should_be="text without braces, but for `{client}`",
        pattern=r"(?:[^\x00-\x1F\x7F{}]|\{client\}){1,255}",
    ),
]
Scopes = Annotated[list[ScopeToken], Field(min_length=1)]
Algorithm = Literal[
    "ES256", "ES384", "ES512", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"
]
KeyId = Annotated[
    str,
    Form(
        should_be="1 to 128 of letters, digits and `._~+/=:@#-`",
        pattern=r"[A-Za-z0-9._~+/=:@#-]{1,128}",
    ),
]
Curve = Annotated[
    str,
    Form(should_be="P-256, P-384, P-521 or Ed25519", pattern="P-256|P-384|P-521|Ed25519"),
]
KeyAlgorithm = Annotated[
    str,
    Form(
        should_be="an asymmetric algorithm such as ES256",
        pattern="|".join(get_args(Algorithm)),
    ),
]
KeyNumber = Annotated[
    str, Form(should_be="base64url without padding", pattern=r"[A-Za-z0-9_-]{1,2048}")
]


TAG = "\0:"
"""Begins the name of an alternative, which stands in the place of an error, but in no file."""

_WORD, _LIST, _MAPPING = f"{TAG}word", f"{TAG}list", f"{TAG}mapping"


def _any_or_list(value: object) -> str:
    return _WORD if isinstance(value, str) else _LIST


def _any_or_list_or_mapping(value: object) -> str:
    return _any_or_list(value) if isinstance(value, str | list) else _MAPPING


AnyAgent = Annotated[
    str,
    Form(should_be="a list of agents, or `any`", pattern="any"),
    WithJsonSchema({"const": "any", "type": "string"}),
]
AgentNames = Annotated[
    Annotated[AnyAgent, Tag(_WORD)] | Annotated[list[Name], Field(min_length=1), Tag(_LIST)],
    Discriminator(_any_or_list),
]
AnyScope = Annotated[
    str,
    Form(should_be="a mapping of scopes; of a deny a list of them, or `any`", pattern="any"),
    WithJsonSchema({"const": "any", "type": "string"}),
]
GrantScopes = Annotated[
    Annotated[dict[ScopeToken, Scopes], Field(min_length=1), Tag(_MAPPING)]
    | Annotated[Scopes, Tag(_LIST)]
    | Annotated[AnyScope, Tag(_WORD)],
    Discriminator(_any_or_list_or_mapping),
]


def _is_expiry(text: str) -> bool:
    return text == "never" or _is_moment(text)


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


_DATE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_ZONED = rf"{_DATE_TIME}(?:Z|[+-]\d\d:\d\d)"
_HAS_ZONE = Form(
    should_be="with a time zone: add `Z` for UTC, or an offset such as +01:00",
    pattern=rf"(?!{_DATE_TIME}$).*",
    code=Code.NO_TIME_ZONE,
)
MOMENT = "a date and time such as 2027-01-31T00:00:00Z"
EXPIRY = f"`never`, or {MOMENT}"
Moment = Annotated[str, _HAS_ZONE, Form(should_be=MOMENT, pattern=_ZONED, test=_is_moment)]
Expiry = Annotated[
    str, _HAS_ZONE, Form(should_be=EXPIRY, pattern=rf"never|{_ZONED}", test=_is_expiry)
]
