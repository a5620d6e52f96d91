// The connection by the guide's variables, with the options that its models count on.
const { Sequelize } = require('sequelize');

const number = (name, otherwise) => Number(process.env[name] || otherwise);

const options = {
  dialect: 'postgres',
  logging: false,
  pool: {
    max: number('DB_POOL_MAX', 10),
    min: number('DB_POOL_MIN', 2),
    acquire: number('DB_POOL_ACQUIRE', 30000),
    idle: number('DB_POOL_IDLE', 10000),
  },
  define: {
    timestamps: true,
    underscored: true,
    paranoid: true,
    freezeTableName: true,
  },
  dialectOptions: process.env.DB_SSL === 'true' ? { ssl: true } : {},
};

const { DB_NAME, DB_USER, DB_PASSWORD, DB_HOST, DB_PORT } = process.env;
const place = { host: DB_HOST || 'localhost', port: number('DB_PORT', 5432) };

module.exports = new Sequelize(DB_NAME, DB_USER, DB_PASSWORD, { ...options, ...place });
