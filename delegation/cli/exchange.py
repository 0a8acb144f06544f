"""A client for any RFC 8693 server, on the command line."""

import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import click
import httpx2
import jwt
from click.core import ParameterSource

from delegation.cli.common import give_up
from delegation.cli.terminal import printable, printable_lines
from delegation.client import discovery
from delegation.client.credentials import Secret
from delegation.client.discovery import DiscoveryFailed
from delegation.client.errors import Refused, Unavailable
from delegation.client.rfc8693 import ACCESS_TOKEN, Request, trade
from delegation.client.wire import Unusable, a_client, must_be_safe, read_object

_SECRET = "DELEGATION_CLIENT_SECRET"

_SHOWN = 500
"""Characters of each member of a refusal: whoever refuses must not fill the screen, too."""


@click.command(short_help="Exchange a token at any RFC 8693 server, and show the result.")
@click.option(
    "--issuer",
    envvar="DELEGATION_ISSUER",
    show_envvar=True,
    help="The server; its token endpoint is found by its metadata (RFC 8414).",
)
@click.option(
    "--token-endpoint",
    envvar="DELEGATION_TOKEN_ENDPOINT",
    show_envvar=True,
    help="The token endpoint itself, without --issuer.",
)
@click.option(
    "--client-id",
    envvar="DELEGATION_CLIENT_ID",
    show_envvar=True,
    required=True,
    help="Who asks.",
)
@click.option(
    "--client-secret-file",
    envvar="DELEGATION_CLIENT_SECRET_FILE",
    show_envvar=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"A file with the secret, instead of {_SECRET}.",
)
@click.option(
    "--subject-token",
    required=True,
    help="The token to exchange, or - to read it from standard input. Other users of this machine "
    "can see what stands on a command line.",
)
@click.option(
    "--subject-token-type", default=ACCESS_TOKEN, show_default=True, help="What kind of token."
)
@click.option(
    "--resource",
    "resources",
    multiple=True,
    envvar="DELEGATION_RESOURCE",
    show_envvar=True,
    help="The URI of the API that the new token is for. May be repeated.",
)
@click.option(
    "--audience",
    "audiences",
    multiple=True,
    help="The same by its name at the server. May be repeated.",
)
@click.option(
    "--scope",
    default="",
    envvar="DELEGATION_SCOPE",
    show_envvar=True,
    help="Space-delimited. Left out: whatever the server gives.",
)
@click.option(
    "--requested-token-type", default="", help="Left out: whatever kind the server gives."
)
@click.option(
    "--actor-token",
    default="",
    help="Who acts, where that is not the client itself; or - as above, for one of the two.",
)
@click.option("--actor-token-type", default="", help="Needed with --actor-token.")
@click.option("--curl", is_flag=True, help="Print the equivalent command instead, without secrets.")
@click.option("--raw", is_flag=True, help="Print the issued token, and nothing else.")
@click.pass_context
def exchange(  # noqa: PLR0917, the options of a command
    context: click.Context,
    /,
    issuer: str | None,
    token_endpoint: str | None,
    client_id: str,
    client_secret_file: Path | None,
    subject_token: str,
    curl: bool,  # noqa: FBT001
    raw: bool,  # noqa: FBT001
    **wanted: Any,
) -> None:
    """Exchange a token at any RFC 8693 server, and show who acts for whom in what comes back.

    The client's secret is read from DELEGATION_CLIENT_SECRET, or from a file. What comes back is
    decoded, not verified.
    """
    if issuer and context.get_parameter_source("issuer") is ParameterSource.COMMANDLINE:
        # What is typed counts more than what stands in the environment.
        if context.get_parameter_source("token_endpoint") is ParameterSource.COMMANDLINE:
            raise click.UsageError("Give --issuer or --token-endpoint, not both.")
        token_endpoint = None
    request = Request(subject_token=subject_token, **wanted)
    if bool(request.actor_token) != bool(request.actor_token_type):
        raise click.UsageError("Give --actor-token and --actor-token-type together.")
    with a_client() as http:
        endpoint = _endpoint(issuer, token_endpoint, http)
        if curl:
            click.echo(_as_curl(endpoint, client_id, request.parameters()))
            return
        request = _completed(request)
        secret = _secret(client_secret_file)
        try:
            answer = trade(endpoint, request, proof=Secret(secret).prove(client_id), http=http)
        except Refused as refused:
            give_up(*_refusal(refused.status, refused.body, refused.decision))
        except Unavailable as error:
            if error.body is None:
                give_up(f"{error}.")
            give_up(*_refusal(error.status, error.body, None))
    if raw:
        click.echo(printable(answer.body["access_token"]))
        return
    click.echo("\n".join(_shown(answer.body)))


def _endpoint(issuer: str | None, token_endpoint: str | None, http: httpx2.Client) -> str:
    try:
        if token_endpoint is not None:
            must_be_safe(token_endpoint)
            return token_endpoint
        if issuer is not None:
            return discovery.token_endpoint(issuer, http)
    except (Unusable, DiscoveryFailed) as error:
        give_up(f"{error}.")
    raise click.UsageError("Name the server, with --issuer or --token-endpoint.")


def _completed(request: Request) -> Request:
    """With the token that is to be read from standard input, if there is one."""
    if request.subject_token == request.actor_token == "-":
        raise click.UsageError("Only one token can be read from standard input.")
    if request.subject_token == "-":
        return replace(request, subject_token=_token_on_standard_input())
    if request.actor_token == "-":
        return replace(request, actor_token=_token_on_standard_input())
    return request


def _token_on_standard_input() -> str:
    try:
        token = sys.stdin.read().strip()
    except UnicodeDecodeError:
        token = ""
    if not token:
        raise click.UsageError("There is no token on standard input.")
    return token


def _secret(file: Path | None) -> str:
    try:
        secret = os.environ.get(_SECRET) if file is None else file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        secret = None
    if not secret:
        raise click.UsageError(f"Set {_SECRET}, or name a file that holds it.")
    return secret


def _as_curl(endpoint: str, client_id: str, parameters: Iterable[tuple[str, str]]) -> str:
    """The equivalent command. It names variables where secrets would stand."""
    hidden = {"subject_token": "$SUBJECT_TOKEN", "actor_token": "$ACTOR_TOKEN"}
    # RFC 6749 §2.3.1; a secret of ours needs no encoding.
    user = shlex.quote(quote_plus(client_id))
    lines = [f"curl {shlex.quote(endpoint)}", f'--user {user}:"${_SECRET}"']
    for name, value in parameters:
        shown = f'"{name}={hidden[name]}"' if name in hidden else shlex.quote(f"{name}={value}")
        lines.append(f"--data-urlencode {shown}")
    return " \\\n  ".join(map(printable, lines))


def _refusal(status: int | None, body: Mapping[str, Any], decision: str | None) -> Iterator[str]:
    """All that the server said, and where to ask why."""
    yield f"Refused, with status {status}:"
    for name, value in body.items():
        yield f"  {_text(name)}: {_text(value)}"
    if decision is not None:
        yield f"  decision: {_text(decision)}"
    if body.get("error") == "invalid_client":
        yield "Check --client-id, and that the secret is this client's."


def _text(value: object) -> str:
    text = str(value)
    return printable(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _shown(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer, and what its token says."""
    for name in ("issued_token_type", "token_type", "expires_in", "scope"):
        yield f"{name:<18} {_text(answer.get(name, '-'))}"
    claims = _claims(answer["access_token"])
    if claims is None:
        yield "\nThe token is no JWT: only its issuer can say what it means."
        return
    yield f"{'audience':<18} {_text(claims.get('aud', '-'))}"
    yield f"{'who':<18} {' ← '.join(_who(claims))}\n"
    yield printable_lines(json.dumps(claims, indent=2))


def _claims(token: str) -> dict[str, Any] | None:
    """What the token says. Nothing is verified: it came from the server just now."""
    try:
        content = jwt.PyJWS().decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return read_object(content["payload"])


def _who(claims: Mapping[str, Any]) -> list[str]:
    """The subject, and who acts for it, the least recent first (RFC 8693 §4.1)."""
    chain = []
    actor = claims.get("act")
    while isinstance(actor, dict):
        chain.append(_text(actor.get("sub", "?")))
        actor = actor.get("act")
    return [_text(claims.get("sub", "?")), *reversed(chain)]
