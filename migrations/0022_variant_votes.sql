-- Which maths a V1.1 class runs is voted on by its pools.
-- depends: 0021_safety
ALTER TABLE contracts ADD COLUMN variant_votes text;
COMMENT ON COLUMN contracts.variant_votes IS 'Of a V1.1 singleton: for each pool (felt id) the variants of the maths that fit what it told, as pool=variant|variant, separated by spaces; NULL: none yet, or does not apply.';
COMMENT ON COLUMN contracts.variants IS 'Of a V1 singleton: the variants of the maths that its class may run, the likeliest first; NULL: those of its generation, or does not apply.';
ALTER TABLE contract_history ADD COLUMN variant_votes text;
COMMENT ON COLUMN contract_history.variant_votes IS 'Of a V1.1 singleton: for each pool (felt id) the variants of the maths that fit what it told, as pool=variant|variant, separated by spaces; NULL: none yet, or does not apply.';
