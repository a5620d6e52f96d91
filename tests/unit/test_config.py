"""The settings: layers and their order, the shipped file, one-line errors, hidden secrets."""

from __future__ import annotations

import re
import tomllib
import typing
from pathlib import Path

import msgspec
import pytest

from indexer import config, errors
from indexer.cairo import felt252
from indexer.config import sections, values
from indexer.vesu import kinds

SHIPPED = Path(__file__).parents[2] / "config.toml"
FACTORY = "0x3760f903a37948f97302736f89ce30290e45f441559325026842b7a6fb388c0"
CUSTOM = f"""
[network]
name = "custom"
chain_id = "SN_SEPOLIA"
[[network.contracts]]
kind = "pool_factory_v2"
address = "{FACTORY}"
from_block = 7
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the checkout's own config.toml out of the way."""
    monkeypatch.chdir(tmp_path)


def load(
    file_text: str | None = None, environ: dict[str, str] | None = None, **flags: object
) -> config.Settings:
    path = None
    if file_text is not None:
        path = Path("given.toml")
        path.write_text(file_text, encoding="utf-8")
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    return config.load(path, {"HOME": "/home"} | (environ or {}), dotted)


def refusal(*args: object, **flags: object) -> str:
    with pytest.raises(errors.ConfigError) as caught:
        load(*args, **flags)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_nothing_given_gives_the_defaults() -> None:
    settings = load()
    assert settings.network == sections.Network()
    assert settings.network.chain_id == "0x534e5f4d41494e"
    assert settings.database.url is None
    assert (settings.api.host, settings.api.port) == ("127.0.0.1", 8080)
    assert settings.data_dir == Path("/home/.local/share/vesu-indexer")


def test_the_shipped_file_states_every_key_with_its_default() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert config.load(SHIPPED, {"HOME": "/home"}, {}) == load()
    stated = {
        f"{section}.{key}": value
        for section, table in tomllib.loads(text).items()
        for key, value in table.items()
    }
    defaults = {
        f"{section}.{key}": value
        for section, table in msgspec.to_builtins(load(), enc_hook=str).items()
        if isinstance(table, dict)
        for key, value in table.items()
    }
    for key, value in stated.items():
        assert value == (list(defaults[key]) if isinstance(value, list) else defaults[key]), key
    missing = set(config.KEY_TYPES) - set(stated)
    assert missing == {
        "data_dir",
        "network.chain_id",
        "network.start_block",
        "network.contracts",
        "database.url",
        "database.schema",
        "abi.folder",
        "health.halt_seconds",
        "health.price_seconds",
        "watch.database_url",
    }
    for key in missing:
        name = key.partition(".")[2] or key
        assert re.search(rf"^# (\[\[network\.)?{name}( = |\]\])", text, re.MULTILINE), key


def test_the_shipped_file_with_its_examples_is_valid() -> None:
    text = re.sub(r"^# ([a-z_]+ = |\[\[)", r"\1", SHIPPED.read_text("utf-8"), flags=re.MULTILINE)
    settings = load(text.replace('name = "mainnet"', 'name = "custom"'))
    assert settings.network.contracts[0].kind == "pool_factory_v2"
    assert settings.data_dir == Path("/var/lib/vesu-indexer")
    assert settings.database.url == (
        "postgresql://vesu:secret@localhost:5432/vesu?options=-csearch_path%3Dvesu"
    )


def test_later_layers_win() -> None:
    file = "[api]\nport = 1001\nhost = 'file'\n[log]\nlevel = 'debug'\n"
    environ = {"VESU_API_PORT": "1002", "VESU_API_HOST": "environment"}
    settings = load(file, environ, api__port=1003, api__host=None)
    assert settings.api == sections.Api(host="environment", port=1003)
    assert settings.log.level == "debug"


def test_the_file_is_the_given_one_then_the_named_one_then_the_local_one() -> None:
    Path("config.toml").write_text("[api]\nport = 1", encoding="utf-8")
    Path("named.toml").write_text("[api]\nport = 2", encoding="utf-8")
    assert load().api.port == 1
    assert load(environ={"VESU_CONFIG": "named.toml"}).api.port == 2
    assert load("[api]\nport = 3", {"VESU_CONFIG": "named.toml"}).api.port == 3


@pytest.mark.parametrize("environ", [{"VESU_CONFIG": "gone.toml"}])
def test_a_named_file_must_be_there(environ: dict[str, str]) -> None:
    message = refusal(environ=environ)
    assert "gone.toml" in message
    assert "VESU_CONFIG" in message


def test_every_key_can_be_set_by_its_variable() -> None:
    values: dict[str, tuple[str, object]] = {
        "VESU_DATA_DIR": ("/d", Path("/d")),
        "VESU_NETWORK_NAME": ("custom", "custom"),
        "VESU_NETWORK_CHAIN_ID": ("0x0A", "0xa"),
        "VESU_NETWORK_START_BLOCK": ("9", 9),
        "VESU_NETWORK_CONTRACTS": (
            '[{"kind": "singleton_v1_0", "address": "0xA", "from_block": 1}]',
            (sections.ContractEntry("singleton_v1_0", "0x" + "a".zfill(64), 1),),
        ),
        "VESU_NODE_URLS": ("https://a/1, http://b:2", ("https://a/1", "http://b:2")),
        "VESU_NODE_POLL_INTERVAL_SECONDS": ("0.5", 0.5),
        "VESU_NODE_REQUEST_TIMEOUT_SECONDS": ("3", 3.0),
        "VESU_NODE_MAX_CONCURRENCY": ("4", 4),
        "VESU_NODE_MAX_REQUESTS_PER_SECOND": ("5", 5.0),
        "VESU_NODE_PROBE_SECONDS": ("7", 7.0),
        "VESU_NODE_RETURN_SECONDS": ("8", 8.0),
        "VESU_NODE_START_TIMEOUT_SECONDS": ("0", 0.0),
        "VESU_NODE_CONFIRM_ROLLBACK_DEPTH": ("0", 0),
        "VESU_NODE_CONFIRM_LOOKS": ("5", 5),
        "VESU_DATABASE_URL": (
            "postgres://h/n",
            "postgresql://h/n?sslmode=require&options=-csearch_path%3Dvesu",
        ),
        "VESU_DATABASE_POOL_MIN": ("0", 0),
        "VESU_DATABASE_POOL_MAX": ("3", 3),
        "VESU_DATABASE_ACQUIRE_MS": ("10", 10),
        "VESU_DATABASE_IDLE_MS": ("20", 20),
        "VESU_DATABASE_SSL": ("true", True),
        "VESU_DATABASE_SCHEMA": ("vesu", "vesu"),
        "VESU_INGEST_VERIFY": ("ALL", "all"),
        "VESU_INGEST_VERIFY_SAMPLE_RATE": ("0.25", 0.25),
        "VESU_INGEST_VERIFY_SEED": ("9", 9),
        "VESU_INGEST_VERIFY_NEAR_BLOCKS": ("7", 7),
        "VESU_INGEST_VERIFY_BLOCKS_PER_MINUTE": ("0", 0),
        "VESU_INGEST_BATCH_EVENTS": ("77", 77),
        "VESU_INGEST_DEFER_INDEXES_FROM": ("77", 77),
        "VESU_HEALTH_SILENCE_SECONDS": ("60", 60.0),
        "VESU_HEALTH_STALE_SECONDS": ("90", 90.0),
        "VESU_HEALTH_HALT_SECONDS": ("0", 0.0),
        "VESU_HEALTH_PRICE_SECONDS": ("60", 60.0),
        "VESU_PRICES_SAMPLE_SECONDS": ("30", 30),
        "VESU_PRICES_BACKFILL_SECONDS": ("3600", 3600),
        "VESU_VALUATION_MAX_AGE_SECONDS": ("600", 600),
        "VESU_RECONCILE_EVERY_SECONDS": ("0", 0),
        "VESU_RECONCILE_SAMPLE": ("9", 9),
        "VESU_TRUST_POOLS": ("0x1, 0xA 0x01", (felt252.padded(1), felt252.padded(10))),
        "VESU_WATCH_DROP_AFTER_SECONDS": ("60", 60.0),
        "VESU_WATCH_DATABASE_URL": (
            "postgres://w@host/db",
            "postgresql://w@host/db?sslmode=require&options=-csearch_path%3Dvesu",
        ),
        "VESU_ABI_FOLDER": ("/abis", "/abis"),
        "VESU_API_HOST": ("::1", "::1"),
        "VESU_API_PORT": ("0", 0),
        "VESU_API_KEYS": ("one, two three", ("one", "two", "three")),
        "VESU_API_REQUIRE_KEY": ("true", True),
        "VESU_API_REQUESTS_PER_MINUTE": ("600", 600),
        "VESU_API_MAX_CONCURRENCY": ("8", 8),
        "VESU_API_STATEMENT_SECONDS": ("2", 2.0),
        "VESU_API_CURSOR_SECRET": ("secret", "secret"),
        "VESU_API_CORS_ORIGINS": ("https://a.example", ("https://a.example",)),
        "VESU_MAINTENANCE_RETAIN_ORPHANS_DAYS": ("90", 90),
        "VESU_LOG_LEVEL": ("WARNING", "warning"),
        "VESU_LOG_FORMAT": ("json", "json"),
    }
    assert set(values) == set(config.VARIABLES)
    settings = load(environ={name: text for name, (text, _) in values.items()})
    for name, (_, expected) in values.items():
        section, _, field = config.VARIABLES[name].partition(".")
        found = getattr(settings, section)
        assert (getattr(found, field) if field else found) == expected, name


def test_the_guides_variables_make_one_url_and_pool() -> None:
    guide = {
        "DB_NAME": "engipay_db",
        "DB_USER": "engipay user",
        "DB_PASSWORD": "p:/@ss",
        "DB_HOST": "db",
        "DB_PORT": "5433",
        "DB_SSL": "false",
        "DB_POOL_MAX": "20",
        "DB_POOL_MIN": "1",
        "DB_POOL_ACQUIRE": "60000",
        "DB_POOL_IDLE": "5000",
    }
    database = load(environ=guide).database
    assert database == sections.Database(
        "postgresql://engipay%20user:p%3A%2F%40ss@db:5433/engipay_db", 1, 20, 60000, 5000
    )
    ssl = load(environ=guide | {"DB_SSL": "true"}).database
    assert ssl.url == f"{database.url}?sslmode=require"


def test_a_url_wins_over_the_guides_parts_wherever_it_comes_from() -> None:
    parts = {"DB_NAME": "parts", "DB_HOST": "parts"}
    in_file = "[database]\nurl = 'postgresql://file/n'"
    assert load(in_file, parts).database.url == "postgresql://file/n"
    both = parts | {"DATABASE_URL": "postgresql+psycopg://plain/n"}
    assert load(in_file, both).database.url == "postgresql://plain/n"
    named = both | {"VESU_DATABASE_URL": "postgresql://named/n"}
    assert load(in_file, named).database.url == "postgresql://named/n"
    flag = "postgresql://flag/n"
    assert load(in_file, named, database__url=flag).database.url == flag


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "postgresql://localhost:5432/n"),
        ("::1", "postgresql://[::1]:5432/n"),
        ("/run/pg", "postgresql:///n?host=%2Frun%2Fpg&port=5432"),
    ],
)
def test_the_guides_host_may_be_missing_an_ipv6_address_or_a_socket(host: str, url: str) -> None:
    assert load(environ={"DB_NAME": "n", "DB_HOST": host}).database.url == url


def test_ssl_leaves_an_explicit_mode_alone() -> None:
    url = "postgresql://h/n?sslmode=verify-full"
    assert load(environ={"DATABASE_URL": url, "DB_SSL": "1"}).database.url == url


def test_empty_texts_and_the_tests_variables_count_as_not_given() -> None:
    environ = {"DATABASE_URL": "", "VESU_NODE_URLS": "", "VESU_TEST_PG": "system"}
    assert load("[database]\nurl = ''", environ, api__host="") == load()


def test_data_dir_follows_xdg_the_file_and_the_current_folder(tmp_path: Path) -> None:
    assert load(environ={"XDG_DATA_HOME": "/x"}).data_dir == Path("/x/vesu-indexer")
    assert load(environ={"XDG_DATA_HOME": "relative"}).data_dir == load().data_dir
    Path("sub").mkdir()
    Path("sub/c.toml").write_text("data_dir = 'd'", encoding="utf-8")
    assert config.load(Path("sub/c.toml"), {}, {}).data_dir == tmp_path / "sub/d"
    assert load(environ={"VESU_DATA_DIR": "d"}).data_dir == tmp_path / "d"
    assert load(data_dir=Path("e")).data_dir == tmp_path / "e"


def test_a_custom_network_is_held_to_its_own_names() -> None:
    network = load(CUSTOM).network
    assert network.chain_id == "0x534e5f5345504f4c4941"
    assert network.contracts == (sections.ContractEntry("pool_factory_v2", f"0x0{FACTORY[2:]}", 7),)


def test_the_configurable_kinds_are_kinds_of_the_protocol() -> None:
    assert set(typing.get_args(sections.ContractKind)) <= {kind.value for kind in kinds.Kind}


@pytest.mark.parametrize("name", config.CHAIN_IDS)
def test_a_known_network_brings_its_chain_id(name: str) -> None:
    assert load(network__name=name).network.chain_id == values.chain_id(config.CHAIN_IDS[name])
    load(network__name=name, network__chain_id=config.CHAIN_IDS[name])


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("[node]\nurl = []", ["given.toml", "node.url;", "node.urls"]),
        ("[nodes]\nurls = []", ["given.toml", "nodes;", "node"]),
        ("data_dr = 'x'", ["data_dr;", "data_dir"]),
        ("api = 1", ["api is a table", "[api]"]),
        ("[api]\nport = '80'", ["given.toml: api.port", "a whole number", "not text"]),
        ("[database]\nschema = 'Ve-su'", ["database.schema: has not the form of a name (lower-"]),
        ("[database]\nurl = 5", ["database.url: must be text, not a whole number"]),
        ("[node]\nurls = [1]", ["node.urls: must be text, not a whole number - at `$[0]`"]),
        ("[api]\nrequire_key = 1", ["api.require_key: must be true or false"]),
        ("[api]\nport = 65536", ["api.port", "65535"]),
        ("[api]\nport = -1", ["api.port", ">= 0"]),
        ("[node]\nmax_concurrency = 0", ["node.max_concurrency", ">= 1"]),
        ("[node]\npoll_interval_seconds = nan", ["node.poll_interval_seconds"]),
        ("[node]\nrequest_timeout_seconds = inf", ["node.request_timeout_seconds"]),
        ("[node]\nurls = ['https://ok', 'ws://x']", ["node.urls", "http", "$[1]"]),
        ("[node]\nurls = ['http://[x']", ["node.urls", "$[0]"]),
        ("[node]\nurls = ['http://a;http://b']", ["node.urls", "separated by commas", "$[0]"]),
        ("[node]\nurls = ['http://a,https://b/c']", ["node.urls", "separated by commas", "$[0]"]),
        ("[node]\nurls = ['http://a http://b']", ["node.urls", "separated by commas", "$[0]"]),
        ("[database]\nssl = 'no'", ["database.ssl", "true or false"]),
        ("[database]\nurl = 'mysql://x'", ["database.url", "postgresql://"]),
        ("[database]\npool_min = 11", ["database.pool_min", "database.pool_max"]),
        ("[log]\nlevel = 'loud'", ["log.level", "debug, info, warning, error"]),
        ("[log]\nlevel = ?", ["given.toml", "not valid TOML", "line 2"]),
        ("[network]\nname = 'custom'", ["network.chain_id", "custom"]),
        (CUSTOM.partition("[[")[0], ["network.contracts", "[[network.contracts]]"]),
        (CUSTOM.replace("custom", "sepolia"), ["network.contracts", "custom", "sepolia"]),
        ("[network]\nchain_id = 'SN_SEPOLIA'", ["network.chain_id", "mainnet", "SN_MAIN"]),
        ("[network]\nchain_id = '0xZZ'", ["network.chain_id", "hex"]),
        ("[network]\nstart_block = -1", ["network.start_block", ">= 0"]),
        (CUSTOM.replace(FACTORY, "0x_1"), ["network.contracts", "hex", "$[0].address"]),
        (CUSTOM.replace(FACTORY, "0x0"), ["network.contracts", "felt"]),
        (CUSTOM.replace(FACTORY, f"{felt252.PRIME:#x}"), ["felt"]),
        (CUSTOM.replace("_v2", "_v3"), ["$[0].kind", "pool_factory_v2"]),
        (CUSTOM.replace("from_block", "from_blok"), ["from_blok", "from_block"]),
        (CUSTOM.replace("from_block = 7", ""), ["network.contracts", "from_block"]),
        (CUSTOM + CUSTOM.partition("chain_id")[2].partition("\n")[2], ["twice"]),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_key_and_remedy(
    file: str, parts: list[str]
) -> None:
    message = refusal(file)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("environ", "parts"),
    [
        ({"VESU_NODE_URL": "x"}, ["VESU_NODE_URL;", "VESU_NODE_URLS"]),
        ({"VESU_API_PORT": "http"}, ["VESU_API_PORT", "api.port"]),
        ({"VESU_NETWORK_CONTRACTS": "{"}, ["VESU_NETWORK_CONTRACTS", "JSON"]),
        ({"DB_HOST": "db"}, ["DB_HOST", "DB_NAME", "DATABASE_URL"]),
        ({"DB_NAME": "n", "DB_PORT": "65536"}, ["DB_PORT", "65535"]),
        ({"DB_POOL_MAX": "many"}, ["DB_POOL_MAX", "database.pool_max"]),
        ({"DB_SSL": "maybe"}, ["DB_SSL", "true or false"]),
    ],
)
def test_a_wrong_environment_is_refused_by_variable(
    environ: dict[str, str], parts: list[str]
) -> None:
    message = refusal(environ=environ)
    for part in parts:
        assert part in message


def test_an_unknown_or_wrong_flag_is_refused() -> None:
    assert "api.port" in refusal(api__prot=1)
    assert refusal(api__port="x").startswith("command line: api.port")


def test_a_node_is_required_only_where_it_is_needed() -> None:
    with pytest.raises(errors.ConfigError, match=r"node\.urls.*VESU_NODE_URLS"):
        load().require_node()
    load(environ={"VESU_NODE_URLS": "http://127.0.0.1:5050"}).require_node()


def test_secrets_are_hidden_in_views_and_in_errors() -> None:
    settings = load(
        environ={
            "VESU_NODE_URLS": "https://h:9/v2/SECRET http://SECRET@h/?key=SECRET http://bare:1/",
            "DATABASE_URL": "postgresql://me:SECRET@db:1/n?password=SECRET&sslmode=require",
            "VESU_API_KEYS": "SECRET SECRET",
            "VESU_API_CURSOR_SECRET": "SECRET",
        }
    )
    for text in (repr(settings), str(settings)):
        assert "SECRET" not in text
    assert "SECRET" not in refusal(environ={"VESU_NODE_URLS": "h/SECRET"})
    assert "SECRET" not in refusal(environ={"DATABASE_URL": "mysql://SECRET@h"})
