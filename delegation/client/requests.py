"""Tokens for the requests of `requests`."""

from collections.abc import Mapping
from typing import Any

import httpx2
import requests
from requests.auth import AuthBase

from delegation.client.auth import Delegated, bear, header
from delegation.client.rfc8693 import IssuedToken
from delegation.client.wanted import Wanted


class DelegatedAuth(Delegated, AuthBase):
    """`delegation.client.DelegatedAuth` for `requests`: for a session, or a single request."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Raises `DelegationError`, and then nothing is sent."""
        wanted = self.wanted(httpx2.URL(request.url or ""))
        token = self.exchanger.exchange_sync(wanted)
        bear(request.headers, token)

        def look(response: requests.Response, **sending: Any) -> requests.Response:
            return self._another(wanted, token, response, sending)

        request.register_hook("response", look)  # type: ignore[no-untyped-call]
        return request

    def _another(
        self,
        wanted: Wanted,
        token: IssuedToken,
        response: requests.Response,
        sending: Mapping[str, Any],
    ) -> requests.Response:
        """The answer to the request with another token, where that is worth a try."""
        request = response.request
        if response.status_code != requests.codes.unauthorized:
            return response
        if request.headers.get("Authorization") != header(token):
            return response
        is_new = self.exchanger.reject(wanted, token)
        # A body that came from a file or a generator is gone.
        if not is_new or not isinstance(request.body, str | bytes | None):
            return response
        again = request.copy()
        bear(again.headers, self.exchanger.exchange_sync(wanted))
        # What was answered is read to its end, so that the connection can be used again.
        _ = response.content
        response.close()
        second: requests.Response = response.connection.send(again, **sending)
        second.history.append(response)
        second.request = again
        return second
