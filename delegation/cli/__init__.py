"""`delegation ...`: a function per command, none with any logic of its own."""

import atexit
import gc
import sys

try:
    import click

    from delegation.cli.administration import kill_switch, lock, revoke, unlock
    from delegation.cli.evidence import audit
    from delegation.cli.exchange import exchange
    from delegation.cli.keys import keys
    from delegation.cli.overview import alarms, exchanges, locks, tree, usage
    from delegation.cli.probing import probe
    from delegation.cli.reading import explain, export, prune_segments, query, show_tail, trace
    from delegation.cli.registry import registry
    from delegation.cli.replay import replay_locks
    from delegation.cli.running import admin, check, demo, dev, serve
    from delegation.cli.setup import clients, init, ledger
except ModuleNotFoundError as missing:
    # The light half, which a client installs, brings the command but not what it stands on.
    sys.exit(f"{missing.name} is not installed: pip install 'mcp-delegation[server]'.")


# What ends needs no collecting: to look through all that was imported takes longer than to import
# half of it.
atexit.register(gc.freeze)


@click.group("delegation", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mcp-delegation", prog_name="delegation")
def main() -> None:
    """Let AI agents act for people, without token passthrough.

    To see it work: delegation demo. To try things out: delegation dev. To set it up: delegation
    init, and then delegation check, which says what is missing.
    """


_SERVICE = (
    *(admin, audit, check, clients, demo, dev, exchange, init, keys),
    *(ledger, probe, registry, serve),
)
_SECURITY = (alarms, exchanges, explain, kill_switch, lock, locks, revoke, tree, unlock, usage)

ledger.add_command(replay_locks)

for command in (export, prune_segments, query, show_tail, trace):
    audit.add_command(command)

for command in (*_SERVICE, *_SECURITY):
    main.add_command(command)
