"""The projections' tables, each described once: everything that names their columns follows.

Upserts, loads, versions, rollbacks, digests, shadow comparisons, exports, notifications and the
index check are made of these descriptions. A column that the database has and no description
names fails tests/integration/test_tables.py, which says where it belongs.
"""

from __future__ import annotations

import msgspec

FOLD_VERSION = 6
"""Raised whenever the same log gives other rows; stored with the data."""

EVENT = ("block_number", "transaction_index", "event_index")
"""The columns that name an event of the chain."""

TIMES = frozenset(
    {
        *("created_at", "changed_at", "last_updated", "timestamp", "valued_at"),
        *("price_timestamp", "event_price_timestamp"),
    }
)
"""Columns of type timestamptz: a digest holds them as whole seconds since 1970."""

KEY_TYPES = {"id": "uuid", "pool_id": "text", "address": "text", "kind": "text", "asset_id": "uuid"}
"""The types of the columns that make up the keys of current tables."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table: what each of its columns is for.

    `state` follows from the log alone, in the digest's order: another column or order is another
    digest. `display` follows from state and token names and is not digested. `valuation` follows
    from state, prices and the time of `valued_at_block`.
    """

    name: str
    key: tuple[str, ...]
    state: tuple[str, ...]
    display: tuple[str, ...] = ()
    valuation: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    """The state and valuation columns of type numeric, where the check of valuations reads them."""
    parents: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    """The indexes beyond the primary key that users and queries count on."""
    history: str | None = None
    """The append-only table of every version of a row; None: the table has no current rows."""
    history_display: tuple[str, ...] = ()
    """The display columns that the history holds, too."""
    history_indexes: tuple[str, ...] = ()
    versions: str | None = None
    """The table that holds of each version what may change. The history is a view of it and of
    the current rows then. None: the history is a table itself."""
    fixed: tuple[str, ...] = ()
    """The state columns that never change: the view takes them from the current row."""
    settings: tuple[str, ...] = ()
    """The state columns that seldom change: a version names by `settings_id` the row of
    `asset_settings` that holds them."""
    computed: tuple[str, ...] = ()
    """The display columns that the view computes."""
    stored: str | None = None
    """Of a history that is a view: the table of its versions."""
    names: tuple[tuple[str, str], ...] = ()
    """What the current row calls a column of its history, where that is another name."""

    @property
    def is_appended(self) -> bool:
        """Whether rows are only ever added, each with the block of its event."""
        return self.history is None

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are written."""
        own = tuple(self.current_name(name) for name in self.state)
        # The block that changed a current row is part of the key of its version.
        block = () if self.is_appended else (self.current_name(EVENT[0]),)
        return (*own, *block, *self.display, *self.valuation)

    def current_name(self, column: str) -> str:
        """What the current row calls a column of its history."""
        return dict(self.names).get(column, column)

    @property
    def past(self) -> Table:
        """The description of its history."""
        return history_of(self)

    @property
    def row_key(self) -> tuple[str, ...]:
        """The key of the row that a history's version belongs to."""
        return tuple(column for column in self.key if column not in EVENT)

    @property
    def stored_name(self) -> str:
        """The table that is written: the versions' own where the history is a view."""
        return self.stored or self.name

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """The columns of that table."""
        if self.stored is None:
            return self.columns
        left_out = {*self.fixed, *self.settings, *self.computed}
        stored_columns = tuple(column for column in self.columns if column not in left_out)
        return (*stored_columns, "settings_id") if self.settings else stored_columns

    @property
    def stored_key(self) -> tuple[str, ...]:
        """The primary key of that table."""
        return tuple(column for column in self.key if column in self.stored_columns)


def history_of(table: Table) -> Table:
    """The description of a current table's history."""
    assert table.history is not None, f"{table.name} has no history"
    return Table(
        name=table.history,
        key=(*table.key, *EVENT),
        state=(*table.state, *EVENT),
        display=table.history_display,
        indexes=table.history_indexes,
        stored=table.versions,
        fixed=table.fixed,
        settings=table.settings,
        computed=table.computed,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CONTRACTS = Table(
    name="contracts",
    key=("address", "kind"),
    state=_names(
        """
        address kind pool_address asset_address debt_address name symbol owner curator
        oracle fee_recipient pausing_agent class_hash pool_id extension successor variants
        variant_votes quarantine_reason is_paused is_current created_block created_at
        recovery_period subscription_period shutdown_mode violations
        """
    ),
    history="contract_history",
    history_indexes=("idx_contract_history_block",),
    names=(("block_number", "last_event_block"),),
)

POOLS = Table(
    name="vesu_pools",
    key=("pool_id", "id"),
    state=_names(
        """
        id pool_id pool_address protocol collateral_address debt_address max_ltv_raw
        liquidation_factor_raw debt_cap_raw pair_collateral_shares pair_nominal_debt
        is_configured created_at changed_at shutdown_ltv_raw
        """
    ),
    display=_names(
        """
        max_ltv liquidation_threshold liquidation_bonus debt_cap name collateral_asset
        debt_asset total_supply total_borrow utilization supply_apy borrow_apy
        collateral_supply_apy pair_collateral pair_debt unvalued_reason quarantine_reason
        is_active is_paused last_synced_at last_synced_block is_listed
        unknown_class
        """
    ),
    indexes=_names(
        "idx_vesu_pools_address idx_vesu_pools_asset_pair idx_vesu_pools_is_active "
        "idx_vesu_pools_last_synced"
    ),
    history="vesu_pool_history",
    history_display=("max_ltv", "liquidation_threshold", "liquidation_bonus", "debt_cap"),
    history_indexes=("idx_pool_versions_block",),
    versions="pool_versions",
    fixed=_names("pool_id pool_address protocol collateral_address debt_address created_at"),
    computed=("max_ltv", "liquidation_threshold", "liquidation_bonus"),
    names=(("block_number", "changed_block"),),
)

PRICE = ("price", "price_is_valid", "price_block", "price_timestamp")
"""Of an asset: in the history what events told, in the current row the newest that is known."""

ASSET_SETTINGS = Table(
    name="asset_settings",
    key=("id",),
    state=_names(
        """
        id max_utilization floor scale is_legacy fee_rate v_token min_target_utilization
        max_target_utilization target_utilization min_full_utilization_rate
        max_full_utilization_rate zero_utilization_rate rate_half_life target_rate_percent variant
        rate_model_block
        """
    ),
)
"""Each combination of an asset's settings once, under an id made of the values."""

ASSETS = Table(
    name="vesu_assets",
    key=("pool_id", "id"),
    state=_names(
        """
        id pool_id pool_address protocol asset_address total_collateral_shares
        total_nominal_debt reserve max_utilization floor scale is_legacy last_updated
        last_rate_accumulator last_full_utilization_rate fee_rate fee_shares price
        price_is_valid price_block v_token min_target_utilization max_target_utilization
        target_utilization min_full_utilization_rate max_full_utilization_rate
        zero_utilization_rate rate_half_life target_rate_percent variant unowned_shares
        changed_at price_timestamp rate_model_block rates_confirmed_block
        """
    ),
    display=_names("symbol name decimals utilization supply_apy borrow_apy is_listed"),
    valuation=PRICE,
    history="vesu_asset_history",
    history_indexes=("idx_asset_versions_block",),
    versions="asset_versions",
    fixed=("pool_id", "pool_address", "protocol", "asset_address"),
    settings=ASSET_SETTINGS.state[1:],
    names=tuple((column, f"event_{column}") for column in PRICE),
)

POSITIONS = Table(
    name="vesu_positions",
    key=("pool_id", "id"),
    state=_names(
        """
        id pool_id pool_address protocol user_id kind collateral_address debt_address
        v_token collateral_shares nominal_debt vtoken_balance_raw status migrated_block
        created_at changed_at
        """
    ),
    display=_names("pool_pair_id collateral_asset debt_asset vtoken_balance is_listed"),
    valuation=_names(
        """
        collateral_raw debt_raw collateral_amount debt_amount collateral_value_usd
        debt_value_usd ltv health_factor liquidation_price unvalued_reason has_invalid_price
        valued_at valued_at_block price_block price_timestamp sampling
        """
    ),
    numbers=_names(
        """
        collateral_shares nominal_debt vtoken_balance_raw collateral_raw debt_raw
        collateral_amount debt_amount collateral_value_usd debt_value_usd ltv health_factor
        liquidation_price
        """
    ),
    parents=("vesu_pools",),
    indexes=_names(
        """
        idx_vesu_positions_user_id idx_vesu_positions_pool_address idx_vesu_positions_status
        idx_vesu_positions_health_factor idx_vesu_positions_user_pool
        idx_vesu_positions_status_health idx_vesu_positions_last_updated
        idx_vesu_positions_id idx_vesu_positions_valued_at_block
        idx_vesu_positions_shares_to_debt idx_vesu_positions_by_debt
        idx_vesu_positions_by_shares
        """
    ),
    history="vesu_position_history",
    history_indexes=("idx_position_versions_block", "idx_position_versions_status"),
    versions="position_versions",
    fixed=_names(
        """
        pool_id pool_address protocol user_id kind collateral_address debt_address v_token
        created_at
        """
    ),
    names=(("changed_at", "last_updated"), ("block_number", "last_event_block")),
)

TRANSACTIONS = Table(
    name="vesu_transactions",
    key=("pool_id", "id"),
    state=_names(
        """
        id pool_id position_id user_id transaction_hash transaction_index event_index leg
        type asset asset_address amount amount_raw status block_number timestamp gas_used
        fee_unit error_message created_at
        """
    ),
    parents=("vesu_positions",),
    indexes=_names(
        """
        idx_vesu_transactions_user_id idx_vesu_transactions_position_id
        idx_vesu_transactions_hash idx_vesu_transactions_type idx_vesu_transactions_status
        idx_vesu_transactions_user_type idx_vesu_transactions_created_at
        idx_vesu_transactions_timestamp idx_vesu_transactions_block
        idx_vesu_transactions_pool_id idx_vesu_transactions_asset
        idx_vesu_transactions_asset_address idx_vesu_transactions_amount
        """
    ),
)

LIQUIDATIONS = Table(
    name="vesu_liquidations",
    key=("pool_id", "id"),
    state=_names(
        """
        id pool_id position_id user_id liquidator_address transaction_hash transaction_index
        event_index collateral_asset debt_asset collateral_seized collateral_seized_raw
        debt_repaid debt_repaid_raw bad_debt bad_debt_raw liquidation_bonus collateral_price
        debt_price block_number timestamp created_at
        """
    ),
    parents=("vesu_positions",),
    indexes=_names(
        """
        idx_vesu_liquidations_position_id idx_vesu_liquidations_liquidator
        idx_vesu_liquidations_hash idx_vesu_liquidations_timestamp
        idx_vesu_liquidations_created_at idx_vesu_liquidations_block
        idx_vesu_liquidations_pool_id
        """
    ),
)

EVENT_PRICES = Table(
    name="vesu_event_prices",
    key=("pool_id", "asset_id", "block_number", "source"),
    state=_names(
        """
        pool_id asset_id pool_address protocol asset_address block_number block_hash timestamp
        price is_valid source sampling rate_model transaction_index event_index
        """
    ),
)
"""A view: of each block and asset the last price that an event told, from the asset's history."""

MISMATCHES = Table(
    name="accrual_mismatches",
    key=("pool_id", "id"),
    state=_names(
        """
        id pool_id pool_address protocol asset_address variant field predicted told
        explanation block_number transaction_index event_index timestamp
        """
    ),
    indexes=("idx_accrual_mismatches_block",),
)

CURRENT = (CONTRACTS, POOLS, ASSETS, POSITIONS)
"""Tables of current rows, parents before children; each has a history."""

HISTORIES = tuple(history_of(table) for table in CURRENT)

EFFECTS = (TRANSACTIONS, LIQUIDATIONS, MISMATCHES)
"""Tables whose rows are what one event did, or told."""

PROJECTIONS = (*CURRENT, *HISTORIES, *EFFECTS)
"""All that the fold writes, parents before children."""

EVENTS = Table(
    name="events",
    key=EVENT,
    state=(
        *EVENT,
        "block_hash",
        "transaction_hash",
        "from_address",
        "keys",
        "data",
        "contract",
        "name",
        "args",
    ),
)
"""A view: the rows are in `event_log`, packed."""

DECODED = ("contract", "name", "args")
"""The columns of `events` that follow from decoding; a replay may change them."""

DECODED_EVENTS = Table(name="events", key=EVENT, state=(*EVENT, *DECODED))
"""Of the log, what a replay writes."""

RECEIPTS = Table(
    name="receipts",
    key=("block_number", "transaction_index"),
    state=("block_number", "transaction_index", "transaction_hash", "actual_fee", "fee_unit"),
)

OBSERVATIONS = Table(
    name="observations",
    key=("block_number", "contract", "view", "calldata"),
    state=("block_number", "contract", "view", "calldata", "block_hash", "result", "error"),
    display=("confirmed_at",),
    indexes=("idx_observations_view", "idx_observations_unconfirmed"),
)

LOG = (EVENTS, RECEIPTS, OBSERVATIONS)
"""The log's tables that a digest holds."""

NOTIFIED = tuple(
    table.name for table in (*CURRENT, *EFFECTS, EVENT_PRICES) if table.name.startswith("vesu_")
)
"""The tables that a notification may name."""
