-- name: events_at
-- events up to a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(block_number::text, '~'),
            coalesce(transaction_index::text, '~'),
            coalesce(event_index::text, '~'),
            coalesce(block_hash::text, '~'),
            coalesce(transaction_hash::text, '~'),
            coalesce(from_address::text, '~'),
            coalesce(keys::text, '~'),
            coalesce(data::text, '~'),
            coalesce(contract::text, '~'),
            coalesce(name::text, '~'),
            coalesce(args::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM events
    WHERE block_number <= $1
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: receipts_at
-- receipts up to a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(block_number::text, '~'),
            coalesce(transaction_index::text, '~'),
            coalesce(transaction_hash::text, '~'),
            coalesce(actual_fee::text, '~'),
            coalesce(fee_unit::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM receipts
    WHERE block_number <= $1
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: observations_at
-- observations up to a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(block_number::text, '~'),
            coalesce(contract::text, '~'),
            coalesce(view::text, '~'),
            coalesce(calldata::text, '~'),
            coalesce(block_hash::text, '~'),
            coalesce(result::text, '~'),
            coalesce(error::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM observations
    WHERE block_number <= $1
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: contracts_at
-- contracts as its history has it at a block: exact state, without valuations.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(address::text, '~'),
            coalesce(kind::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(asset_address::text, '~'),
            coalesce(debt_address::text, '~'),
            coalesce(name::text, '~'),
            coalesce(symbol::text, '~'),
            coalesce(owner::text, '~'),
            coalesce(curator::text, '~'),
            coalesce(oracle::text, '~'),
            coalesce(fee_recipient::text, '~'),
            coalesce(pausing_agent::text, '~'),
            coalesce(class_hash::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(extension::text, '~'),
            coalesce(successor::text, '~'),
            coalesce(variants::text, '~'),
            coalesce(is_paused::text, '~'),
            coalesce(is_current::text, '~'),
            coalesce(created_block::text, '~'),
            coalesce(extract(epoch FROM created_at)::bigint::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM (
        SELECT DISTINCT ON (address, kind)
            address, kind, pool_address, asset_address, debt_address, name, symbol, owner,
            curator, oracle, fee_recipient, pausing_agent, class_hash, pool_id, extension,
            successor, variants, is_paused, is_current, created_block, created_at
        FROM contract_history
        WHERE block_number <= $1
        ORDER BY address, kind, block_number DESC, transaction_index DESC, event_index DESC
    ) AS latest
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: contracts_now
-- contracts as it stands: the same columns of the current rows.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(address::text, '~'),
            coalesce(kind::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(asset_address::text, '~'),
            coalesce(debt_address::text, '~'),
            coalesce(name::text, '~'),
            coalesce(symbol::text, '~'),
            coalesce(owner::text, '~'),
            coalesce(curator::text, '~'),
            coalesce(oracle::text, '~'),
            coalesce(fee_recipient::text, '~'),
            coalesce(pausing_agent::text, '~'),
            coalesce(class_hash::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(extension::text, '~'),
            coalesce(successor::text, '~'),
            coalesce(variants::text, '~'),
            coalesce(is_paused::text, '~'),
            coalesce(is_current::text, '~'),
            coalesce(created_block::text, '~'),
            coalesce(extract(epoch FROM created_at)::bigint::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM contracts
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: vesu_pools_at
-- vesu_pools as its history has it at a block: exact state, without valuations.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(protocol::text, '~'),
            coalesce(collateral_address::text, '~'),
            coalesce(debt_address::text, '~'),
            coalesce(max_ltv_raw::text, '~'),
            coalesce(liquidation_factor_raw::text, '~'),
            coalesce(debt_cap_raw::text, '~'),
            coalesce(pair_collateral_shares::text, '~'),
            coalesce(pair_nominal_debt::text, '~'),
            coalesce(is_configured::text, '~'),
            coalesce(extract(epoch FROM created_at)::bigint::text, '~'),
            coalesce(extract(epoch FROM changed_at)::bigint::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM (
        SELECT DISTINCT ON (pool_id, id)
            id, pool_id, pool_address, protocol, collateral_address, debt_address, max_ltv_raw,
            liquidation_factor_raw, debt_cap_raw, pair_collateral_shares, pair_nominal_debt,
            is_configured, created_at, changed_at
        FROM vesu_pool_history
        WHERE block_number <= $1
        ORDER BY pool_id, id, block_number DESC, transaction_index DESC, event_index DESC
    ) AS latest
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: vesu_pools_now
-- vesu_pools as it stands: the same columns of the current rows.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(protocol::text, '~'),
            coalesce(collateral_address::text, '~'),
            coalesce(debt_address::text, '~'),
            coalesce(max_ltv_raw::text, '~'),
            coalesce(liquidation_factor_raw::text, '~'),
            coalesce(debt_cap_raw::text, '~'),
            coalesce(pair_collateral_shares::text, '~'),
            coalesce(pair_nominal_debt::text, '~'),
            coalesce(is_configured::text, '~'),
            coalesce(extract(epoch FROM created_at)::bigint::text, '~'),
            coalesce(extract(epoch FROM changed_at)::bigint::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM vesu_pools
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: vesu_assets_at
-- vesu_assets as its history has it at a block: exact state, without valuations.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(protocol::text, '~'),
            coalesce(asset_address::text, '~'),
            coalesce(total_collateral_shares::text, '~'),
            coalesce(total_nominal_debt::text, '~'),
            coalesce(reserve::text, '~'),
            coalesce(max_utilization::text, '~'),
            coalesce(floor::text, '~'),
            coalesce(scale::text, '~'),
            coalesce(is_legacy::text, '~'),
            coalesce(extract(epoch FROM last_updated)::bigint::text, '~'),
            coalesce(last_rate_accumulator::text, '~'),
            coalesce(last_full_utilization_rate::text, '~'),
            coalesce(fee_rate::text, '~'),
            coalesce(fee_shares::text, '~'),
            coalesce(price::text, '~'),
            coalesce(price_is_valid::text, '~'),
            coalesce(price_block::text, '~'),
            coalesce(v_token::text, '~'),
            coalesce(min_target_utilization::text, '~'),
            coalesce(max_target_utilization::text, '~'),
            coalesce(target_utilization::text, '~'),
            coalesce(min_full_utilization_rate::text, '~'),
            coalesce(max_full_utilization_rate::text, '~'),
            coalesce(zero_utilization_rate::text, '~'),
            coalesce(rate_half_life::text, '~'),
            coalesce(target_rate_percent::text, '~'),
            coalesce(variant::text, '~'),
            coalesce(unowned_shares::text, '~'),
            coalesce(extract(epoch FROM changed_at)::bigint::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM (
        SELECT DISTINCT ON (pool_id, id)
            id, pool_id, pool_address, protocol, asset_address, total_collateral_shares,
            total_nominal_debt, reserve, max_utilization, floor, scale, is_legacy,
            last_updated, last_rate_accumulator, last_full_utilization_rate, fee_rate,
            fee_shares, price, price_is_valid, price_block, v_token, min_target_utilization,
            max_target_utilization, target_utilization, min_full_utilization_rate,
            max_full_utilization_rate, zero_utilization_rate, rate_half_life,
            target_rate_percent, variant, unowned_shares, changed_at
        FROM vesu_asset_history
        WHERE block_number <= $1
        ORDER BY pool_id, id, block_number DESC, transaction_index DESC, event_index DESC
    ) AS latest
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: vesu_assets_now
-- vesu_assets as it stands: the same columns of the current rows.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(protocol::text, '~'),
            coalesce(asset_address::text, '~'),
            coalesce(total_collateral_shares::text, '~'),
            coalesce(total_nominal_debt::text, '~'),
            coalesce(reserve::text, '~'),
            coalesce(max_utilization::text, '~'),
            coalesce(floor::text, '~'),
            coalesce(scale::text, '~'),
            coalesce(is_legacy::text, '~'),
            coalesce(extract(epoch FROM last_updated)::bigint::text, '~'),
            coalesce(last_rate_accumulator::text, '~'),
            coalesce(last_full_utilization_rate::text, '~'),
            coalesce(fee_rate::text, '~'),
            coalesce(fee_shares::text, '~'),
            coalesce(price::text, '~'),
            coalesce(price_is_valid::text, '~'),
            coalesce(price_block::text, '~'),
            coalesce(v_token::text, '~'),
            coalesce(min_target_utilization::text, '~'),
            coalesce(max_target_utilization::text, '~'),
            coalesce(target_utilization::text, '~'),
            coalesce(min_full_utilization_rate::text, '~'),
            coalesce(max_full_utilization_rate::text, '~'),
            coalesce(zero_utilization_rate::text, '~'),
            coalesce(rate_half_life::text, '~'),
            coalesce(target_rate_percent::text, '~'),
            coalesce(variant::text, '~'),
            coalesce(unowned_shares::text, '~'),
            coalesce(extract(epoch FROM changed_at)::bigint::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM vesu_assets
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: vesu_positions_at
-- vesu_positions as its history has it at a block: exact state, without valuations.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(protocol::text, '~'),
            coalesce(user_id::text, '~'),
            coalesce(kind::text, '~'),
            coalesce(collateral_address::text, '~'),
            coalesce(debt_address::text, '~'),
            coalesce(v_token::text, '~'),
            coalesce(collateral_shares::text, '~'),
            coalesce(nominal_debt::text, '~'),
            coalesce(vtoken_balance_raw::text, '~'),
            coalesce(status::text, '~'),
            coalesce(migrated_block::text, '~'),
            coalesce(extract(epoch FROM created_at)::bigint::text, '~'),
            coalesce(extract(epoch FROM changed_at)::bigint::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM (
        SELECT DISTINCT ON (pool_id, id)
            id, pool_id, pool_address, protocol, user_id, kind, collateral_address,
            debt_address, v_token, collateral_shares, nominal_debt, vtoken_balance_raw, status,
            migrated_block, created_at, changed_at
        FROM vesu_position_history
        WHERE block_number <= $1
        ORDER BY pool_id, id, block_number DESC, transaction_index DESC, event_index DESC
    ) AS latest
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: vesu_positions_now
-- vesu_positions as it stands: the same columns of the current rows.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(protocol::text, '~'),
            coalesce(user_id::text, '~'),
            coalesce(kind::text, '~'),
            coalesce(collateral_address::text, '~'),
            coalesce(debt_address::text, '~'),
            coalesce(v_token::text, '~'),
            coalesce(collateral_shares::text, '~'),
            coalesce(nominal_debt::text, '~'),
            coalesce(vtoken_balance_raw::text, '~'),
            coalesce(status::text, '~'),
            coalesce(migrated_block::text, '~'),
            coalesce(extract(epoch FROM created_at)::bigint::text, '~'),
            coalesce(extract(epoch FROM last_updated)::bigint::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM vesu_positions
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: vesu_transactions_at
-- vesu_transactions up to a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(position_id::text, '~'),
            coalesce(user_id::text, '~'),
            coalesce(transaction_hash::text, '~'),
            coalesce(transaction_index::text, '~'),
            coalesce(event_index::text, '~'),
            coalesce(leg::text, '~'),
            coalesce(type::text, '~'),
            coalesce(asset::text, '~'),
            coalesce(asset_address::text, '~'),
            coalesce(amount::text, '~'),
            coalesce(amount_raw::text, '~'),
            coalesce(status::text, '~'),
            coalesce(block_number::text, '~'),
            coalesce(extract(epoch FROM timestamp)::bigint::text, '~'),
            coalesce(gas_used::text, '~'),
            coalesce(fee_unit::text, '~'),
            coalesce(error_message::text, '~'),
            coalesce(extract(epoch FROM created_at)::bigint::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM vesu_transactions
    WHERE block_number <= $1
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: vesu_liquidations_at
-- vesu_liquidations up to a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(position_id::text, '~'),
            coalesce(user_id::text, '~'),
            coalesce(liquidator_address::text, '~'),
            coalesce(transaction_hash::text, '~'),
            coalesce(transaction_index::text, '~'),
            coalesce(event_index::text, '~'),
            coalesce(collateral_asset::text, '~'),
            coalesce(debt_asset::text, '~'),
            coalesce(collateral_seized::text, '~'),
            coalesce(collateral_seized_raw::text, '~'),
            coalesce(debt_repaid::text, '~'),
            coalesce(debt_repaid_raw::text, '~'),
            coalesce(bad_debt::text, '~'),
            coalesce(bad_debt_raw::text, '~'),
            coalesce(liquidation_bonus::text, '~'),
            coalesce(collateral_price::text, '~'),
            coalesce(debt_price::text, '~'),
            coalesce(block_number::text, '~'),
            coalesce(extract(epoch FROM timestamp)::bigint::text, '~'),
            coalesce(extract(epoch FROM created_at)::bigint::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM vesu_liquidations
    WHERE block_number <= $1
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: contract_history_at
-- contract_history up to a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(address::text, '~'),
            coalesce(kind::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(asset_address::text, '~'),
            coalesce(debt_address::text, '~'),
            coalesce(name::text, '~'),
            coalesce(symbol::text, '~'),
            coalesce(owner::text, '~'),
            coalesce(curator::text, '~'),
            coalesce(oracle::text, '~'),
            coalesce(fee_recipient::text, '~'),
            coalesce(pausing_agent::text, '~'),
            coalesce(class_hash::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(extension::text, '~'),
            coalesce(successor::text, '~'),
            coalesce(variants::text, '~'),
            coalesce(is_paused::text, '~'),
            coalesce(is_current::text, '~'),
            coalesce(created_block::text, '~'),
            coalesce(extract(epoch FROM created_at)::bigint::text, '~'),
            coalesce(block_number::text, '~'),
            coalesce(transaction_index::text, '~'),
            coalesce(event_index::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM contract_history
    WHERE block_number <= $1
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: vesu_pool_history_at
-- vesu_pool_history up to a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(protocol::text, '~'),
            coalesce(collateral_address::text, '~'),
            coalesce(debt_address::text, '~'),
            coalesce(max_ltv_raw::text, '~'),
            coalesce(liquidation_factor_raw::text, '~'),
            coalesce(debt_cap_raw::text, '~'),
            coalesce(pair_collateral_shares::text, '~'),
            coalesce(pair_nominal_debt::text, '~'),
            coalesce(is_configured::text, '~'),
            coalesce(extract(epoch FROM created_at)::bigint::text, '~'),
            coalesce(extract(epoch FROM changed_at)::bigint::text, '~'),
            coalesce(block_number::text, '~'),
            coalesce(transaction_index::text, '~'),
            coalesce(event_index::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM vesu_pool_history
    WHERE block_number <= $1
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: vesu_asset_history_at
-- vesu_asset_history up to a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(protocol::text, '~'),
            coalesce(asset_address::text, '~'),
            coalesce(total_collateral_shares::text, '~'),
            coalesce(total_nominal_debt::text, '~'),
            coalesce(reserve::text, '~'),
            coalesce(max_utilization::text, '~'),
            coalesce(floor::text, '~'),
            coalesce(scale::text, '~'),
            coalesce(is_legacy::text, '~'),
            coalesce(extract(epoch FROM last_updated)::bigint::text, '~'),
            coalesce(last_rate_accumulator::text, '~'),
            coalesce(last_full_utilization_rate::text, '~'),
            coalesce(fee_rate::text, '~'),
            coalesce(fee_shares::text, '~'),
            coalesce(price::text, '~'),
            coalesce(price_is_valid::text, '~'),
            coalesce(price_block::text, '~'),
            coalesce(v_token::text, '~'),
            coalesce(min_target_utilization::text, '~'),
            coalesce(max_target_utilization::text, '~'),
            coalesce(target_utilization::text, '~'),
            coalesce(min_full_utilization_rate::text, '~'),
            coalesce(max_full_utilization_rate::text, '~'),
            coalesce(zero_utilization_rate::text, '~'),
            coalesce(rate_half_life::text, '~'),
            coalesce(target_rate_percent::text, '~'),
            coalesce(variant::text, '~'),
            coalesce(unowned_shares::text, '~'),
            coalesce(extract(epoch FROM changed_at)::bigint::text, '~'),
            coalesce(block_number::text, '~'),
            coalesce(transaction_index::text, '~'),
            coalesce(event_index::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM vesu_asset_history
    WHERE block_number <= $1
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: vesu_position_history_at
-- vesu_position_history up to a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(protocol::text, '~'),
            coalesce(user_id::text, '~'),
            coalesce(kind::text, '~'),
            coalesce(collateral_address::text, '~'),
            coalesce(debt_address::text, '~'),
            coalesce(v_token::text, '~'),
            coalesce(collateral_shares::text, '~'),
            coalesce(nominal_debt::text, '~'),
            coalesce(vtoken_balance_raw::text, '~'),
            coalesce(status::text, '~'),
            coalesce(migrated_block::text, '~'),
            coalesce(extract(epoch FROM created_at)::bigint::text, '~'),
            coalesce(extract(epoch FROM changed_at)::bigint::text, '~'),
            coalesce(block_number::text, '~'),
            coalesce(transaction_index::text, '~'),
            coalesce(event_index::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM vesu_position_history
    WHERE block_number <= $1
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;

-- name: accrual_mismatches_at
-- accrual_mismatches up to a block.
WITH hashed AS (
    SELECT encode(sha256(convert_to(concat_ws(
            '|',
            coalesce(id::text, '~'),
            coalesce(pool_id::text, '~'),
            coalesce(pool_address::text, '~'),
            coalesce(protocol::text, '~'),
            coalesce(asset_address::text, '~'),
            coalesce(variant::text, '~'),
            coalesce(field::text, '~'),
            coalesce(predicted::text, '~'),
            coalesce(told::text, '~'),
            coalesce(explanation::text, '~'),
            coalesce(block_number::text, '~'),
            coalesce(transaction_index::text, '~'),
            coalesce(event_index::text, '~'),
            coalesce(extract(epoch FROM timestamp)::bigint::text, '~')
        ), 'UTF8')), 'hex') AS hash
    FROM accrual_mismatches
    WHERE block_number <= $1
)
SELECT count(*) AS rows,
    coalesce(sum(('x' || substr(hash, 1, 15))::bit(60)::bigint), 0)::text AS part_1,
    coalesce(sum(('x' || substr(hash, 16, 15))::bit(60)::bigint), 0)::text AS part_2,
    coalesce(sum(('x' || substr(hash, 31, 15))::bit(60)::bigint), 0)::text AS part_3,
    coalesce(sum(('x' || substr(hash, 46, 15))::bit(60)::bigint), 0)::text AS part_4
FROM hashed;
