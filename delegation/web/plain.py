"""Flask without what it does unasked: nothing is served, guessed, redirected or hooked into."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import flask
from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import MapAdapter, Rule

Finish = Callable[[Request, Response, float], Response]
"""Given a request, its answer, and for how many seconds that was made, gives it as it is sent."""


class PlainRequest(Request):
    """A request that opens nothing which would have to be closed."""

    def close(self) -> None:
        """There are no files."""


class PlainApp(Flask):
    """An application without files, templates, sessions, redirects, and answers to OPTIONS.

    Views answer with a `Response` and do not wait for one another: no signal is sent, and no
    function runs before or after them but *finish*. Flask's own way does as much for each request
    as all of ours do.
    """

    request_class = PlainRequest

    def __init__(self, name: str, *, finish: Finish | None = None) -> None:
        super().__init__(name, static_folder=None, template_folder=None)
        self._found: dict[tuple[str, str], _Found] = {}
        self._finish = finish or (lambda _, response, __: response)
        self.session_interface = _NoSessions()
        self.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # no CORS: browsers have no business here
        self.url_map.merge_slashes = False  # it would answer with a redirect, in HTML

    def add_url_rule(self, rule: str, *args: Any, **options: Any) -> None:
        """As Flask has it; what has no variable part is found without looking for one."""
        super().add_url_rule(rule, *args, **options)
        for added in self.url_map.iter_rules():
            if not added.arguments:
                for method in added.methods or ():
                    self._found[added.rule, method] = _Found(added)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Route by path and method alone: our address is configured, whatever `Host` says."""
        if request is None:
            return None
        path = request.environ.get("PATH_INFO", "")
        found: Any = self._found.get((path, request.method))
        return found or self.url_map.bind("", path_info=path, default_method=request.method)

    def full_dispatch_request(self) -> Response:
        """The answer of the view, or of the boundary."""
        began = perf_counter()
        http: Any = flask.request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        try:
            if http.routing_exception is not None:
                raise http.routing_exception  # noqa: TRY301, as any that the view raises
            answer: Any = self.view_functions[http.url_rule.endpoint](**http.view_args)
        except Exception as error:  # noqa: BLE001, what to do about each is the handlers' business
            answer = self.handle_user_exception(error)
        response: Response = answer
        return self._finish(http, response, perf_counter() - began)

    def do_teardown_request(self, *_args: Any) -> None:
        """Nothing is put up that would have to be torn down."""

    def do_teardown_appcontext(self, *_args: Any) -> None:
        """Likewise."""


class _Found:
    """What Flask asks of an adapter, where the answer is known."""

    def __init__(self, rule: Rule) -> None:
        self._match: tuple[Rule, dict[str, Any]] = rule, {}

    def match(self, *, return_rule: bool) -> tuple[Rule, dict[str, Any]]:  # noqa: ARG002, it is true
        """The rule, and that nothing in the path varies."""
        return self._match


class _NoSessions(SessionInterface):
    """Who asks has shown who they are."""

    _none = NullSession()

    def open_session(self, _app: Flask, _request: Request) -> NullSession:
        return self._none
