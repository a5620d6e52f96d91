// Answers questions about the models: a JSON list on stdin, a JSON list of answers on stdout.
// A question: {"model": "VesuPosition", "method": "findUserPositions", "args": ["…", "active"]}, or
// with an "id" for a method of that row. An answer: {"value": …} or {"error": "…"}.
const fs = require('fs');
const models = require('./models');

const plain = (value) => JSON.parse(JSON.stringify(value ?? null));

async function answer({ model, method, id, args = [], options }) {
  const target = id === undefined ? models[model] : await models[model].findByPk(id, options);
  if (target === null) return { error: `${model} has no row ${id}` };
  return { value: plain(await target[method](...args)) };
}

async function main() {
  const answers = [];
  for (const question of JSON.parse(fs.readFileSync(0, 'utf8'))) {
    answers.push(await answer(question).catch((error) => ({ error: error.message })));
  }
  await models.sequelize.close();
  process.stdout.write(JSON.stringify(answers));
}

main();
