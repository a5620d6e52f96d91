// Exact decimals: numeric columns arrive as text, and a JavaScript number would round them
// (health 0.999999999999999999 would become 1, which is not liquidatable).
const PLACES = 40;

function units(value) {
  const [, sign, whole, part = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(value)) || [];
  if (whole === undefined || part.length > PLACES) {
    throw new RangeError(`${value} is no decimal with at most ${PLACES} places`);
  }
  const found = BigInt(whole + part.padEnd(PLACES, '0'));
  return sign ? -found : found;
}

function text(found) {
  const digits = String(found < 0n ? -found : found).padStart(PLACES + 1, '0');
  const part = digits.slice(-PLACES).replace(/0+$/, '');
  return (found < 0n ? '-' : '') + digits.slice(0, -PLACES) + (part && `.${part}`);
}

const compare = (a, b) => {
  const difference = units(a) - units(b);
  return difference < 0n ? -1 : Number(difference > 0n);
};
const subtract = (a, b) => text(units(a) - units(b));
const sum = (values) => text(values.reduce((total, value) => total + units(value), 0n));
// A ratio, rounded down to 18 places; '0' where there is nothing to divide by.
const divide = (a, b) => {
  const divisor = units(b);
  if (divisor === 0n) return '0';
  const scale = 10n ** BigInt(PLACES);
  const found = (units(a) * 10n ** 18n) / divisor;
  return text(found * (scale / 10n ** 18n));
};

module.exports = { compare, subtract, sum, divide };
