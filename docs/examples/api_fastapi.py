"""A calendar API in FastAPI, which asks the service whether a token is still good."""

import os
from typing import Annotated

from fastapi import Depends, FastAPI

from delegation.client.resource_server import ResourceServer
from delegation.client.service import Service
from delegation.client.starlette import Protect, needs
from delegation.client.verify import AccessToken

ISSUER = os.environ["DELEGATION_ISSUER"]

app = FastAPI()
api = ResourceServer(
    issuer=ISSUER,
    resource="https://calendar.example/api",
    scopes=["events.read", "events.write"],
    introspect_as=Service(
        issuer=ISSUER,
        client_id="calendar-api",
        client_secret=os.environ["CALENDAR_API_SECRET"],
    ),
    introspect_every=1,
)
app.add_middleware(Protect, api=api, public=["/health"])

Reader = Annotated[AccessToken, Depends(needs("events.read"))]
Writer = Annotated[AccessToken, Depends(needs("events.write"))]


@app.get("/health")
async def health():
    return {"healthy": True}


@app.get("/events")
async def events(token: Reader):
    return {"of": token.subject.subject, "to": token.current_actor.subject, "events": []}


@app.post("/events")
async def add(title: str, token: Writer):
    return {"of": token.subject.subject, "to": token.current_actor.subject, "added": title}
