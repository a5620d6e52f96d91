const { DataTypes, Op } = require('sequelize');
const sequelize = require('../database');
const decimals = require('../decimals');

const VesuPosition = sequelize.define(
  'VesuPosition',
  {
    id: { type: DataTypes.UUID, primaryKey: true, defaultValue: DataTypes.UUIDV4 },
    user_id: { type: DataTypes.UUID },
    pool_address: { type: DataTypes.STRING(66), allowNull: false },
    collateral_asset: { type: DataTypes.TEXT },
    debt_asset: { type: DataTypes.TEXT },
    collateral_amount: { type: DataTypes.DECIMAL },
    debt_amount: { type: DataTypes.DECIMAL },
    vtoken_balance: { type: DataTypes.DECIMAL },
    health_factor: { type: DataTypes.DECIMAL },
    status: { type: DataTypes.ENUM('active', 'liquidated', 'closed') },
    last_updated: { type: DataTypes.DATE },
  },
  { tableName: 'vesu_positions' },
);

// health_factor is null where there is no debt: null < 1 is true in JavaScript, so null goes first.
const isWithin = (health, from, below) =>
  health !== null &&
  (from === null || decimals.compare(health, from) >= 0) &&
  decimals.compare(health, below) < 0;

Object.assign(VesuPosition.prototype, {
  isHealthy() {
    return !this.isLiquidatable();
  },
  isAtRisk() {
    return isWithin(this.health_factor, '1', '1.2');
  },
  isCritical() {
    return isWithin(this.health_factor, '1', '1.05');
  },
  isLiquidatable() {
    return isWithin(this.health_factor, null, '1');
  },
  hasDebt() {
    return decimals.compare(this.debt_amount, 0) > 0;
  },
  hasCollateral() {
    return decimals.compare(this.collateral_amount, 0) > 0;
  },
});

const byHealth = [['health_factor', 'ASC NULLS LAST'], 'id'];

VesuPosition.findActivePositions = () =>
  VesuPosition.findAll({ where: { status: 'active' }, order: byHealth });

VesuPosition.findLiquidatablePositions = () =>
  VesuPosition.findAll({
    where: { status: 'active', health_factor: { [Op.lt]: 1 } },
    order: byHealth,
  });

VesuPosition.findAtRiskPositions = () =>
  VesuPosition.findAll({
    where: { status: 'active', health_factor: { [Op.gte]: 1, [Op.lt]: '1.2' } },
    order: byHealth,
  });

VesuPosition.findUserPositions = (userId, status) =>
  VesuPosition.findAll({
    where: { user_id: userId, ...(status && { status }) },
    order: [['created_at', 'DESC'], 'id'],
  });

module.exports = VesuPosition;
