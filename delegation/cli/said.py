"""What the admin API answers, as people read it in the middle of the night."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from delegation.cli.terminal import width

_GAP = "  "


def said_target(target: Mapping[str, Any]) -> str:
    """One target, in a few words."""
    match target["kind"]:
        case "everything":
            return "everything"
        case "pair":
            return f"{who(target['actor'])}, acting for {who(target['subject'])}"
        case "subject" | "actor" | "agent" as kind:
            return f"{kind} {who(target[kind])}"
        case "token":
            return f"token {target['token']} of {target['issuer']}"
        case kind:
            return f"{kind} {target[kind]}"


def reach_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """What a stop reaches, and by when it is complete."""
    radius = answer["blast_radius"]
    if radius is None:
        yield "  exchanges        not counted: the store did not answer in time"
    else:
        least = "" if radius["complete"] else "at least "
        yield f"  exchanges        {least}{radius['exchanges']} alive"
        yield f"  subjects         {least}{radius['subjects']}"
        yield f"  actors           {least}{radius['actors']}"
        yield f"  deepest chain    {least}{radius['deepest_chain']}"
        for resource in radius["resources"]:
            until = "asks each time" if resource["introspects"] else resource["latest_expiry"]
            yield f"  resource         {resource['resource']} ({until})"
        if not radius["complete"]:
            yield f"  counting         cut after {radius['looked_at']}, at {radius['cursor']}"
        elif not radius["exchanges"]:
            yield "  Nothing alive fits. Was there to be? `delegation exchanges` shows all names."
    yield f"  fully effective  {_when(answer['fully_effective_at'])}"


def stopped_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """What was stopped, until when, how safely, and what to do next."""
    lock = answer["lock"]
    if lock["state"] == "ended":
        yield f"Stopped what was issued up to {lock['ends_at']} of {said_target(lock['target'])}:"
    else:
        yield f"Stopped {said_target(lock['target'])}:"
    yield f"  lock             {lock['id']}"
    yield f"  stands           {_stands(lock)}"
    yield f"  kept             {_kept(answer['durability'])}"
    yield from reach_lines(answer)
    yield "Next:"
    if lock["state"] == "standing":
        is_everything = lock["target"]["kind"] == "everything"
        release = "kill-switch off" if is_everything else f"unlock {lock['id']}"
        yield f"  delegation {release} --reason ...   # lets it go again"
    yield "  delegation locks                             # lists all that stands"


def lifted_lines(answer: Mapping[str, Any], *, mistaken: bool, dry_run: bool) -> Iterator[str]:
    """What was let go, and what stays dead."""
    lock = answer["lock"]
    what = said_target(lock["target"])
    if dry_run:
        if lock["state"] != "standing":
            yield f"Would change nothing: {lock['id']} on {what} is {lock['state']} already."
            return
        yield f"Would lift {lock['id']} on {what}, ordered by {lock['author']}: {lock['reason']}"
        yield _afterwards(mistaken=mistaken)
        yield "Nothing was changed. To do it, run the same without --dry-run."
        return
    yield f"{lock['id']} on {what} is {lock['state']}."
    yield f"  kept             {_kept(answer['durability'])}"
    if mistaken and lock["state"] != "annulled":
        yield "That it was a mistake comes too late: it had ended before."
    yield _afterwards(mistaken=lock["state"] == "annulled")


def exchange_table(items: Sequence[Mapping[str, Any]], *, full: bool) -> Iterator[str]:
    """One line for each exchange."""
    if not items:
        yield "No exchange fits."
        return
    rows = [
        (
            one["id"],
            one["state"],
            who(one["subject"]),
            " < ".join(who(actor) for actor in one["actors"]),
            one["resource"],
            " ".join(one["scope"]),
            one["expires_at"],
        )
        for one in items
    ]
    yield from table(("EXCHANGE", "STATE", "FOR", "BY", "AT", "SCOPE", "EXPIRES"), rows)
    if full:
        yield f"There may be more than these {len(items)}: narrow it, or raise --limit."


def lock_table(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line for each lock, the latest first."""
    if not items:
        yield "No lock fits."
        return
    rows = [
        (
            one["id"],
            one["state"],
            said_target(one["target"]),
            one["begins_at"],
            one["ends_at"] or "-",
            one["author"],
            one["reason"],
        )
        for one in sorted(items, key=lambda one: str(one["begins_at"]), reverse=True)
    ]
    yield from table(("LOCK", "STATE", "ON", "BEGAN", "ENDS", "BY", "REASON"), rows)


def usage_table(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line for each rate limit."""
    if not items:
        yield "Nothing limits that."
        return
    rows = [
        (
            one["per"].replace("_", " "),
            f"{one['limit']} in {one['window']} s",
            str(one["used"]),
            str(one["remaining"]),
            one["resets_at"] or "-",
        )
        for one in items
    ]
    yield from table(("PER", "LIMIT", "USED", "LEFT", "RESETS"), rows)


def tree_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """From what it grew from, oldest first, to what grew from it; the one asked for is marked."""
    tree = answer["tree"]
    depth: dict[str | None, int] = {}
    lines = [*reversed(tree["ancestors"]), answer]
    for one in lines:
        depth[one["id"]] = depth.get(one["parent"], -1) + 1
    yield from (_branch(one, depth[one["id"]], mark=one is answer) for one in lines)
    yield from _below(answer["id"], tree["descendants"], depth[answer["id"]] + 1)


def _below(parent: str, born: Sequence[Mapping[str, Any]], depth: int) -> Iterator[str]:
    for one in born:
        if one["parent"] == parent:
            yield _branch(one, depth, mark=False)
            yield from _below(one["id"], born, depth + 1)


def _branch(one: Mapping[str, Any], depth: int, *, mark: bool) -> str:
    actor = one["actors"][0]["sub"] if one["actors"] else "-"
    return (
        f"{'* ' if mark else '  '}{_GAP * depth}{one['id']}  {one['state']}  "
        f"{actor} for {one['subject']['sub']} at {one['resource']}"
    )


def who(identity: Mapping[str, Any]) -> str:
    """A party, who is an issuer and a subject together."""
    return f"{identity['sub']} of {identity['iss']}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows under a *head*; in a terminal that is too narrow for that, a block of lines for each."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    room = width()
    if room is not None and sum(widths) + len(_GAP) * (len(widths) - 1) > room:
        yield from _blocks(head, rows)
        return
    for line in lines:
        cells = (cell.ljust(most) for cell, most in zip(line, widths, strict=True))
        yield _GAP.join(cells).rstrip()


def _afterwards(*, mistaken: bool) -> str:
    if mistaken:
        return "It is as if it had never been: what it stopped, and has not expired, is alive."
    return "What had been issued before stays dead; from now on tokens are issued again."


def _stands(lock: Mapping[str, Any]) -> str:
    if lock["state"] == "ended":
        return "no longer: it was a cut-off"
    return "until it is lifted" if lock["ends_at"] is None else f"until {lock['ends_at']}"


def _kept(durability: Mapping[str, Any]) -> str:
    unknown = "in the store's memory (not shown to be on its disk)"
    disk = "on the store's disk" if durability["on_disk"] else unknown
    number = durability["replicas"]
    return f"{disk}, and by {number} {'replica' if number == 1 else 'replicas'}"


def _when(timestamp: str) -> str:
    seconds = (datetime.fromisoformat(timestamp) - datetime.now(UTC)).total_seconds()
    if seconds <= 0:
        return "now"
    minutes, rest = divmod(int(seconds) + 1, 60)
    return f"by {timestamp}, in {minutes} min {rest} s"


def _blocks(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    label = max(map(len, head))
    for number, row in enumerate(rows):
        if number:
            yield ""
        for name, cell in zip(head, row, strict=True):
            yield f"{name.ljust(label)}{_GAP}{cell}"
