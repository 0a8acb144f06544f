"""Which server is primary for a key: one address, the primary of a Sentinel, or a cluster.

How a topology is named is a matter of the URL's scheme. The library finds the servers and keeps
their connections; it sends nothing again.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import AskError, MovedError, RedisClusterException
from redis.exceptions import ConnectionError as LostConnectionError
from redis.retry import Retry
from redis.sentinel import Sentinel

_SENTINEL_PORT, _PORT = 26379, 6379


class Topology(Protocol):
    """The servers of one store. No client that it gives is ever one of a replica.

    Whatever looks servers up raises what the library raises where that cannot be done.
    """

    def primary(self, key: str) -> redis.Redis:
        """A client of the server that holds *key*."""

    def primaries(self) -> Sequence[redis.Redis]:
        """A client of every server that holds keys."""

    def lost(self, client: redis.Redis) -> None:
        """Look servers up anew: *client* did not answer. Raises nothing."""

    def moved(self, error: MovedError) -> None:
        """Remember where a slot is now. Raises *error* where it cannot be there."""

    def asked(self, error: AskError) -> redis.Redis:
        """A client of the server that a slot is on its way to, or raises *error*."""

    def close(self) -> None:
        """Close every connection."""


def topology(url: str, *, timeout: float) -> Topology:
    """The topology that *url* names; nothing is sent yet. *timeout* is in seconds.

    It holds for connecting and for each reply, of the servers and of every Sentinel.
    """
    options = {
        "protocol": 2,
        "decode_responses": False,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": 0,
        "client_name": "delegation",
    }
    scheme, plus, kind = urlsplit(url).scheme.partition("+")
    if not plus:
        return OneServer(redis.Redis.from_url(url, **options, **_no_retries()))
    if kind == "sentinel":
        return _sentinel(_Address.of(url), scheme=scheme, options=options)
    return Cluster(_Address.of(url), scheme=scheme, options=options)


def _no_retries() -> dict[str, Any]:
    return {"retry": Retry(NoBackoff(), 0), "retry_on_timeout": False, "retry_on_error": []}


class OneServer:
    """One primary, known by its own address or by its name to a Sentinel."""

    def __init__(self, client: redis.Redis, sentinel: Sentinel | None = None) -> None:
        self._client = client
        self._sentinel = sentinel

    def primary(self, _key: str) -> redis.Redis:
        """The one there is."""
        return self._client

    def primaries(self) -> Sequence[redis.Redis]:
        """The one there is."""
        return [self._client]

    def lost(self, client: redis.Redis) -> None:
        """Close what is idle: each new connection looks the name up, or asks the Sentinels."""
        client.connection_pool.disconnect(inuse_connections=False)

    def moved(self, error: MovedError) -> None:
        """Raise it: the server belongs to a cluster that the URL does not speak of."""
        raise error

    def asked(self, error: AskError) -> redis.Redis:
        """Raise it, likewise."""
        raise error

    def close(self) -> None:
        """Close every connection."""
        self._client.close()
        if self._sentinel is not None:
            self._sentinel.close()


def _sentinel(address: "_Address", *, scheme: str, options: Mapping[str, Any]) -> OneServer:
    usual = {**options, **_no_retries(), **_tls(scheme, address)}
    own = {
        name.removeprefix("sentinel_"): value
        for name, value in address.options.items()
        if name.startswith("sentinel_")
    }
    sentinel = Sentinel(
        list(address.hosts(_SENTINEL_PORT)), sentinel_kwargs={**usual, **own}, **usual
    )
    name, _, number = address.path.partition("/")
    client = sentinel.master_for(
        unquote(name),
        username=address.username,
        password=address.password,
        db=int(number or address.options.get("db", 0)),
        redis_connect_func=_must_be_primary,
    )
    return OneServer(client, sentinel)


def _must_be_primary(connection: Any) -> None:
    """Refuse a connection to a replica: a Sentinel may name a primary that is none any more."""
    connection.on_connect()
    connection.send_command("ROLE")
    if connection.read_response()[0] != b"master":
        raise LostConnectionError("this is no primary")


class Cluster:
    """The primaries of a cluster, by the table of slots that they tell."""

    def __init__(self, address: "_Address", *, scheme: str, options: Mapping[str, Any]) -> None:
        self._address = address
        self._options = {
            **options,
            **_tls(scheme, address),
            "username": address.username,
            "password": address.password,
        }
        self._lock = threading.Lock()
        self._known: RedisCluster | None = None

    def primary(self, key: str) -> redis.Redis:
        """A client of the primary that holds the key's slot, by the table."""
        cluster = self._cluster()
        return cluster.get_redis_connection(cluster.get_node_from_key(key))

    def primaries(self) -> Sequence[redis.Redis]:
        """A client of each, by the table."""
        cluster = self._cluster()
        return [cluster.get_redis_connection(node) for node in cluster.get_primaries()]

    def lost(self, client: redis.Redis) -> None:
        """Ask the others for the table. Where none answers, begin again with the URL's hosts."""
        cluster = self._cluster()
        where = client.connection_pool.connection_kwargs
        try:
            cluster.nodes_manager.initialize(
                last_failed_node_name=f"{where['host']}:{where['port']}"
            )
        except RedisClusterException:
            self.close()

    def moved(self, error: MovedError) -> None:
        """Enter it into the table."""
        self._cluster().nodes_manager.move_slot(error)

    def asked(self, error: AskError) -> redis.Redis:
        """A client of that node, if it is in the table."""
        cluster = self._cluster()
        node = cluster.get_node(host=error.host, port=error.port)
        if node is None:
            raise error
        return cluster.get_redis_connection(node)

    def close(self) -> None:
        """Close every connection, and forget the table."""
        with self._lock:
            known, self._known = self._known, None
        if known is not None:
            known.close()

    def _cluster(self) -> RedisCluster:
        """What is known, or what the URL's hosts tell now."""
        with self._lock:
            if self._known is None:
                self._known = RedisCluster(
                    startup_nodes=[
                        ClusterNode(host, port) for host, port in self._address.hosts(_PORT)
                    ],
                    retry=Retry(NoBackoff(), 0),
                    # Each partition answers for itself.
                    require_full_coverage=False,
                    **self._options,
                )
            return self._known
