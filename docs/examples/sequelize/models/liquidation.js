const { DataTypes, Op } = require('sequelize');
const sequelize = require('../database');
const decimals = require('../decimals');

const VesuLiquidation = sequelize.define(
  'VesuLiquidation',
  {
    id: { type: DataTypes.UUID, primaryKey: true, defaultValue: DataTypes.UUIDV4 },
    position_id: { type: DataTypes.UUID, allowNull: false },
    liquidator_address: { type: DataTypes.STRING(66), allowNull: false },
    transaction_hash: { type: DataTypes.STRING(66), allowNull: false },
    collateral_seized: { type: DataTypes.DECIMAL, allowNull: false },
    debt_repaid: { type: DataTypes.DECIMAL, allowNull: false },
    liquidation_bonus: { type: DataTypes.DECIMAL, allowNull: false },
    timestamp: { type: DataTypes.DATE, allowNull: false },
  },
  { tableName: 'vesu_liquidations' },
);

Object.assign(VesuLiquidation.prototype, {
  getLiquidationProfit() {
    return this.liquidation_bonus;
  },
  getTotalCollateralValue() {
    return this.collateral_seized;
  },
  getDebtCovered() {
    return this.debt_repaid;
  },
  getLiquidationRatio() {
    return decimals.divide(this.collateral_seized, this.debt_repaid);
  },
});

const padded = (felt) => `0x${BigInt(felt).toString(16).padStart(64, '0')}`;
const newestFirst = [['timestamp', 'DESC'], 'id'];
const within = (startDate, endDate) =>
  startDate || endDate
    ? { timestamp: { ...(startDate && { [Op.gte]: startDate }), ...(endDate && { [Op.lte]: endDate }) } }
    : {};
const sums = (rows) => ({
  count: rows.length,
  collateralSeized: decimals.sum(rows.map((row) => row.collateral_seized)),
  debtRepaid: decimals.sum(rows.map((row) => row.debt_repaid)),
  bonus: decimals.sum(rows.map((row) => row.liquidation_bonus)),
});

VesuLiquidation.findByHash = (txHash) =>
  VesuLiquidation.findOne({ where: { transaction_hash: padded(txHash) }, order: ['id'] });

VesuLiquidation.findByPosition = (positionId) =>
  VesuLiquidation.findAll({ where: { position_id: positionId }, order: newestFirst });

VesuLiquidation.findByLiquidator = (address, limit = 50) =>
  VesuLiquidation.findAll({
    where: { liquidator_address: padded(address) },
    order: newestFirst,
    limit,
  });

VesuLiquidation.getRecentLiquidations = (limit = 100) =>
  VesuLiquidation.findAll({ order: newestFirst, limit });

VesuLiquidation.getLiquidationStats = async (startDate, endDate) => {
  const rows = await VesuLiquidation.findAll({ where: within(startDate, endDate) });
  return { ...sums(rows), liquidators: new Set(rows.map((row) => row.liquidator_address)).size };
};

VesuLiquidation.getLiquidatorLeaderboard = async (startDate, endDate, limit = 10) => {
  const rows = await VesuLiquidation.findAll({ where: within(startDate, endDate) });
  const addresses = [...new Set(rows.map((row) => row.liquidator_address))].sort();
  return addresses
    .map((address) => ({ address, ...sums(rows.filter((row) => row.liquidator_address === address)) }))
    .sort((a, b) => decimals.compare(b.debtRepaid, a.debtRepaid))
    .slice(0, limit);
};

module.exports = VesuLiquidation;
