"""The web application: which addresses there are, and what answers at each."""

import time
from urllib.parse import urlsplit

from flask import Flask, Request, Response

from delegation.web import answers
from delegation.web.errors import Boundary
from delegation.web.limits import Seconds
from delegation.web.metadata import metadata_of, metadata_path
from delegation.web.plain import PlainApp
from delegation.web.server import Server
from delegation.web.service import Service


def create_app(service: Service, *, seconds: Seconds = time.monotonic) -> Flask:
    """The endpoints of *service*, below the path of its issuer; health is at the root.

    *seconds* is the clock of the brake on failed authentications, and of sampled log lines.
    """
    issuer = service.issuer.rstrip("/")
    server = Server(service, uri=issuer, seconds=seconds)

    def token(http: Request) -> Response:
        response: Response = server.create_token_response(http)
        return response

    def introspect(http: Request) -> Response:
        response: Response = server.create_endpoint_response("introspection", http)
        return response

    def revoke(http: Request) -> Response:
        response: Response = server.create_endpoint_response("revocation", http)
        return response

    def jwks(_http: Request) -> Response:
        return answers.public(service.jwks(), "application/jwk-set+json")  # RFC 7517 §8.5.2

    def authorization_server(_http: Request) -> Response:
        return answers.public(metadata_of(service), "application/json")

    def livez(_http: Request) -> Response:
        return answers.private(200, {"status": "alive"})

    def readyz(_http: Request) -> Response:
        problems = list(service.problems())
        if problems:
            return answers.private(503, {"status": "not ready", "problems": problems})
        return answers.private(200, {"status": "ready"})

    def answered(view: str, status: int, took: float) -> None:
        # What there is no view for is one thing: strangers make up addresses.
        service.meter.requested(view or "none", status, took)

    app = PlainApp("delegation", boundary=Boundary(seconds, service.meter), answered=answered)
    path = urlsplit(issuer).path
    app.add_url_rule(f"{path}/token", view_func=token, methods=["POST"])
    app.add_url_rule(f"{path}/introspect", view_func=introspect, methods=["POST"])
    app.add_url_rule(f"{path}/revoke", view_func=revoke, methods=["POST"])
    app.add_url_rule(f"{path}/jwks", view_func=jwks)
    app.add_url_rule(metadata_path(issuer), view_func=authorization_server)
    app.add_url_rule("/livez", view_func=livez)
    app.add_url_rule("/readyz", view_func=readyz)
    return app
