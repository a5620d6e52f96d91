"""A stranger creates 4,000 pools in a day: the tables go on, and no other pool's row changes."""

from __future__ import annotations

import pytest

from indexer.query import pools
from indexer.store import database
from tests import postgres
from tests.hostile import chain
from tests.hostile.chain import MALLORY

A_BLOCK = 500
FIRST_POOL, FIRST_V_TOKEN = 0xA0000, 0xB0000
LATER = chain.modify(chain.OURS, chain.BOB, 10**17)


def grown(blocks: int, strangers: int) -> list[chain.Block]:
    """The honest chain, some blocks of new pools, and people who go on in each of them."""
    more: list[chain.Block] = []
    for block in range(len(chain.HONEST) + 1, len(chain.HONEST) + blocks + 1):
        made: list[chain.Sent] = [chain.context(chain.OURS, block), LATER]
        for place in range(strangers):
            number = (block - len(chain.HONEST) - 1) * A_BLOCK + place
            pool = FIRST_POOL + number
            made += chain.created(pool, FIRST_V_TOKEN + number, block=block)
            made.append(chain.modify(pool, MALLORY, 10**18))
        more.append(made)
    return [*chain.HONEST, *more]


@pytest.mark.parametrize("blocks", [2, pytest.param(8, marks=pytest.mark.heavy)])
async def test_thousands_of_pools_change_no_other(blocks: int) -> None:
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, grown(blocks, 0))
        honest = await chain.rows(url, chain.OURS, valued=False)
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, grown(blocks, A_BLOCK), cut=2)
        assert await chain.rows(url, chain.OURS, valued=False) == honest
        assert await chain.reasons(url) == {}
        async with database.session(url) as connection:
            found = await pools.find(connection)
        every = {int(pool.pool_id, 16) for pool in found.pools}
        assert every >= set(range(FIRST_POOL, FIRST_POOL + blocks * A_BLOCK))
        held = await postgres.value(
            url, f"SELECT count(*) FROM vesu_positions WHERE user_id = '0x{MALLORY:064x}'"
        )
        assert held == blocks * A_BLOCK
