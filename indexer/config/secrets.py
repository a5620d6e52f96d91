"""What the settings keep secret: keys of nodes and of the API, passwords of databases."""

from __future__ import annotations

from indexer import urls
from indexer.config import settings


def secrets_of(loaded: settings.Settings) -> list[str]:
    """Every secret of the settings, in each form in which it may be repeated."""
    of_nodes = [secret for url in loaded.node.urls for secret in urls.secrets_of(url)]
    databases = filter(None, (loaded.database.url, loaded.watch.database_url))
    passwords = [password for url in databases for password in urls.passwords_of(url)]
    of_api = [secret for secret in (*loaded.api.keys, loaded.api.cursor_secret) if secret]
    return [*of_nodes, *passwords, *of_api]
