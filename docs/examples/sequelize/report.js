// What an application begins with: npm ci, the guide's DB_ variables, then npm start.
const { sequelize, VesuPool, VesuPosition, VesuTransaction, VesuLiquidation } = require('./models');

async function main() {
  console.log('pools', await VesuPool.getPoolStats());
  for (const position of await VesuPosition.findLiquidatablePositions()) {
    console.log('liquidatable', position.id, position.health_factor);
  }
  for (const position of await VesuPosition.findAtRiskPositions()) {
    console.log('at risk', position.id, position.health_factor);
  }
  console.log('pending', (await VesuTransaction.findPendingTransactions()).length);
  console.log('liquidators', await VesuLiquidation.getLiquidatorLeaderboard());
  await sequelize.close();
}

main();
