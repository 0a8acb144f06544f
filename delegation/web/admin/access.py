"""Who administers, by a bearer token (RFC 6750), and where to get one (RFC 9728)."""

import logging
import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from flask import Request

from delegation.domain.administration import Administrator, AdministratorRejected, Capability
from delegation.domain.errors import InvalidRequest
from delegation.domain.tokens import format_scope
from delegation.web.admin.problems import Asked, Kind
from delegation.web.admin.service import AdminService
from delegation.web.form import Form, read_body
from delegation.web.limits import SampledLog, Seconds
from delegation.web.origin import origin_of

Access = Callable[[Request, Iterable[Capability]], Administrator]
"""Says who asks. Raises `Asked` where nobody does that may."""

_WELL_KNOWN = "/.well-known/oauth-protected-resource"

_BEARER = re.compile(r"Bearer +([A-Za-z0-9\-._~+/]+=*)", re.ASCII | re.IGNORECASE)


def metadata_path(audience: str) -> str:
    """Where the metadata is: between host and path of the audience (RFC 9728 §3.1)."""
    return _WELL_KNOWN + urlsplit(audience).path.rstrip("/")


def metadata(service: AdminService) -> dict[str, object]:
    """What the admin API says of itself as a protected resource (RFC 9728 §2)."""
    document: dict[str, object] = {
        "resource": service.audience,
        "resource_name": "delegation: admin API",
        "scopes_supported": sorted(Capability),
        "bearer_methods_supported": ["header"],
    }
    issuers = sorted(service.registry().admin_issuers)
    return document | ({"authorization_servers": issuers} if issuers else {})


class Bearer:
    """Lets in whoever brings an access token that *service* accepts, with the scope it takes."""

    def __init__(self, service: AdminService, *, seconds: Seconds) -> None:
        self._authenticate = service.authenticate
        parts = urlsplit(service.audience)
        where = f"{parts.scheme}://{parts.netloc}{metadata_path(service.audience)}"
        self._challenge = f'Bearer realm="delegation-admin", resource_metadata="{where}"'
        self._log = SampledLog(seconds, level=logging.WARNING)

    def __call__(self, http: Request, needed: Iterable[Capability]) -> Administrator:
        """Who asks. Raises `Asked`, or `Unavailable`."""
        needed = frozenset(needed)
        token = self._token(http, needed)
        try:
            administrator = self._authenticate(token)
        except AdministratorRejected as rejected:
            self._log(
                "administrator_rejected",
                address=origin_of(http.environ).address,
                cause=rejected.cause.value,
                detail=rejected.detail,
            )
            raise self._asked(Kind.INVALID_TOKEN, needed, error="invalid_token") from rejected
        if not needed <= administrator.scope:
            raise self._asked(Kind.SCOPE, needed, error="insufficient_scope")
        return administrator

    def _token(self, http: Request, needed: frozenset[Capability]) -> str:
        """The token in the header, and from nowhere else (RFC 6750 §2.1, RFC 9700 §4.3.2)."""
        header = http.environ.get("HTTP_AUTHORIZATION", "")
        if header.partition(" ")[0].lower() != "bearer":
            raise self._asked(Kind.NO_TOKEN, needed)
        found = _BEARER.fullmatch(header)
        if found is None or "access_token" in http.args or _is_in_form(http):
            raise self._asked(Kind.TWO_METHODS, needed, error="invalid_request")
        return found[1]

    def _asked(self, kind: Kind, needed: frozenset[Capability], *, error: str = "") -> Asked:
        """RFC 6750 §3: who brought nothing is told no error, only what it takes."""
        said = f', error="{error}"' if error else ""
        scope = f', scope="{format_scope(needed)}"' if needed else ""
        return Asked(kind, ("WWW-Authenticate", f"{self._challenge}{said}{scope}"))


def _is_in_form(http: Request) -> bool:
    """The other way in which a token could come (RFC 6750 §2.2); also where nobody can tell."""
    if http.mimetype != "application/x-www-form-urlencoded":
        return False
    try:
        return Form.parse(read_body(http)).get("access_token") is not None
    except InvalidRequest:
        return True


class Local:
    """Lets in whoever runs this process, and nobody else can ask."""

    def __init__(self, administrator: Administrator) -> None:
        self._administrator = administrator

    def __call__(self, _http: Request, _needed: Iterable[Capability]) -> Administrator:
        """Whoever runs this process."""
        return self._administrator
