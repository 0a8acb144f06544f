"""A token for whoever asks for it in plain words: for code that sends its requests itself."""

from collections.abc import Iterable

from delegation.client.current import CallContext, current_context, current_subject_token
from delegation.client.errors import NoSubjectToken
from delegation.client.exchanger import Exchanger, shared
from delegation.client.noted import noted
from delegation.client.rfc8693 import IssuedToken
from delegation.client.wanted import Wanted, in_order


async def exchange(
    resource: str,
    *,
    scope: str | Iterable[str] = (),
    subject_token: str | None = None,
    actor_token: str = "",
    actor_token_type: str = "",
    context: CallContext | None = None,
    exchanger: Exchanger | None = None,
) -> IssuedToken:
    """A token for *resource* and *scope*, for the current user or that of *subject_token*.

    Without *scope* it allows all that it may. It is kept and shared as those of `DelegatedAuth`
    are. Raises `DelegationError`.
    """
    wanted = _wanted(resource, scope, subject_token, (actor_token, actor_token_type), context)
    return await (exchanger or shared()).exchange(wanted)


def exchange_sync(
    resource: str,
    *,
    scope: str | Iterable[str] = (),
    subject_token: str | None = None,
    actor_token: str = "",
    actor_token_type: str = "",
    context: CallContext | None = None,
    exchanger: Exchanger | None = None,
) -> IssuedToken:
    """`exchange`, for code that is not asynchronous."""
    wanted = _wanted(resource, scope, subject_token, (actor_token, actor_token_type), context)
    return (exchanger or shared()).exchange_sync(wanted)


def _wanted(
    resource: str,
    scope: str | Iterable[str],
    subject_token: str | None,
    actor: tuple[str, str],
    context: CallContext | None,
) -> Wanted:
    token = current_subject_token() if subject_token is None else subject_token
    if not token:
        raise noted(NoSubjectToken())
    return Wanted(
        subject_token=token,
        resource=resource,
        scope=in_order(scope),
        actor_token=actor[0],
        actor_token_type=actor[1],
        context=current_context() if context is None else context,
    )
