"""The settings: defaults, then a TOML file, then .env, the environment, flags; the last wins.

The file is the one given, else the one that VESU_CONFIG names, else ./config.toml if it is there;
.env is read beside it, or where --env-file says. Variables that Kubernetes makes are no settings.
`database.url` beats the DB_* variables wherever it comes from. Empty text counts as not given.
Every key has a variable VESU_<SECTION>_<KEY>; VESU_TEST_* belongs to the tests and is left alone.
"""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from indexer import errors
from indexer.config import entries, environment, sections, values

CHAIN_IDS = {"mainnet": "SN_MAIN", "sepolia": "SN_SEPOLIA"}
NOT_SETTINGS = ("VESU_CONFIG", "VESU_TEST_")


class Settings(msgspec.Struct, frozen=True):
    """All settings, checked. `data_dir` is absolute; None for a user without a home."""

    data_dir: Path | None
    network: sections.Network = sections.Network()
    node: sections.Node = sections.Node()
    database: sections.Database = sections.Database()
    ingest: sections.Ingest = sections.Ingest()
    health: sections.Health = sections.Health()
    prices: sections.Prices = sections.Prices()
    valuation: sections.Valuation = sections.Valuation()
    reconcile: sections.Reconcile = sections.Reconcile()
    trust: sections.Trust = sections.Trust()
    watch: sections.Watch = sections.Watch()
    abi: sections.Abi = sections.Abi()
    api: sections.Api = sections.Api()
    maintenance: sections.Maintenance = sections.Maintenance()
    log: sections.Log = sections.Log()
    database_note: str | None = None
    """Where `database.url` comes from, where that is not obvious; for messages."""

    def require_node(self) -> None:
        """Raise ConfigError unless at least one node is configured."""
        if not self.node.urls:
            raise errors.ConfigError(
                "node.urls is empty: set it in config.toml, or VESU_NODE_URLS, to the HTTP "
                "address of a Starknet node"
            )

    def data_folder(self) -> Path:
        """The data folder; ConfigError where none is set and the user has no home."""
        if self.data_dir is None:
            raise errors.ConfigError(
                "data_dir is not set and this user has no home to put it in: set VESU_DATA_DIR to "
                "a folder, or DATABASE_URL to a database"
            )
        return self.data_dir


class LayerValue(msgspec.Struct, frozen=True):
    """A value as one layer gave it: `source` names the layer in errors; `text` allows "8080"."""

    value: object
    source: str
    text: bool = False


def load(
    path: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    env_file: Path | None = None,
) -> Settings:
    """Read the settings; `flags` maps dotted keys to values, where None means not given.

    Raises ConfigError, in one line that names the key, its source and the remedy.
    """
    file = _find_file(path, environ)
    layer_values = {} if file is None else _from_file(file)
    env_file = environment.find_file(env_file, file)
    variables = environment.read(environ, env_file)
    layer_values |= _from_variables(variables)
    layer_values |= _from_flags(flags)
    note = _database_note(layer_values, variables, env_file)
    if "database.url" not in layer_values:
        layer_values |= _from_guide_variables(variables)
    converted = {key: _convert(key, item) for key, item in layer_values.items()}
    return msgspec.structs.replace(_assemble(converted, environ), database_note=note)


def _database_note(
    layer_values: Mapping[str, LayerValue],
    variables: Mapping[str, environment.Variable],
    env_file: Path | None,
) -> str | None:
    """What to say of where the database's address stands; None: nothing, it is obvious."""
    parts = [name for name in CONNECTION_VARIABLES if name in variables and variables[name].text]
    used = layer_values.get("database.url")
    if used is not None and parts:
        return f"{used.source}; {', '.join(parts)} are set too, and not used"
    sources = [used.source] if used else [variables[name].source for name in parts]
    is_from_file = env_file is not None and any(
        source.startswith(f"{env_file}: ") for source in sources
    )
    return str(env_file) if is_from_file else None


def _sections() -> dict[str, type[msgspec.Struct]]:
    hints = typing.get_type_hints(Settings)
    return {name: hint for name, hint in hints.items() if _is_section(hint)}


def _is_section(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _key_types() -> dict[str, Any]:
    types: dict[str, Any] = {"data_dir": str}
    for section, struct in _sections().items():
        for field, hint in typing.get_type_hints(struct, include_extras=True).items():
            types[f"{section}.{field}"] = hint
    return types


KEY_TYPES = _key_types()
"""Every key, dotted, with the type of its value."""
VARIABLES = {f"VESU_{key.replace('.', '_').upper()}": key for key in KEY_TYPES}
GUIDE_VARIABLES = {
    "DATABASE_URL": "database.url",
    "DB_SSL": "database.ssl",
    "DB_POOL_MAX": "database.pool_max",
    "DB_POOL_MIN": "database.pool_min",
    "DB_POOL_ACQUIRE": "database.acquire_ms",
    "DB_POOL_IDLE": "database.idle_ms",
}
CONNECTION_VARIABLES = ("DB_NAME", "DB_USER", "DB_PASSWORD", "DB_HOST", "DB_PORT")


def _find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if named := environ.get("VESU_CONFIG"):
        return Path(named)
    default_file = Path("config.toml")
    return default_file if default_file.is_file() else None


def _from_file(file: Path) -> dict[str, LayerValue]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise errors.ConfigError(
            f"{file} cannot be read ({error.strerror}): give a readable file with --config or "
            "VESU_CONFIG"
        ) from error
    except ValueError as error:
        raise errors.ConfigError(f"{file} is not valid TOML: {error}") from error
    layer_values = {key: LayerValue(value, str(file)) for key, value in _flatten(tables, file)}
    if "data_dir" in layer_values and isinstance(layer_values["data_dir"].value, str):
        # A relative directory in the file is meant beside the file, wherever it is read from.
        try:
            data_folder = file.absolute().parent / values.expanded(layer_values["data_dir"].value)
        except ValueError as error:
            raise errors.ConfigError(f"{file}: data_dir: {error}") from error
        layer_values["data_dir"] = LayerValue(str(data_folder), str(file))
    return layer_values


def _flatten(tables: Mapping[str, Any], file: Path) -> Iterable[tuple[str, object]]:
    sections = _sections()
    for name, value in tables.items():
        if name not in sections and name != "data_dir":
            raise errors.ConfigError(f"{file}: {values.unknown_key(name, [*sections, 'data_dir'])}")
        if name == "data_dir":
            entries = {name: value}
        elif isinstance(value, dict):
            entries = {f"{name}.{field}": item for field, item in value.items()}
        else:
            raise errors.ConfigError(f"{file}: {name} is a table: write [{name}] and its keys")
        for key, item in entries.items():
            _require_known(key, str(file))
            if item != "":
                yield key, item


def _from_variables(variables: Mapping[str, environment.Variable]) -> dict[str, LayerValue]:
    for name, variable in variables.items():
        if name.startswith("VESU_") and name not in VARIABLES and not name.startswith(NOT_SETTINGS):
            where = variable.source.removesuffix(f"variable {name}").rstrip()
            raise errors.ConfigError(
                f"{where.removesuffix(f': {name}')}: {values.unknown_variable(name, VARIABLES)}"
            )
    # The specific names come last, so that they win over the guide's.
    return {
        key: LayerValue(variables[name].text, variables[name].source, text=True)
        for name, key in (GUIDE_VARIABLES | VARIABLES).items()
        if name in variables and variables[name].text
    }


def _from_guide_variables(variables: Mapping[str, environment.Variable]) -> dict[str, LayerValue]:
    """One database URL from DB_NAME, DB_USER, DB_PASSWORD, DB_HOST and DB_PORT, if any is set."""
    environ = {name: variable.text for name, variable in variables.items()}
    present = [name for name in CONNECTION_VARIABLES if environ.get(name)]
    if not present:
        return {}
    if "DB_NAME" not in present:
        raise errors.ConfigError(
            f"environment: {present[0]} is set but DB_NAME is not: set DB_NAME too, or DATABASE_URL"
        )
    port = environ.get("DB_PORT") or "5432"
    if not (port.isascii() and port.isdecimal() and 0 < int(port) <= 65535):
        raise errors.ConfigError(
            "environment variable DB_PORT: must be a port number from 1 to 65535"
        )
    return {
        "database.url": LayerValue(
            values.guide_url(environ, port), "environment variables DB_*", text=True
        )
    }


def _from_flags(flags: Mapping[str, object]) -> dict[str, LayerValue]:
    for key in flags:
        _require_known(key, "command line")
    return {
        key: LayerValue(value, "command line", text=True)
        for key, value in flags.items()
        if value is not None and value != ""
    }


def _require_known(key: str, source: str) -> None:
    if key not in KEY_TYPES:
        section = f"{key.partition('.')[0]}."
        siblings = [known for known in KEY_TYPES if known.startswith(section)]
        raise errors.ConfigError(f"{source}: {values.unknown_key(key, siblings, section)}")


def _convert(key: str, layer_value: LayerValue) -> Any:
    """The value in its key's type and normal form; ConfigError without the value's text."""
    try:
        typed = msgspec.convert(
            _shaped(key, layer_value), KEY_TYPES[key], strict=not layer_value.text
        )
        normalise = NORMALISERS.get(key)
        return normalise(typed) if normalise else typed
    except ValueError as error:
        # msgspec.ValidationError is a ValueError too; a path in it (`$[0].kind`) is kept.
        reason = values.plain(str(error))
        raise errors.ConfigError(
            f"{layer_value.source}: {key}: {reason}{_remedy(key, reason)}"
        ) from error


LISTS = frozenset({"node.urls", "trust.pools", "api.keys", "api.cors_origins"})
"""Keys whose variable holds several values, separated by commas or blanks."""


def _shaped(key: str, layer_value: LayerValue) -> object:
    """Text of the environment as the structure that the file would hold."""
    value = layer_value.value
    if isinstance(value, Path):
        return str(value)
    if key in LISTS and isinstance(value, str):
        return value.replace(",", " ").split()
    if key == "network.contracts":
        entries = values.json_array(value) if isinstance(value, str) else value
        _require_known_fields(entries)
        return entries
    if typing.get_origin(KEY_TYPES[key]) is Literal and isinstance(value, str):
        return value.lower()
    return value


def _require_known_fields(entries: object) -> None:
    fields = sections.ContractEntry.__struct_fields__
    for entry in entries if isinstance(entries, list) else ():
        for name in entry if isinstance(entry, dict) else ():
            if name not in fields:
                raise ValueError(values.unknown_key(name, fields))


def _remedy(key: str, reason: str) -> str:
    if "the form of a name" in reason:
        return " (lower-case letters, digits and _, not pg_ at its beginning)"
    if "enum value" not in reason:
        return ""
    allowed = sections.ContractKind if key == "network.contracts" else KEY_TYPES[key]
    return f" (one of {', '.join(typing.get_args(allowed))})"


NORMALISERS: dict[str, Callable[[Any], object]] = {
    "data_dir": lambda text: values.expanded(text).absolute(),
    "abi.folder": lambda text: str(values.expanded(text)),
    "network.chain_id": values.chain_id,
    "network.contracts": entries.contracts,
    "node.urls": values.node_urls,
    "trust.pools": values.pool_ids,
    "database.url": values.database_url,
    "watch.database_url": values.database_url,
}


def _assemble(converted: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    fields: dict[str, Any] = {
        section: struct(**_section_values(section, converted))
        for section, struct in _sections().items()
    }
    network = _checked_network(fields["network"], converted)
    database = _checked_database(fields["database"])
    data_dir = converted.get("data_dir") or values.default_data_dir(environ)
    checked = {
        "network": network,
        "database": database,
        "watch": _checked_watch(fields["watch"], database),
    }
    return Settings(data_dir, **(fields | checked))


def _section_values(section: str, converted: Mapping[str, Any]) -> dict[str, Any]:
    prefix = f"{section}."
    return {
        key.removeprefix(prefix): item for key, item in converted.items() if key.startswith(prefix)
    }


def _checked_network(network: sections.Network, converted: Mapping[str, Any]) -> sections.Network:
    """Hold a custom network to naming its chain and contracts, a known one to its own."""
    if network.name == "custom":
        if "network.chain_id" not in converted:
            raise errors.ConfigError("network.chain_id is missing: a custom network needs it")
        if not network.contracts:
            raise errors.ConfigError(
                "network.contracts is missing: a custom network needs at least one "
                "[[network.contracts]] with kind, address and from_block"
            )
        return network
    if network.contracts:
        raise errors.ConfigError(
            f'network.contracts is for network.name = "custom", not "{network.name}": '
            "change the name or leave the contracts out"
        )
    chain_id = values.chain_id(CHAIN_IDS[network.name])
    if converted.get("network.chain_id", chain_id) != chain_id:
        raise errors.ConfigError(
            f'network.chain_id is not that of network.name = "{network.name}" '
            f'({CHAIN_IDS[network.name]}): leave it out, or set network.name = "custom"'
        )
    return msgspec.structs.replace(network, chain_id=chain_id)


def _checked_watch(watch: sections.Watch, database: sections.Database) -> sections.Watch:
    """The same TLS and schema as for the database, which it is too, under another role."""
    url = watch.database_url
    if url is None:
        return watch
    url = values.with_ssl(url) if database.ssl else url
    schema = None if "options=" in url else database.schema
    return msgspec.structs.replace(watch, database_url=values.with_schema(url, schema))


def _checked_database(database: sections.Database) -> sections.Database:
    if database.pool_min > database.pool_max:
        raise errors.ConfigError(
            f"database.pool_min ({database.pool_min}) is above database.pool_max "
            f"({database.pool_max}): lower the one or raise the other"
        )
    url = database.url
    if url is None:
        return database
    if database.schema is not None and "options=" in url:
        raise errors.ConfigError(
            "database.schema and options= in database.url exclude each other: leave one out"
        )
    url = values.with_ssl(url) if database.ssl else url
    return msgspec.structs.replace(database, url=values.with_schema(url, database.schema))
