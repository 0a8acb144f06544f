"""A sample API: it takes tokens that are for itself, from the service alone, and nothing else."""

from flask import Flask, g, jsonify
from flask.typing import ResponseReturnValue

from delegation.client.flask import needs, protect
from delegation.client.resource_server import ResourceServer


def sample_api(*, issuer: str, jwks_uri: str, audience: str, scope: str) -> Flask:
    """An API with one endpoint, `/`, which answers who acts for whom to a token with *scope*.

    Anything else gets 401 or 403 as RFC 6750 §3.1 says.
    """
    app = Flask("sample_api", static_folder=None)
    protect(app, ResourceServer(issuer=issuer, resource=audience, jwks_uri=jwks_uri))

    @app.get("/")
    @needs(scope)
    def answer() -> ResponseReturnValue:
        return jsonify(subject=g.token.claims["sub"], actor=g.token.current_actor.subject)

    return app
