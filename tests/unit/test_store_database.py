"""Database URLs in every spelling, and what is shown of them."""

from __future__ import annotations

import asyncpg
import hypothesis
import pytest
from hypothesis import strategies

from indexer import errors, urls
from indexer.store import database


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg"]
)
def test_every_spelling_reaches_every_driver(scheme: str) -> None:
    url = f"{scheme}://user:p%40ss@host:5433/name?sslmode=require"
    plain = "postgresql://user:p%40ss@host:5433/name?sslmode=require"
    assert database.asyncpg_url(url) == plain
    assert database.libpq_url(f" {url}\n") == plain


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("?sslmode=require&channel_binding=require", "?sslmode=require"),
        ("?connect_timeout=10", ""),
        ("?host=/run/postgresql&port=5432", "?host=/run/postgresql&port=5432"),
        ("?keepalives=1&options=-csearch_path%3Dours", "?options=-csearch_path%3Dours"),
        ("", ""),
    ],
)
def test_what_only_libpq_understands_is_kept_from_asyncpg(query: str, kept: str) -> None:
    url = f"postgresql://u@h/d{query}"
    assert database.asyncpg_url(url) == f"postgresql://u@h/d{kept}"
    assert database.libpq_url(url) == url


@pytest.mark.parametrize(
    "text",
    ["mysql://u:s3cret@h/d", "u:s3cret@h/d", "postgresql:/u:s3cret@h", "host=h password=s3cret"],
)
def test_what_is_no_url_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(errors.ConfigError, match="write postgresql://") as caught:
        database.asyncpg_url(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql://u:s3cret@h:5432/d?sslmode=require",
            "postgresql://u:***@h:5432/d?sslmode=require",
        ),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://h/d?user=u&password=s3cret&x=1", "postgresql://h/d?user=u&password=***&x=1"),
        ("postgresql://h/d?sslpassword=s3cret", "postgresql://h/d?sslpassword=***"),
        ("postgresql://u:s3#cr@e/t@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:s3cret@[::1/d", "postgresql://u:***@[::1/d"),
        ("postgresql:///d?host=/run/x", "postgresql:///d?host=/run/x"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert urls.redact(url) == shown


@hypothesis.given(strategies.text("abc:@/?#&=%[]", min_size=1, max_size=20))
def test_no_quoting_mistake_shows_a_password(password: str) -> None:
    secret = f"Q{password}Q"
    assert "Q" not in urls.redact(f"postgresql://user:{secret}@host:5432/name")
    assert urls.redact(f"postgresql://user:{secret}@host/d") == "postgresql://user:***@host/d"


def test_an_old_server_is_refused() -> None:
    for major in (13, 18):
        database.check_version(major)
    with pytest.raises(errors.SchemaError, match="runs PostgreSQL 12; the indexer needs 13"):
        database.check_version(12)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.InvalidPasswordError("no"), errors.DatabaseRightsError),
        (asyncpg.InvalidAuthorizationSpecificationError("no"), errors.DatabaseRightsError),
        (asyncpg.InsufficientPrivilegeError("no"), errors.DatabaseRightsError),
        (asyncpg.InvalidCatalogNameError("no"), errors.DatabaseUnavailableError),
        (asyncpg.CannotConnectNowError("no"), errors.DatabaseUnavailableError),
        (asyncpg.TooManyConnectionsError("no"), errors.DatabaseUnavailableError),
        (asyncpg.ConnectionDoesNotExistError("no"), errors.DatabaseUnavailableError),
        (asyncpg.InterfaceError("connection is closed"), errors.DatabaseUnavailableError),
        (asyncpg.UndefinedObjectError("no"), errors.ConfigError),
        (ConnectionResetError("no"), errors.DatabaseUnavailableError),
        (TimeoutError(), errors.DatabaseUnavailableError),
        (ValueError("no"), errors.ConfigError),
    ],
)
def test_each_error_of_connecting_gets_a_line_of_ours(
    error: Exception, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught, database.translated_errors("postgresql://u:s3cret@h/d"):
        raise error
    assert "postgresql://u:***@h/d" in str(caught.value)
    assert caught.value.__cause__ is error


def test_a_lost_connection_is_not_any_error() -> None:
    assert database.is_connection_lost(asyncpg.AdminShutdownError("no"))
    assert database.is_connection_lost(asyncpg.ConnectionDoesNotExistError("no"))
    assert database.is_connection_lost(BrokenPipeError("no"))
    assert database.is_connection_lost(asyncpg.InternalClientError("no"))
    assert database.is_connection_lost(ConnectionResetError("no"))
    assert not database.is_connection_lost(asyncpg.QueryCanceledError("no"))
    assert not database.is_connection_lost(asyncpg.UniqueViolationError("no"))
