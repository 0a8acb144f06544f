"""An empty view, for comparison: gunicorn, worker and Flask as ours; a form is read, not parsed."""

import json

from flask import Request, Response

from delegation.web.plain import PlainApp

_BODY = json.dumps({"access_token": "t" * 900, "token_type": "Bearer", "expires_in": 300})

application = PlainApp("empty", boundary=lambda _: Response(status=500))


def _token(http: Request) -> Response:
    http.get_data(cache=False)
    return Response(_BODY, mimetype="application/json")


application.add_url_rule("/token", view_func=_token, methods=["POST"])
application.add_url_rule("/readyz", view_func=lambda _: Response("ready"))
