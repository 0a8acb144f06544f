"""A calendar API in Flask, for whoever brings a token of the service."""

import os

from flask import Flask, g

from delegation.client.flask import needs, protect
from delegation.client.resource_server import ResourceServer

app = Flask(__name__)
api = ResourceServer(
    issuer=os.environ["DELEGATION_ISSUER"],
    resource="https://calendar.example/api",
    scopes=["events.read", "events.write"],
)
protect(app, api, public=["/health"])


@app.get("/health")
def health():
    return {"healthy": True}


@app.get("/events")
@needs("events.read")
def events():
    return {"of": g.token.subject.subject, "to": g.token.current_actor.subject, "events": []}
