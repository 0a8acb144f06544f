"""Flask without what it does unasked: nothing is served, guessed or redirected."""

from flask import Flask, Request
from werkzeug.routing import MapAdapter


class PlainApp(Flask):
    """An application without files, templates, redirects, and answers to OPTIONS."""

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None, template_folder=None)
        self.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # no CORS: browsers have no business here
        self.url_map.merge_slashes = False  # it would answer with a redirect, in HTML

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Route by path and method alone: our address is configured, whatever `Host` says."""
        if request is None:
            return None
        return self.url_map.bind(
            "", path_info=request.environ.get("PATH_INFO", ""), default_method=request.method
        )
