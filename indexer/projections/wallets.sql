-- name: add
-- Wallets that are not known yet, with the users that stand for them.
INSERT INTO wallets (wallet_address, user_id)
SELECT new.wallet_address, new.user_id
FROM unnest($1::text[], $2::uuid[]) AS new (wallet_address, user_id)
WHERE NOT EXISTS (SELECT 1 FROM wallets w WHERE w.wallet_address = new.wallet_address)
ORDER BY new.wallet_address
ON CONFLICT (wallet_address) DO NOTHING;
