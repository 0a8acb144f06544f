"""Flask without what it does unasked: nothing is served, guessed, redirected, hooked into, or put
where everybody finds it.
"""

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any

from flask import Flask, Request, Response
from werkzeug.routing import Rule

from delegation.web.named import SERVED, answer_named

Answered = Callable[[str, int, float], object]
"""Told of each answer: its view, or nothing where there is none; its status; and for how many
seconds it was made.
"""


class PlainApp(Flask):
    """An application without files, templates, sessions, redirects, and answers to OPTIONS.

    A view is given its `Request`, and what varies in its path; it answers with a `Response`.
    Whatever it raises is the *boundary*'s to answer. No signal is sent, no function runs before or
    after it, and there is no context: `flask.request` is not set. Flask's own way through all that
    takes a tenth of what an exchange takes.
    """

    def __init__(
        self,
        name: str,
        *,
        boundary: Callable[[Exception], Response],
        answered: Answered = lambda *_: None,
    ) -> None:
        super().__init__(name, static_folder=None, template_folder=None)
        self._boundary = boundary
        self._answered = answered
        self._found: dict[tuple[str, str], Rule] = {}
        self.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # no CORS: browsers have no business here
        self.url_map.merge_slashes = False  # it would answer with a redirect, in HTML

    def add_url_rule(self, rule: str, *args: Any, **options: Any) -> None:
        """As Flask has it; what has no variable part is found without looking for one."""
        super().add_url_rule(rule, *args, **options)
        for added in self.url_map.iter_rules():
            if not added.arguments:
                self._found.update({(added.rule, method): added for method in added.methods or ()})

    def wsgi_app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The answer of the view, or of the boundary."""
        began = perf_counter()
        http = Request(environ)
        before = SERVED.set(environ)
        try:
            response = self._answer(http)
            self._answered(http.endpoint or "", response.status_code, perf_counter() - began)
        finally:
            SERVED.reset(before)
        return answer_named(http, response)(environ, start_response)

    def _answer(self, http: Request) -> Response:
        try:
            http.url_rule, values = self._view(http)
            answer: Any = self.view_functions[http.url_rule.endpoint](http, **values)
        except Exception as error:  # noqa: BLE001, what to do about each is the boundary's business
            answer = self._boundary(error)
        response: Response = answer
        return response

    def _view(self, http: Request) -> tuple[Rule, Mapping[str, Any]]:
        """By path and method alone: our address is configured, whatever `Host` says."""
        path = http.environ.get("PATH_INFO", "")
        found = self._found.get((path, http.method))
        if found is not None:
            return found, {}
        return self.url_map.bind("").match(path, http.method, return_rule=True)
