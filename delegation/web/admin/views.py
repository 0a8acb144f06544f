"""The operations of the admin API: each puts a request to the domain, and models the answer."""

from delegation.domain.administration import Capability
from delegation.domain.locks import EVERYTHING, Target
from delegation.web.admin.answers import (
    Alarm,
    AlarmPage,
    Decision,
    EventList,
    EventPage,
    Exchange,
    ExchangePage,
    ExchangeWithTree,
    HasLifted,
    HasStopped,
    Kept,
    Key,
    KeyList,
    Loaded,
    Lock,
    LockPage,
    Worker,
    WorkerList,
    WouldStop,
)
from delegation.web.admin.operations import Answer, Call, Operation
from delegation.web.admin.problems import Asked, Kind
from delegation.web.admin.questions import QUESTIONS
from delegation.web.admin.requests import (
    DryRun,
    EventQuery,
    ExchangeQuery,
    LiftBody,
    LockBody,
    LockQuery,
    Page,
    TargetQuery,
)
from delegation.web.admin.usage import USAGE

_BUDGET = 10_000
"""Records that one request looks at, at most."""

_EVENT_BUDGET = 200_000
"""Events that one request looks at, about: most of them are passed over without being parsed."""


def list_exchanges(call: Call) -> Answer:
    """Those that have not expired, soonest to expire first in each partition."""
    query: ExchangeQuery = call.query
    exchanges = call.service.administration.exchanges
    try:
        page = exchanges.page(query.filter(), query.cursor, count=query.limit, budget=_BUDGET)
    except ValueError:
        raise Asked(Kind.CURSOR) from None
    items = [Exchange.of(one) for one in page.items]
    return 200, ExchangePage(
        items=[one for one in items if query.state in {None, one.state}],
        cursor=page.cursor,
        looked_at=page.looked_at,
    )


def read_exchange(call: Call) -> Answer:
    """One exchange among its relatives."""
    tree = call.service.administration.tree(call.id)
    if tree is None:
        raise Asked(Kind.UNKNOWN_EXCHANGE)
    return 200, ExchangeWithTree.of_tree(tree)


def list_locks(call: Call) -> Answer:
    """Those that are booked, in no order."""
    query: LockQuery = call.query
    try:
        page = call.service.administration.locks.page(query.cursor, count=query.limit)
    except ValueError:
        raise Asked(Kind.CURSOR) from None
    items = [
        Lock.of(lock)
        for lock in page.items
        if query.state in {None, lock.state} and query.kind in {None, lock.order.target.kind}
    ]
    return 200, LockPage(items=items, cursor=page.cursor)


def read_lock(call: Call) -> Answer:
    """One lock."""
    return 200, Lock.of(call.service.administration.locks.find(call.id))


def put_lock(call: Call) -> Answer:
    """Stop something, or say what that would reach."""
    body: LockBody = call.body
    administration = call.service.administration
    wanted = body.stop(administration.now())
    _must_be_allowed(call, wanted.target)
    _must_have_a_place(call, wanted.target)
    if call.query.dry_run:
        return 200, WouldStop.of(administration.reach(wanted.target, budget=_BUDGET))
    stopped = administration.stop(
        wanted, author=call.administrator.author, key=call.key, origin=call.origin
    )
    return 201, HasStopped.of_stop(stopped)


def lift_lock(call: Call) -> Answer:
    """End a lock. Lifted already is lifted."""
    body: LiftBody = call.body
    administration = call.service.administration
    lock = administration.locks.find(call.id)
    _must_be_allowed(call, lock.order.target)
    lifted, durability = administration.lift(
        lock,
        reason=body.reason,
        author=call.administrator.author,
        mistaken=body.mistaken,
        origin=call.origin,
    )
    return 200, HasLifted(lock=Lock.of(lifted), durability=Kept.of(durability))


def read_blast_radius(call: Call) -> Answer:
    """What a stop would reach; with a cursor, of what was not looked at yet."""
    query: TargetQuery = call.query
    administration, target = call.service.administration, query.target()
    _must_have_a_place(call, target)
    try:
        reach = administration.reach(target, query.cursor, budget=_BUDGET)
    except ValueError:
        raise Asked(Kind.CURSOR) from None
    return 200, WouldStop.of(reach)


def list_workers(call: Call) -> Answer:
    """Every worker of the token service that was there lately."""
    workers = call.service.presence.workers()
    return 200, WorkerList(items=[Worker.of(one) for one in workers])


def list_keys(call: Call) -> Answer:
    """The public part of our keys."""
    keys = call.service.public_keys()
    return 200, KeyList(items=[Key.of(one) for one in keys])


def read_registry(call: Call) -> Answer:
    """What is in force here; the workers say which revision each of them runs."""
    return 200, Loaded.of(call.service.loaded())


def list_alarms(call: Call) -> Answer:
    """The latest alarms, newest first."""
    query: Page = call.query
    alarms = call.service.alarms
    try:
        page = alarms.page(query.cursor, count=query.limit)
    except ValueError:
        raise Asked(Kind.CURSOR) from None
    items = [Alarm.of(one) for one in page.items]
    return 200, AlarmPage(items=items, cursor=page.cursor, counts=dict(alarms.counts()))


def list_events(call: Call) -> Answer:
    """Sealed and unsealed together, oldest first."""
    query: EventQuery = call.query
    try:
        page = call.service.trail.page(
            query.filter(), query.cursor, count=query.limit, budget=_EVENT_BUDGET
        )
    except ValueError:
        raise Asked(Kind.CURSOR) from None
    return 200, EventPage.of(page)


def explain_decision(call: Call) -> Answer:
    """Where there is no event of it, the answer says what that may mean."""
    return 200, Decision.of(call.service.trail.explain(call.id))


def trace_decision(call: Call) -> Answer:
    """The exchanges around it, what was refused to them, and the locks that hit them."""
    return 200, EventList.of(call.service.trail.trace(call.id))


def _must_be_allowed(call: Call, target: Target) -> None:
    """Stopping everything, and letting everything go, takes more."""
    if target == EVERYTHING:
        call.allows(Capability.LOCKS_EVERYTHING)


def _must_have_a_place(call: Call, target: Target) -> None:
    """A lock that stands nowhere must not pass for one."""
    try:
        call.service.administration.locks.new_id(target)
    except ValueError:
        raise Asked(Kind.UNKNOWN_EXCHANGE) from None


OPERATIONS = (
    Operation(
        name="listExchanges",
        method="GET",
        path="/exchanges",
        summary="Exchanges that have not expired",
        needs=frozenset({Capability.EXCHANGES_READ}),
        handle=list_exchanges,
        query=ExchangeQuery,
        answers={200: ExchangePage},
        problems=(422,),
    ),
    Operation(
        name="readExchange",
        method="GET",
        path="/exchanges/{id}",
        summary="One exchange, with all that it grew from and all that grew from it",
        needs=frozenset({Capability.EXCHANGES_READ}),
        handle=read_exchange,
        answers={200: ExchangeWithTree},
        problems=(404,),
    ),
    Operation(
        name="listLocks",
        method="GET",
        path="/locks",
        summary="Locks, standing and ended",
        needs=frozenset({Capability.LOCKS_READ}),
        handle=list_locks,
        query=LockQuery,
        answers={200: LockPage},
    ),
    Operation(
        name="createLock",
        method="POST",
        path="/locks",
        summary="Stop something, with everything derived from it",
        needs=frozenset({Capability.LOCKS_WRITE}),
        handle=put_lock,
        query=DryRun,
        body=LockBody,
        takes_key=True,
        answers={200: WouldStop, 201: HasStopped},
        problems=(404, 409, 413, 415, 422),
    ),
    Operation(
        name="readLock",
        method="GET",
        path="/locks/{id}",
        summary="One lock",
        needs=frozenset({Capability.LOCKS_READ}),
        handle=read_lock,
        answers={200: Lock},
        problems=(404,),
    ),
    Operation(
        name="liftLock",
        method="POST",
        path="/locks/{id}/lift",
        summary="End a lock",
        needs=frozenset({Capability.LOCKS_WRITE}),
        handle=lift_lock,
        body=LiftBody,
        answers={200: HasLifted},
        problems=(404, 413, 415),
    ),
    Operation(
        name="readBlastRadius",
        method="GET",
        path="/blast-radius",
        summary="What a stop would reach; also to go on where the counting was cut",
        needs=frozenset({Capability.EXCHANGES_READ}),
        handle=read_blast_radius,
        query=TargetQuery,
        answers={200: WouldStop},
        problems=(404, 422),
    ),
    USAGE,
    Operation(
        name="listWorkers",
        method="GET",
        path="/workers",
        summary="The workers of the token service, and which registry each runs",
        needs=frozenset({Capability.WORKERS_READ}),
        handle=list_workers,
        answers={200: WorkerList},
    ),
    Operation(
        name="readRegistry",
        method="GET",
        path="/registry",
        summary="The registry that is in force: what its files say, without digests of secrets",
        needs=frozenset({Capability.REGISTRY_READ}),
        handle=read_registry,
        answers={200: Loaded},
    ),
    Operation(
        name="listKeys",
        method="GET",
        path="/keys",
        summary="Our keys: their public part, and how each is used",
        needs=frozenset({Capability.KEYS_READ}),
        handle=list_keys,
        answers={200: KeyList},
    ),
    Operation(
        name="listAlarms",
        method="GET",
        path="/alarms",
        summary="What somebody should look at now",
        needs=frozenset({Capability.ALARMS_READ}),
        handle=list_alarms,
        query=Page,
        answers={200: AlarmPage},
    ),
    Operation(
        name="listEvents",
        method="GET",
        path="/events",
        summary="Decisions and administrative acts, sealed or not, oldest first",
        needs=frozenset({Capability.AUDIT_READ}),
        handle=list_events,
        query=EventQuery,
        answers={200: EventPage},
        problems=(422,),
    ),
    Operation(
        name="explainDecision",
        method="GET",
        path="/decisions/{id}",
        summary="Why a request was answered as it was, and what would have been needed",
        needs=frozenset({Capability.AUDIT_READ}),
        handle=explain_decision,
        answers={200: Decision},
    ),
    Operation(
        name="traceDecision",
        method="GET",
        path="/decisions/{id}/trace",
        summary="All events around one exchange: what it came from, what came of it, what hit it",
        needs=frozenset({Capability.AUDIT_READ}),
        handle=trace_decision,
        answers={200: EventList},
    ),
    *QUESTIONS,
)
"""All of them, in the order in which people meet them."""
