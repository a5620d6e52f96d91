"""The contracts that discovery starts from, by network.

Everything else (pools, vTokens, oracles, tokens) is discovered on chain. First blocks are the
official listing or deployment blocks; where only a floor is public, the floor.
"""

from __future__ import annotations

from typing import NamedTuple

from indexer.vesu import kinds

SN_MAIN = 0x534E5F4D41494E
SN_SEPOLIA = 0x534E5F5345504F4C4941

V1_0_FIRST_BLOCK = 654_244
V1_1_FIRST_BLOCK = 1_439_949
V2_FIRST_BLOCK = 2_000_000


class Contract(NamedTuple):
    """A contract to start from, and the first block that may hold an event of it."""

    kind: kinds.Kind
    address: int
    from_block: int


def mainnet() -> tuple[Contract, ...]:
    """Vesu on Starknet mainnet, every generation."""
    kind = kinds.Kind
    return (
        Contract(
            kind.SINGLETON_V1_0,
            0x02545B2E5D519FC230E9CD781046D3A64E092114F07E44771E0D719D148725EF,
            V1_0_FIRST_BLOCK,
        ),
        Contract(
            kind.EXTENSION_V1_0_GENESIS,
            0x02334189E831D804D4A11D3F71D4A982EC82614AC12ED2E9CA2F8DA4E6374FA,
            V1_0_FIRST_BLOCK,
        ),
        Contract(
            kind.EXTENSION_V1_0,
            0x07CF3881EB4A58E76B41A792FA151510E7057037D80EDA334682BD3E73389EC0,
            V1_0_FIRST_BLOCK,
        ),
        Contract(
            kind.EXTENSION_V1_0,
            0x04E09A4FA7AB1A6B08693F5D89AB0B9DB2DE00A9B7D1C8F8AD286A665EFFD446,
            V1_0_FIRST_BLOCK,
        ),
        Contract(
            kind.SINGLETON_V1_1,
            0x000D8D6DFEC4D33BFB6895DE9F3852143A17C6F92FD2A21DA3D6924D34870160,
            V1_1_FIRST_BLOCK,
        ),
        Contract(
            kind.EXTENSION_V1_1,
            0x04E06E04B8D624D039AA1C3CA8E0AA9E21DC1CCBA1D88D0D650837159E0EE054,
            V1_1_FIRST_BLOCK,
        ),
        Contract(
            kind.POOL_FACTORY_V2,
            0x03760F903A37948F97302736F89CE30290E45F441559325026842B7A6FB388C0,
            V2_FIRST_BLOCK,
        ),
        # Not known to be made by the factory, so its CreateOracle may never tell it.
        Contract(
            kind.ORACLE_V2,
            0x000FE4BFB1B353BA51EB34DFF963017F94AF5A5CF8BDF3DFC191C504657F3C05,
            V2_FIRST_BLOCK,
        ),
    )


def sepolia() -> tuple[Contract, ...]:
    """Vesu on Starknet Sepolia: V1 only, no V2 is known there."""
    kind = kinds.Kind
    return (
        Contract(
            kind.SINGLETON_V1_0,
            0x069D0ECA40CB01EDA7F3D76281EF524CECF8C35F4CA5ACC862FF128E7432964B,
            77_860,
        ),
        Contract(
            kind.SINGLETON_V1_1,
            0x02110B3CDE727CD34407E257E1070857A06010CF02A14B1EE181612FB1B61C30,
            77_860,
        ),
        Contract(
            kind.EXTENSION_V1_1,
            0x0274669F178D303CDD92638AB2AEE6D5CB75D72BAF79606A02B749552FC17759,
            77_860,
        ),
    )
