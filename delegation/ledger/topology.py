"""Which server is primary for a key: one address, the primary of a Sentinel, or a cluster.

How a topology is named is a matter of the URL's scheme. The library finds the servers and keeps
their connections; it sends nothing again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster, get_node_name
from redis.exceptions import AskError, MovedError, RedisClusterException
from redis.exceptions import ConnectionError as LostConnectionError
from redis.retry import Retry
from redis.sentinel import Sentinel

from delegation.storeurl import CLUSTER, SENTINEL, StoreUrl


class Topology(Protocol):
    """The servers of one store. No client that it gives is ever one of a replica.

    Whatever looks servers up raises what the library raises where that cannot be done.
    """

    def primary(self, key: str) -> redis.Redis:
        """A client of the server that holds *key*."""

    def primaries(self) -> Sequence[redis.Redis]:
        """A client of every server that holds keys."""

    def lost(self, client: redis.Redis) -> None:
        """Have servers looked up anew, for *client* is not what it was. Sends nothing."""

    def moved(self, error: MovedError) -> None:
        """Remember where a slot is now. Raises *error* where it cannot be there."""

    def asked(self, error: AskError) -> redis.Redis:
        """A client of the server that a slot is on its way to, or raises *error*."""

    def close(self) -> None:
        """Close every connection."""


def topology(text: str, *, timeout: float) -> Topology:
    """The topology that a URL names; nothing is sent yet. *timeout* is in seconds.

    It holds for connecting and for each reply, of the servers and of every Sentinel.
    """
    url = StoreUrl.parse(text)
    options = {
        "protocol": 2,
        "decode_responses": False,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": 0,
        "client_name": "delegation",
    }
    if url.topology == CLUSTER:
        return Cluster(url, options)
    options["retry"] = Retry(NoBackoff(), 0)
    if url.topology == SENTINEL:
        return _sentinel(url, options)
    return OneServer(redis.Redis.from_url(text, **options))


def _tls(url: StoreUrl) -> dict[str, Any]:
    files = {name: path for name, path in url.options.items() if name.startswith("ssl_")}
    return {"ssl": True, **files} if url.has_tls else {}


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


def _sentinel(url: StoreUrl, options: Mapping[str, Any]) -> OneServer:
    usual = {**options, **_tls(url)}
    own = {name: url.options.get(f"sentinel_{name}") for name in ("username", "password")}
    sentinel = Sentinel(url.hosts, sentinel_kwargs={**usual, **own}, **usual)
    client = sentinel.master_for(
        url.primary,
        db=url.db,
        username=url.username,
        password=url.password,
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

    def __init__(self, url: StoreUrl, options: Mapping[str, Any]) -> None:
        self._hosts = url.hosts
        self._options = {
            **options,
            **_tls(url),
            "username": url.username,
            "password": url.password,
        }
        self._known: RedisCluster | None = None
        self._failed: str | None = None

    def primary(self, key: str) -> redis.Redis:
        """A client of the primary that holds the key's slot, by the table."""
        cluster = self._cluster()
        return cluster.get_redis_connection(cluster.get_node_from_key(key))

    def primaries(self) -> Sequence[redis.Redis]:
        """A client of each, by the table."""
        cluster = self._cluster()
        return [cluster.get_redis_connection(node) for node in cluster.get_primaries()]

    def lost(self, client: redis.Redis) -> None:
        """Have the table told anew at the next look, by the others first."""
        where = client.connection_pool.connection_kwargs
        self._failed = get_node_name(where["host"], where["port"])

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
        known, self._known = self._known, None
        if known is not None:
            known.close()

    def _cluster(self) -> RedisCluster:
        """The table that is known; or told anew by its nodes, or by the hosts of the URL."""
        known, failed = self._known, self._failed
        try:
            if known is None:
                known = self._known = self._told_by_hosts()
            elif failed is not None:
                known.nodes_manager.initialize(last_failed_node_name=failed)
        except RedisClusterException:
            self.close()
            raise
        self._failed = None
        return known

    def _told_by_hosts(self) -> RedisCluster:
        return RedisCluster(
            startup_nodes=[ClusterNode(*host) for host in self._hosts],
            retry=Retry(NoBackoff(), 0),
            **self._options,
        )
