"""idpyoidc behind the thinnest of HTTP servers; runs in an environment of its own, by itself.

Its token exchange is the library's; ours are the sockets, and `/mint`, which stands in for a person
who has logged in. Told who there is by its one argument, as JSON; says its address on stdout.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from idpyoidc.message import Message
from idpyoidc.message.oauth2 import AuthorizationRequest, ResponseMessage
from idpyoidc.server import Server
from idpyoidc.server.authn_event import create_authn_event
from idpyoidc.server.configure import ASConfiguration
from idpyoidc.server.exception import ClientAuthenticationError, UnAuthorizedClient
from idpyoidc.server.user_authn.authn_context import INTERNETPROTOCOLPASSWORD

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
POLICY = "idpyoidc.server.oauth2.token_helper.validate_token_exchange_policy"


def configuration(url: str) -> dict[str, Any]:
    """An authorization server whose access tokens are signed JWTs."""
    signing = [{"type": "EC", "crv": "P-256", "use": ["sig"]}]
    token = {"class": "idpyoidc.server.token.jwt_token.JWTToken", "kwargs": {"lifetime": 3600}}
    mints = {"supports_minting": ["access_token"], "expires_in": 600}
    return {
        "issuer": url,
        "httpc_params": {"verify": True, "timeout": 5},
        "keys": {"uri_path": "jwks", "key_defs": signing},
        "endpoint": {
            "authorization": {
                "path": "authorization",
                "class": "idpyoidc.server.oauth2.authorization.Authorization",
                "kwargs": {},
            },
            "token": {
                "path": "token",
                "class": "idpyoidc.server.oauth2.token.Token",
                "kwargs": {
                    "request_format": "urlencoded",
                    "client_authn_method": ["client_secret_basic"],
                },
            },
        },
        "authentication": {
            "anon": {
                "acr": INTERNETPROTOCOLPASSWORD,
                "class": "idpyoidc.server.user_authn.user.NoAuthn",
                "kwargs": {"user": "nobody"},
            }
        },
        "userinfo": {"class": "idpyoidc.server.user_info.UserInfo", "kwargs": {"db": {}}},
        "template_dir": "template",
        "authz": {
            "class": "idpyoidc.server.authz.AuthzHandling",
            "kwargs": {"grant_config": {"usage_rules": {"access_token": mints}}},
        },
        "token_handler_args": {
            "key_conf": {"key_defs": [{"type": "oct", "bytes": 24, "use": ["enc"], "kid": "code"}]},
            "code": {"lifetime": 600},
            "token": token,
        },
        "session_params": {"encrypter": ENCRYPTER},
    }


ENCRYPTER = {
    "kwargs": {
        "keys": {
            "key_defs": [
                {"type": "oct", "use": ["enc"], "kid": "password"},
                {"type": "oct", "use": ["enc"], "kid": "salt"},
            ]
        },
        "iterations": 1,
    }
}


class Shell:
    """One authorization server with the clients that it was told of."""

    def __init__(self, url: str, clients: dict[str, Any]) -> None:
        self.server = Server(ASConfiguration(conf=configuration(url)))
        self.context = self.server.context
        self.context.map_supported_to_preferred()
        for id_, client in clients.items():
            self.context.cdb[id_] = {
                "client_secret": client["secret"],
                "redirect_uris": [("https://client.example/cb", None)],
                "client_salt": "salt",
                "response_types_supported": ["code"],
                "grant_types_supported": [EXCHANGE] if client["exchange"] else [],
                "allowed_scopes": client["scopes"],
                "token_exchange": {
                    "subject_token_types_supported": [ACCESS_TOKEN],
                    "requested_token_types_supported": [ACCESS_TOKEN],
                    "policy": {"": {"function": POLICY, "kwargs": client["policy"]}},
                },
            }

    def token(self, body: str, authorization: str | None) -> tuple[int, list[Any], str]:
        """The answer of the token endpoint: status, headers, body."""
        endpoint = self.server.get_endpoint("token")
        http = {"headers": {"authorization": authorization} if authorization else {}}
        try:
            request = endpoint.parse_request(body, http_info=http)
            if isinstance(request, ResponseMessage) and "error" in request:
                return 400, [], request.to_json()
            answer = endpoint.process_request(request, http_info=http)
        except (ClientAuthenticationError, UnAuthorizedClient):
            return 401, [], json.dumps({"error": "invalid_client"})
        except Exception as error:  # noqa: BLE001, as in the example that comes with the library
            refusal = {"error": "invalid_request", "error_description": str(error)}
            return 400, [], json.dumps(refusal)
        if isinstance(answer, ResponseMessage):
            return 400, [], answer.to_json()
        said = endpoint.do_response(request=request, **answer)
        return 200, said["http_headers"], said["response"]

    def mint(self, asked: dict[str, Any]) -> dict[str, str]:
        """An access token of somebody who has logged in at a client, and what they are called."""
        authorization = AuthorizationRequest(
            client_id=asked["client_id"],
            redirect_uri="https://client.example/cb",
            scope=asked["scope"],
            state="state",
            response_type="code",
        )
        manager = self.context.session_manager
        session = manager.create_session(
            create_authn_event(asked["sub"]),
            authorization,
            asked["sub"],
            client_id=asked["client_id"],
        )
        grant = self.context.authz(session, authorization)
        lifetime = asked["exp"] - int(time.time())
        token = grant.mint_token(
            session,
            context=self.context,
            token_class="access_token",
            token_handler=manager.token_handler["access_token"],
            usage_rules={"supports_minting": ["access_token"], "expires_in": lifetime},
            scope=asked["scope"],
            expires_in=lifetime,
            resources=[asked["aud"]],
        )
        manager.set(manager.unpack_session_key(session), grant)
        return {"token": token.value, "sub": grant.sub}


class Handler(BaseHTTPRequestHandler):
    """Passes on what it gets."""

    shell: Shell

    def do_GET(self) -> None:
        """The key set."""
        keyjar = self.shell.server.get_attribute("keyjar")
        self._answer(200, [], json.dumps(keyjar.export_jwks()))

    def do_POST(self) -> None:
        """The token endpoint, and tokens to begin with."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/mint":
            self._answer(200, [], json.dumps(self.shell.mint(json.loads(body))))
        else:
            self._answer(*self.shell.token(body, self.headers.get("Authorization")))

    def _answer(self, status: int, headers: list[Any], body: str | Message) -> None:
        text = body if isinstance(body, str) else body.to_json()
        content = text.encode()
        self.send_response(status)
        for name, value in headers or [("Content-Type", "application/json")]:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until somebody ends it."""
    told = json.loads(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    Handler.shell = Shell(url, told["clients"])
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
