"""The web application: which addresses there are, and what answers at each."""

import time
from urllib.parse import urlsplit

from flask import Flask, Request, Response

from delegation.web import answers
from delegation.web.errors import Boundary
from delegation.web.limits import Seconds
from delegation.web.metadata import metadata_of, metadata_path
from delegation.web.named import answer_named
from delegation.web.plain import PlainApp
from delegation.web.server import Server
from delegation.web.service import Service


def create_app(service: Service, *, seconds: Seconds = time.monotonic) -> Flask:
    """The endpoints of *service*, below the path of its issuer; health is at the root.

    *seconds* is the clock of the brake on failed authentications, and of sampled log lines.
    """
    issuer = service.issuer.rstrip("/")
    server = Server(service, uri=issuer, seconds=seconds)

    def token() -> Response:
        response: Response = server.create_token_response()
        return response

    def introspect() -> Response:
        response: Response = server.create_endpoint_response("introspection")
        return response

    def revoke() -> Response:
        response: Response = server.create_endpoint_response("revocation")
        return response

    def jwks() -> Response:
        return answers.public(service.jwks(), "application/jwk-set+json")  # RFC 7517 §8.5.2

    def authorization_server() -> Response:
        return answers.public(metadata_of(service), "application/json")

    def livez() -> Response:
        return answers.private(200, {"status": "alive"})

    def readyz() -> Response:
        problems = list(service.problems())
        if problems:
            return answers.private(503, {"status": "not ready", "problems": problems})
        return answers.private(200, {"status": "ready"})

    def finish(http: Request, response: Response, seconds: float) -> Response:
        # What there is no view for is one thing: strangers make up addresses.
        endpoint = http.endpoint or "none"
        service.meter.requested(endpoint, response.status_code, seconds)
        return answer_named(http, response)

    app = PlainApp("delegation", finish=finish)
    app.register_error_handler(Exception, Boundary(seconds, service.meter))
    path = urlsplit(issuer).path
    app.add_url_rule(f"{path}/token", view_func=token, methods=["POST"])
    app.add_url_rule(f"{path}/introspect", view_func=introspect, methods=["POST"])
    app.add_url_rule(f"{path}/revoke", view_func=revoke, methods=["POST"])
    app.add_url_rule(f"{path}/jwks", view_func=jwks)
    app.add_url_rule(metadata_path(issuer), view_func=authorization_server)
    app.add_url_rule("/livez", view_func=livez)
    app.add_url_rule("/readyz", view_func=readyz)
    return app
