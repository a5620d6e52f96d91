"""The manifest of a backup: its contents, and the hashes that prove a restore."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
from pathlib import Path

import asyncpg
import msgspec

from indexer import errors
from indexer.audit import digest as digests
from indexer.audit import table_hashes
from indexer.log import cursor
from indexer.store import catalog, migrate

VERSION = 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What stands beside the archive. `bytes` and `sha256` are the archive's.

    `digest` is None where the database's migrations are not those of the indexer that made the
    backup, which then could not work it out; `contents` hash every table whatever its columns.
    """

    manifest_version: int = VERSION
    indexer_version: str
    created_at: datetime.datetime
    server_major: int
    dumped_by: int
    schema: str
    migrations: list[str]
    chain_id: str
    block_number: int
    block_hash: str
    digest: digests.Digest | None
    contents: dict[str, digests.TableDigest]
    relations: list[str]
    bytes: int = 0
    sha256: str = ""


class Proof(msgspec.Struct, frozen=True):
    """Whether a restored database holds what the manifest says."""

    is_equal: bool
    tables: int
    rows: int
    differing: list[str]
    digest: str | None


async def make(connection: asyncpg.Connection, migrations: list[str], dumped_by: int) -> Manifest:
    """The manifest of what the transaction around the call sees.

    NothingCommittedError: no block is committed, so that there is nothing to keep.
    """
    committed = await cursor.committed(connection)
    if committed is None:
        raise errors.NothingCommittedError("there is nothing to back up: no block is committed yet")
    is_current = migrations == migrate.known()
    return Manifest(
        indexer_version=importlib.metadata.version("vesu-indexer"),
        created_at=datetime.datetime.now(datetime.UTC),
        server_major=connection.get_server_version().major,
        dumped_by=dumped_by,
        schema=await catalog.schema(connection),
        migrations=migrations,
        chain_id=committed.chain_id,
        block_number=committed.block_number,
        block_hash=committed.block_hash,
        digest=await digests.at_block(connection) if is_current else None,
        contents=await table_hashes.read(connection),
        relations=list(await catalog.relations(connection)),
    )


async def prove(connection: asyncpg.Connection, manifest: Manifest) -> Proof:
    """Compare the database with the manifest, table by table and by digest."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        now = await table_hashes.read(connection)
        expected_digest = manifest.digest if manifest.migrations == migrate.known() else None
        digest = await digests.at_block(connection) if expected_digest else None
    names = now.keys() | manifest.contents.keys()
    differing = sorted(name for name in names if now.get(name) != manifest.contents.get(name))
    if digest != expected_digest:
        differing.append("digest")
    rows = sum(table.rows for table in now.values())
    return Proof(not differing, len(now), rows, differing, digest.all if digest else None)


def path_of(archive: Path) -> Path:
    """The path of an archive's manifest."""
    return archive.with_name(f"{archive.name}.manifest.json")


def sealed(manifest: Manifest, archive: Path) -> Manifest:
    """The manifest with size and hash of the written archive."""
    return msgspec.structs.replace(manifest, bytes=archive.stat().st_size, sha256=_sha256(archive))


def read(archive: Path) -> Manifest:
    """The manifest beside an archive, which is the one that it describes.

    BackupError: one of the two is missing, unreadable or changed, or a newer indexer made them.
    """
    path = path_of(archive)
    try:
        size = archive.stat().st_size
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise errors.BackupError(
            f"cannot read {error.filename}: {error.strerror}; a backup is two files, "
            f"{archive.name} and {path.name}"
        ) from error
    except msgspec.DecodeError as error:
        raise errors.BackupError(f"{path} is no manifest of a backup: {error}") from error
    if unknown := sorted(set(manifest.migrations) - set(migrate.known())):
        raise errors.BackupError(
            f"{archive} holds migrations unknown to this version ({', '.join(unknown)}): it was "
            "made by a newer indexer; upgrade this one"
        )
    if (size, _sha256(archive)) != (manifest.bytes, manifest.sha256):
        raise errors.BackupError(
            f"{archive} is not what {path.name} describes (size or SHA-256 differ): it is damaged "
            "or was changed; use another copy"
        )
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
