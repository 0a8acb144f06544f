"""The web application: which addresses there are, and what answers at each."""

import time
from urllib.parse import urlsplit

from flask import Flask, Request, Response
from werkzeug.routing import MapAdapter

from delegation.web import answers
from delegation.web.errors import Boundary
from delegation.web.limits import Seconds
from delegation.web.metadata import metadata_of, metadata_path
from delegation.web.server import Server
from delegation.web.service import Service


def create_app(service: Service, *, seconds: Seconds = time.monotonic) -> Flask:
    """The endpoints of *service*, below the path of its issuer; health is at the root.

    *seconds* is the clock of the brake on failed authentications, and of sampled log lines.
    """
    issuer = service.issuer.rstrip("/")
    server = Server(service, uri=f"{issuer}/token", seconds=seconds)

    def token() -> Response:
        response: Response = server.create_token_response()
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

    app = _App("delegation", static_folder=None, template_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # no CORS: browsers have no business here
    app.url_map.merge_slashes = False  # it would answer with a redirect, in HTML
    app.register_error_handler(Exception, Boundary(seconds))
    path = urlsplit(issuer).path
    app.add_url_rule(f"{path}/token", view_func=token, methods=["POST"])
    app.add_url_rule(f"{path}/jwks", view_func=jwks)
    app.add_url_rule(metadata_path(issuer), view_func=authorization_server)
    app.add_url_rule("/livez", view_func=livez)
    app.add_url_rule("/readyz", view_func=readyz)
    return app


class _App(Flask):
    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Route by path and method alone: our address is configured, whatever `Host` says."""
        if request is None:
            return None
        return self.url_map.bind(
            "", path_info=request.environ.get("PATH_INFO", ""), default_method=request.method
        )
