-- name: templates
-- What the invented rows are copies of: a person's active position of each market.
CREATE TEMPORARY TABLE template AS
SELECT 0::bigint AS place, p.*
FROM (
    SELECT DISTINCT ON (pool_id, protocol, collateral_address, debt_address, v_token) *
    FROM vesu_positions
    WHERE kind <> 'system' AND status = 'active' AND (kind = 'earn' OR health_factor IS NOT NULL)
    ORDER BY pool_id, protocol, collateral_address, debt_address, v_token, health_factor, id
) p;

-- name: leave_out
-- Nothing is invented in the pool $1.
DELETE FROM template WHERE pool_id = $1;

-- name: number
-- Number the templates from 0.
UPDATE template t
SET place = n.place
FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM template) n
WHERE n.id = t.id;

-- name: named
-- The template and the user of each invented position: what its id is made of.
SELECT g AS number, t.pool_id, t.pool_address, t.protocol, t.collateral_address, t.debt_address,
    t.v_token, '0x0' || lpad(md5('user' || g / 3), 63, '0') AS user_id
FROM generate_series(1, $1::bigint) AS g
JOIN template t ON t.place = g % (SELECT count(*) FROM template);

-- name: ids
-- The ids of the invented positions.
CREATE TEMPORARY TABLE invented (number bigint PRIMARY KEY, id uuid NOT NULL);

-- name: blocks
-- Empty blocks from $1 to $2, two seconds apart, above the last one.
INSERT INTO blocks (number, hash, parent_hash, timestamp, finality, event_count)
SELECT g, '0x0' || lpad(md5('block' || g), 63, '0'), '0x0' || lpad(md5('block' || g - 1), 63, '0'),
    c.block_timestamp + (g - c.block_number) * interval '2 seconds', 'ACCEPTED_ON_L2', 0
FROM cursor c, generate_series($1::bigint, $2::bigint) AS g;

-- name: move
-- The committed block is the last of them.
UPDATE cursor
SET (block_number, block_hash, block_timestamp)
    = (SELECT number, hash, timestamp FROM blocks ORDER BY number DESC LIMIT 1)
RETURNING block_number, block_hash, extract(epoch FROM block_timestamp)::bigint AS at;

-- name: positions
-- $1 positions like the templates, three of each user, last changed in blocks from $2 to $3, of one
-- to two times the size: of those with debt one of $4 has one to 1.3 times its template's health,
-- the others more collateral, and so two to nine times as much. They were valued in the last half
-- hour.
INSERT INTO vesu_positions (
    id, pool_id, pool_address, protocol, user_id, kind, collateral_address, debt_address, v_token,
    collateral_shares, nominal_debt, vtoken_balance_raw, status, pool_pair_id, collateral_asset,
    debt_asset, vtoken_balance, collateral_raw, debt_raw, collateral_amount, debt_amount,
    collateral_value_usd, debt_value_usd, ltv, health_factor, liquidation_price, valued_at,
    valued_at_block, last_updated, last_event_block, created_at
)
SELECT i.id, t.pool_id, t.pool_address, t.protocol,
    '0x0' || lpad(md5('user' || g / 3), 63, '0'), t.kind, t.collateral_address, t.debt_address,
    t.v_token, trunc(t.collateral_shares * more * times), trunc(t.nominal_debt * times),
    trunc(t.vtoken_balance_raw * more * times), t.status, t.pool_pair_id, t.collateral_asset,
    t.debt_asset, t.vtoken_balance * more * times, trunc(t.collateral_raw * more * times),
    trunc(t.debt_raw * times), t.collateral_amount * more * times, t.debt_amount * times,
    t.collateral_value_usd * more * times, t.debt_value_usd * times, t.ltv / more,
    t.health_factor * more,
    t.liquidation_price / more,
    c.block_timestamp - g % 900 * interval '2 seconds', c.block_number - g % 900,
    c.block_timestamp - (c.block_number - at) * interval '2 seconds', at,
    c.block_timestamp - (c.block_number - at) * interval '2 seconds'
FROM cursor c, generate_series(1, $1::bigint) AS g
CROSS JOIN LATERAL (SELECT $2::bigint + g * ($3::bigint - $2::bigint) / $1::bigint AS at) AS place
CROSS JOIN LATERAL (
    SELECT 1 + g * 7919 % 99991 / 100000.0 AS times,
        CASE WHEN g % $4::bigint = 0 THEN 1 + g * 31 % 3001 / 10000.0
            ELSE 2 + g % 7 + g * 31 % 9973 / 10000.0 END AS more
) AS size
JOIN invented i ON i.number = g
JOIN template t ON t.place = g % (SELECT count(*) FROM template);

-- name: versions
-- The one version that each of them has.
INSERT INTO position_versions (
    id, collateral_shares, nominal_debt, vtoken_balance_raw, status, changed_at, block_number,
    transaction_index, event_index
)
SELECT p.id, p.collateral_shares, p.nominal_debt, p.vtoken_balance_raw, p.status, p.last_updated,
    p.last_event_block, g % 5, 0
FROM invented i
CROSS JOIN LATERAL (SELECT i.number AS g) AS place
JOIN vesu_positions p ON p.id = i.id;

-- name: transactions
-- $1 effects of the $2 invented positions, spread over blocks from $3 to $4.
INSERT INTO vesu_transactions (
    id, pool_id, position_id, user_id, transaction_hash, transaction_index, event_index, leg, type,
    asset, asset_address, amount, amount_raw, status, block_number, timestamp, gas_used, fee_unit,
    created_at
)
SELECT md5('transaction' || g)::uuid, t.pool_id, i.id,
    '0x0' || lpad(md5('user' || n / 3), 63, '0'), '0x0' || lpad(md5('hash' || g / 2), 63, '0'),
    g / 2 % 5, g % 2, 0, (ARRAY['supply', 'borrow', 'repay', 'withdraw'])[1 + g % 4],
    t.collateral_asset, t.collateral_address, g % 10007, g % 10007 * 1000000, 'confirmed', at,
    b.timestamp, 0.001, 'FRI', b.timestamp
FROM generate_series(1, $1::bigint) AS g
CROSS JOIN LATERAL (
    SELECT 1 + g * 7919 % $2::bigint AS n,
        $3::bigint + g * ($4::bigint - $3::bigint) / ($1::bigint + 1) AS at
) p
JOIN blocks b ON b.number = at
JOIN invented i ON i.number = n
JOIN template t ON t.place = n % (SELECT count(*) FROM template);

-- name: events
-- $1 raw events like the recorded ones, spread over blocks from $2 to $3.
INSERT INTO event_log (
    block_number, transaction_index, event_index, emitter, decoded_as, transaction_hash, keys, data
)
SELECT at, 10 + g % 1000, 0, e.emitter, e.decoded_as,
    decode('0' || lpad(md5('hash' || g / 2), 63, '0'), 'hex'), e.keys, e.data
FROM generate_series(1, $1::bigint) AS g
CROSS JOIN LATERAL (
    SELECT $2::bigint + g * ($3::bigint - $2::bigint) / ($1::bigint + 1) AS at
) p
JOIN blocks b ON b.number = at
JOIN (
    SELECT row_number() OVER (ORDER BY block_number, transaction_index, event_index) - 1 AS place, l.*
    FROM event_log l
    JOIN event_layouts y ON y.id = l.decoded_as
    WHERE y.name = 'ModifyPosition'
) e ON e.place = g % (SELECT count(*) FROM events WHERE name = 'ModifyPosition');

-- name: indexes
-- The indexes of the tables that are filled, but for their primary keys.
SELECT indexname AS name, indexdef AS definition
FROM pg_indexes
WHERE tablename IN ('vesu_positions', 'position_versions', 'vesu_transactions', 'event_log')
    AND schemaname = current_schema() AND indexname NOT LIKE '%\_pkey'
ORDER BY indexname;
