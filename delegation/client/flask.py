"""Protects a Flask app: every request brings a token of the service, or is not served."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from flask import Flask, Response, abort, current_app, g, jsonify, request

from delegation.client.bearer import FORM, MalformedRequest, NotServed
from delegation.client.resource_server import ResourceServer, several
from delegation.client.verify import AccessToken

_NAME = "delegation"

View = Callable[..., Any]


def protect(app: Flask, api: ResourceServer, *, public: Collection[str] = ()) -> None:
    """Let every request to *app* bring a token that *api* accepts; it is then `flask.g.token`.

    The *public* paths, exact ones, are served to everybody, and so are the metadata of the API
    (RFC 9728). What comes with a token is not yet allowed: `needs` says which scope a view takes.
    """
    app.extensions[_NAME] = api
    open_to_all = {*several("public", public), api.metadata_path}

    @app.before_request
    def authenticate() -> None:
        # An app context that somebody pushed outlives a request, and so would what stands in it.
        g.pop("token", None)
        if request.path not in open_to_all:
            with _answering(api):
                g.token = _token(api)

    @app.get(api.metadata_path)
    def oauth_protected_resource() -> Response:
        return jsonify(api.metadata)


def needs(*scope: str) -> Callable[[View], View]:
    """Serve a view of a protected app only where the token has all of *scope*."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(*args: Any, **kwargs: Any) -> Any:
            api: ResourceServer = current_app.extensions[_NAME]
            with _answering(api):
                api.must_allow(g.token, scope)
            return current_app.ensure_sync(view)(*args, **kwargs)

        return checked

    return decorate


def _token(api: ResourceServer) -> AccessToken:
    header = request.headers.get_all("Authorization")
    token = api.authenticate(header, query=request.query_string.decode("latin-1"))
    # Last, so that nobody's body is read before it is known who asks.
    if request.mimetype == FORM and "access_token" in request.form:
        raise MalformedRequest("the request brings tokens in two ways")
    return token


@contextmanager
def _answering(api: ResourceServer) -> Iterator[None]:
    """Answer as *api* says, where the request is not served."""
    try:
        yield
    except NotServed as refused:
        answer = api.answer(refused)
        response = jsonify(answer.body)
        response.status_code = answer.status
        response.headers.update(answer.headers)
        abort(response)
