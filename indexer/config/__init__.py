"""Configuration: defaults, the TOML file, the environment and flags, checked into typed values."""

from indexer.config.environment import of_services as variables_of_services
from indexer.config.secrets import secrets_of
from indexer.config.settings import CHAIN_IDS, KEY_TYPES, VARIABLES, Settings, load

__all__ = [
    "CHAIN_IDS",
    "KEY_TYPES",
    "VARIABLES",
    "Settings",
    "load",
    "secrets_of",
    "variables_of_services",
]
