// AWS Powertools for TypeScript on Redis: microseconds for a first call and for a duplicate.
//
// usage: node powertools.mjs MODULES URL CALLS

import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';

const [modules, url, calls] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { IdempotencyConfig, makeIdempotent } = require('@aws-lambda-powertools/idempotency');
const { CachePersistenceLayer } = require('@aws-lambda-powertools/idempotency/cache');
const { createClient } = require('@redis/client');

// Outside of Lambda there is no remaining time to ask for.
console.warn = () => {};
const client = await createClient({ url }).connect();
const charge = makeIdempotent(async (order) => order.amount * 100, {
  persistenceStore: new CachePersistenceLayer({ client }),
  config: new IdempotencyConfig({ expiresAfterSeconds: 86_400 }),
});

async function microseconds(orders) {
  const began = process.hrtime.bigint();
  for (const order of orders) await charge(order);
  return Number(process.hrtime.bigint() - began) / 1e3 / orders.length;
}

const warm = Math.floor(calls / 10);
const orders = Array.from({ length: calls }, () => ({ order: randomUUID(), who: 'anna', amount: 12 }));
await microseconds(orders.slice(0, warm));
const rest = orders.slice(warm);
console.log(JSON.stringify({ first: await microseconds(rest), duplicate: await microseconds(rest) }));
await client.close();
