const { DataTypes, Op } = require('sequelize');
const sequelize = require('../database');
const decimals = require('../decimals');

const TYPES = ['supply', 'borrow', 'repay', 'withdraw', 'liquidation', 'transfer'];

const VesuTransaction = sequelize.define(
  'VesuTransaction',
  {
    id: { type: DataTypes.UUID, primaryKey: true, defaultValue: DataTypes.UUIDV4 },
    position_id: { type: DataTypes.UUID },
    user_id: { type: DataTypes.UUID, allowNull: false },
    transaction_hash: { type: DataTypes.STRING(66), allowNull: false },
    type: { type: DataTypes.ENUM(...TYPES), allowNull: false },
    asset: { type: DataTypes.TEXT },
    amount: { type: DataTypes.DECIMAL, allowNull: false },
    status: { type: DataTypes.ENUM('pending', 'confirmed', 'failed'), defaultValue: 'pending' },
    block_number: { type: DataTypes.BIGINT },
    timestamp: { type: DataTypes.DATE },
    gas_used: { type: DataTypes.DECIMAL },
    error_message: { type: DataTypes.TEXT },
  },
  { tableName: 'vesu_transactions' },
);

for (const status of ['Pending', 'Confirmed', 'Failed']) {
  VesuTransaction.prototype[`is${status}`] = function hasStatus() {
    return this.status === status.toLowerCase();
  };
}
for (const type of ['Supply', 'Borrow', 'Repay', 'Withdraw', 'Liquidation']) {
  VesuTransaction.prototype[`is${type}`] = function hasType() {
    return this.type === type.toLowerCase();
  };
}

// The tables hold hashes as 0x and 64 lower-case digits; wallets show them shorter.
const padded = (hash) => `0x${BigInt(hash).toString(16).padStart(64, '0')}`;
const newestFirst = [['created_at', 'DESC'], 'id'];
const between = (startDate, endDate) => ({
  ...(startDate && { [Op.gte]: startDate }),
  ...(endDate && { [Op.lte]: endDate }),
});

// A transaction may have several effects: each is a row, and the first is answered.
VesuTransaction.findByHash = (txHash) =>
  VesuTransaction.findOne({ where: { transaction_hash: padded(txHash) }, order: ['type', 'id'] });

VesuTransaction.findPendingTransactions = () =>
  VesuTransaction.findAll({ where: { status: 'pending' }, order: ['created_at', 'id'] });

VesuTransaction.findUserTransactions = (userId, type, limit = 50) =>
  VesuTransaction.findAll({
    where: { user_id: userId, ...(type && { type }) },
    order: newestFirst,
    limit,
  });

VesuTransaction.findPositionTransactions = (positionId) =>
  VesuTransaction.findAll({ where: { position_id: positionId }, order: newestFirst });

VesuTransaction.getTransactionStats = async (userId, startDate, endDate) => {
  const found = await VesuTransaction.findAll({
    where: {
      user_id: userId,
      status: 'confirmed',
      ...((startDate || endDate) && { timestamp: between(startDate, endDate) }),
    },
  });
  const groups = (name) => [...new Set(found.map((row) => row[name]))].sort();
  const those = (name, value) => found.filter((row) => row[name] === value);
  return {
    total: found.length,
    byType: Object.fromEntries(groups('type').map((type) => [type, those('type', type).length])),
    volume: Object.fromEntries(
      groups('asset').map((asset) => [asset, decimals.sum(those('asset', asset).map((row) => row.amount))]),
    ),
  };
};

module.exports = VesuTransaction;
