const VesuUser = require('./user');
const VesuPool = require('./pool');
const VesuPosition = require('./position');
const VesuTransaction = require('./transaction');
const VesuLiquidation = require('./liquidation');
const sequelize = require('../database');

const of = { foreignKey: 'position_id', constraints: false };
// Ask for a position's transactions with `include: { association: 'transactions', separate: true }`:
// the view is a union, which PostgreSQL joins from this side only by reading all of it.
VesuPosition.hasMany(VesuTransaction, { ...of, as: 'transactions' });
VesuPosition.hasMany(VesuLiquidation, { ...of, as: 'liquidations' });
VesuTransaction.belongsTo(VesuPosition, { ...of, as: 'position' });
VesuLiquidation.belongsTo(VesuPosition, { ...of, as: 'position' });

module.exports = { sequelize, VesuUser, VesuPool, VesuPosition, VesuTransaction, VesuLiquidation };
