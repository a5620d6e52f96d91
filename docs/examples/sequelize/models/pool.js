const { DataTypes, Op } = require('sequelize');
const sequelize = require('../database');
const decimals = require('../decimals');

const VesuPool = sequelize.define(
  'VesuPool',
  {
    id: { type: DataTypes.UUID, primaryKey: true, defaultValue: DataTypes.UUIDV4 },
    pool_address: { type: DataTypes.STRING(66), allowNull: false },
    collateral_asset: { type: DataTypes.TEXT },
    debt_asset: { type: DataTypes.TEXT },
    max_ltv: { type: DataTypes.DECIMAL },
    liquidation_threshold: { type: DataTypes.DECIMAL },
    liquidation_bonus: { type: DataTypes.DECIMAL },
    total_supply: { type: DataTypes.DECIMAL },
    total_borrow: { type: DataTypes.DECIMAL },
    supply_apy: { type: DataTypes.DECIMAL },
    borrow_apy: { type: DataTypes.DECIMAL },
    is_active: { type: DataTypes.BOOLEAN },
    last_synced: { type: DataTypes.DATE },
  },
  { tableName: 'vesu_pools' },
);

const ageLimit = (minutes) => new Date(Date.now() - minutes * 60000);

Object.assign(VesuPool.prototype, {
  getUtilizationRate() {
    return decimals.divide(this.total_borrow ?? 0, this.total_supply ?? 0);
  },
  getAvailableLiquidity() {
    const left = decimals.subtract(this.total_supply ?? 0, this.total_borrow ?? 0);
    return decimals.compare(left, 0) < 0 ? '0' : left;
  },
  isHealthy() {
    return decimals.compare(this.getUtilizationRate(), '0.95') < 0;
  },
  canBorrow(amount) {
    return decimals.compare(amount, this.getAvailableLiquidity()) <= 0;
  },
  needsSync(maxAgeMinutes = 5) {
    return this.last_synced < ageLimit(maxAgeMinutes);
  },
});

// An address may have several pairs: each is a row, and the oldest is answered.
VesuPool.findByAddress = (poolAddress) =>
  VesuPool.findOne({ where: { pool_address: poolAddress }, order: ['created_at', 'id'] });

VesuPool.findActivePools = () =>
  VesuPool.findAll({ where: { is_active: true }, order: [['total_supply', 'DESC NULLS LAST'], 'id'] });

VesuPool.findByAssetPair = (collateral, debt) =>
  VesuPool.findOne({
    where: { collateral_asset: collateral, debt_asset: debt, is_active: true },
    order: [['total_supply', 'DESC NULLS LAST'], 'id'],
  });

VesuPool.findPoolsNeedingSync = (maxAgeMinutes = 5) =>
  VesuPool.findAll({
    where: { is_active: true, last_synced: { [Op.lt]: ageLimit(maxAgeMinutes) } },
    order: ['last_synced', 'id'],
  });

VesuPool.getPoolStats = async () => {
  const pools = await VesuPool.findActivePools();
  const known = (name) => pools.map((pool) => pool[name]).filter((value) => value !== null);
  const average = (name) => decimals.divide(decimals.sum(known(name)), known(name).length);
  const [supply, borrow] = ['total_supply', 'total_borrow'].map((name) => decimals.sum(known(name)));
  return {
    totalPools: pools.length,
    totalSupply: supply,
    totalBorrow: borrow,
    avgSupplyApy: average('supply_apy'),
    avgBorrowApy: average('borrow_apy'),
    utilizationRate: decimals.divide(borrow, supply),
  };
};

module.exports = VesuPool;
