"""The sections of the settings: their keys, types and defaults."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from indexer import urls

ContractKind = Literal[
    "singleton_v1_0",
    "extension_v1_0_genesis",
    "extension_v1_0",
    "singleton_v1_1",
    "extension_v1_1",
    "pool_factory_v2",
]
Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""PostgreSQL's bigint holds no more."""
Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=86_400_000)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
SchemaName = Annotated[str, msgspec.Meta(pattern="^(?!pg_)[a-z_][a-z0-9_]{0,62}$")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]


class ContractEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contract to watch from the start; pools, vTokens and tokens are discovered from these.

    `address` is 0x and 64 lower-case hex digits; `from_block` the block of its deployment.
    """

    kind: ContractKind
    address: str
    from_block: Natural


class Network(msgspec.Struct, frozen=True):
    """Which chain. `chain_id` is canonical hex text, as a node answers it.

    `contracts` is empty for mainnet and sepolia, whose contracts the address book holds;
    `start_block` is None for the first block of the earliest contract.
    """

    name: Literal["mainnet", "sepolia", "custom"] = "mainnet"
    chain_id: str = "0x534e5f4d41494e"
    start_block: Natural | None = None
    contracts: tuple[ContractEntry, ...] = ()


class Node(msgspec.Struct, frozen=True):
    """How to reach the chain, and how far to believe it. `urls`: best first; may hold keys."""

    urls: tuple[str, ...] = ()
    poll_interval_seconds: Seconds = 2.0
    request_timeout_seconds: Seconds = 20.0
    max_concurrency: Count = 8
    max_requests_per_second: Rate = 50.0
    probe_seconds: Seconds = 60.0
    return_seconds: Seconds = 300.0
    start_timeout_seconds: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0
    confirm_rollback_depth: Natural = 10
    confirm_looks: Natural = 30

    def __repr__(self) -> str:
        """Without the keys in the URLs, for logs and tracebacks."""
        return f"Node({', '.join(urls.redact(url) for url in self.urls)})"


class Database(msgspec.Struct, frozen=True):
    """Where the tables are. `url` None: embedded PostgreSQL under the data directory.

    `url` is in the plain form (postgresql://…) and carries sslmode=require where `ssl` is set, and
    the search path where `schema` is: every connection then finds and makes tables there alone.
    """

    url: str | None = None
    pool_min: Natural = 2
    pool_max: Count = 10
    acquire_ms: Milliseconds = 30_000
    idle_ms: Milliseconds = 10_000
    ssl: bool = False
    schema: SchemaName | None = None

    def __repr__(self) -> str:
        """Without the password, for logs and tracebacks."""
        return f"Database({urls.redact(self.url or 'embedded')})"


class Ingest(msgspec.Struct, frozen=True):
    """How the log is filled and proved; far behind, about `batch_events` go into a transaction.

    `defer_indexes_from`: after so many events of a long first fill some indexes are dropped until
    its end; 0: never.
    """

    verify: Literal["all", "events", "off"] = "events"
    verify_sample_rate: Fraction = 0.001
    verify_seed: Natural = 0
    verify_near_blocks: Natural = 1_000
    verify_blocks_per_minute: Natural = 60
    batch_events: Count = 5_000
    defer_indexes_from: Natural = 50_000


class Health(msgspec.Struct, frozen=True):
    """From when on the tables count as stale. `halt_seconds` and `price_seconds` 0: never; None: by
    the network, and by whether prices are sampled."""

    silence_seconds: Seconds = 120.0
    stale_seconds: Seconds = 300.0
    halt_seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None
    price_seconds: Annotated[float, msgspec.Meta(ge=0, le=31_536_000)] | None = None


class Prices(msgspec.Struct, frozen=True):
    """The grid, in seconds of the chain's time, on which oracle prices are sampled; 0: never.

    `backfill_seconds` is the grid back to the beginning, once the tables follow the head.
    """

    sample_seconds: Natural = 60
    backfill_seconds: Natural = 0


class Valuation(msgspec.Struct, frozen=True):
    """How old a stored valuation may be at the head, in seconds of the chain's time.

    Positions that an event touched or whose health may be below 1.3 are valued at every block.
    """

    max_age_seconds: Count = 86_400


class Reconcile(msgspec.Struct, frozen=True):
    """How often `run` holds so many rows of each table against the contracts; 0 seconds: never."""

    every_seconds: Natural = 300
    sample: Count = 50


class Trust(msgspec.Struct, frozen=True):
    """The pools that count in sums, by pool id, besides those that the release knows."""

    pools: tuple[str, ...] = ()


class Watch(msgspec.Struct, frozen=True):
    """When a watched transaction that no node knows counts as dropped.

    `database_url`: where the API begins watches; None: in the database that it reads.
    """

    drop_after_seconds: Seconds = 900.0
    database_url: str | None = None

    def __repr__(self) -> str:
        """Without the password, for logs and tracebacks."""
        return f"Watch({self.drop_after_seconds:g} s)"


class Abi(msgspec.Struct, frozen=True):
    """A folder with ABIs of contract versions that this release does not know; None: none."""

    folder: str | None = None


class Api(msgspec.Struct, frozen=True):
    """Where the HTTP side listens, who may ask, and how much. Port 0 takes any free port.

    `keys`: the keys that are valid; `require_key`: whether reading needs one.
    `requests_per_minute` of one client, 0: any number. `statement_seconds`: the longest that one
    statement of a request may take. `cursor_secret`: signs cursors. `cors_origins`: the origins
    whose pages may read the API.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    keys: tuple[str, ...] = ()
    require_key: bool = False
    requests_per_minute: Natural = 0
    max_concurrency: Count = 64
    statement_seconds: Seconds = 10.0
    cursor_secret: str = ""
    cors_origins: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without keys and secret, for logs and tracebacks."""
        return f"Api({self.host}:{self.port})"


class Maintenance(msgspec.Struct, frozen=True):
    """What `maintenance` may delete: abandoned branches older than so many days; 0: nothing."""

    retain_orphans_days: Natural = 0


class Log(msgspec.Struct, frozen=True):
    """What is logged and how; format 'auto': console on a terminal, JSON otherwise."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
