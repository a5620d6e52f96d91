// The application's own users: which of them owns which wallet. Everything else follows from it.
const { DataTypes } = require('sequelize');
const sequelize = require('../database');

module.exports = sequelize.define(
  'VesuUser',
  {
    user_id: { type: DataTypes.UUID, primaryKey: true, defaultValue: DataTypes.UUIDV4 },
    wallet_address: { type: DataTypes.TEXT },
  },
  { tableName: 'users', timestamps: false, paranoid: false },
);
