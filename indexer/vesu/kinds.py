"""Kinds of contracts: what a contract is and of which code generation."""

from __future__ import annotations

import enum


class Kind(enum.StrEnum):
    """Kind and generation; the value stands in configuration, log and tables."""

    POOL_FACTORY_V2 = "pool_factory_v2"
    POOL_V2 = "pool_v2"
    ORACLE_V2 = "oracle_v2"
    VTOKEN_V2 = "vtoken_v2"
    POOL_V1_0 = "pool_v1_0"
    POOL_V1_1 = "pool_v1_1"
    SINGLETON_V1_0 = "singleton_v1_0"
    EXTENSION_V1_0_GENESIS = "extension_v1_0_genesis"
    EXTENSION_V1_0 = "extension_v1_0"
    VTOKEN_V1_0 = "vtoken_v1_0"
    SINGLETON_V1_1 = "singleton_v1_1"
    EXTENSION_V1_1 = "extension_v1_1"
    VTOKEN_V1_1 = "vtoken_v1_1"


V2 = frozenset({Kind.POOL_FACTORY_V2, Kind.POOL_V2, Kind.ORACLE_V2, Kind.VTOKEN_V2})
"""The kinds of V2."""

FACTORIES = {Kind.POOL_FACTORY_V2: Kind.POOL_V2}
"""Factories, with the kind of the pools that they make: contracts of their own."""

SINGLETONS = frozenset({Kind.SINGLETON_V1_0, Kind.SINGLETON_V1_1})
"""V1: one contract that holds all pools of its generation."""

EXTENSIONS = {
    Kind.EXTENSION_V1_0_GENESIS: Kind.SINGLETON_V1_0,
    Kind.EXTENSION_V1_0: Kind.SINGLETON_V1_0,
    Kind.EXTENSION_V1_1: Kind.SINGLETON_V1_1,
}
"""V1: who sets prices, rates and limits of a singleton's pools, with that singleton's kind."""

V_TOKENS = {
    Kind.SINGLETON_V1_0: Kind.VTOKEN_V1_0,
    Kind.SINGLETON_V1_1: Kind.VTOKEN_V1_1,
}
"""V1: the kind of the vTokens of a singleton's pools."""

POOLS = {Kind.SINGLETON_V1_0: Kind.POOL_V1_0, Kind.SINGLETON_V1_1: Kind.POOL_V1_1}
"""V1: the kind of a singleton's pools, which are no contracts of their own."""
