// A service in Node that charges each order once, through an idempotent device.
//
//     idem serve                                                  # in another terminal
//     IDEM_STORE=http://127.0.0.1:4336 node service.mjs 8002
//     curl localhost:8002 -d '{"order": 7, "cents": 1250}'        # and again, or through service.py
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

const { IDEM_STORE: device, IDEM_DEVICE_KEY: key } = process.env;

async function charge(order, cents) { // what must not happen twice
  console.log(`charged ${order}`);
  return `receipt for order ${order}: ${cents}`;
}

// One request to the device. If its answer is lost, the same attempt may ask again.
async function ask(path, body) {
  const headers = { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) };
  const request = { method: 'POST', headers, body: JSON.stringify(body) };
  for (const wait of [100, 1000, 3000, null]) {
    try {
      const answer = await fetch(device + path, { ...request, signal: AbortSignal.timeout(30_000) });
      // Also a problem document (RFC 9457) has an outcome.
      if (answer.status !== 503 || wait === null) return await answer.json();
    } catch (error) {
      if (wait === null) throw error;
    }
    await pause(wait);
  }
}

// What the first call with these arguments has returned, in whichever language it was.
async function once(name, body, ...values) {
  const call = { function: name, attempt: crypto.randomUUID() };
  // Nobody renews the lease: it is longer than the body takes.
  const claim = await ask('/v1/claim', { ...call, arguments: values, lease_ms: 60_000, wait_ms: 15_000 });
  if (claim.outcome === 'done' && 'result' in claim) return claim.result;
  if (claim.outcome !== 'claimed') throw new Error(claim.message ?? claim.detail ?? claim.title);
  const record = `/v1/records/${claim.token}`;
  let result;
  try {
    result = await body(...values);
  } catch (error) {
    await ask(`${record}/interrupt`, { attempt: call.attempt }); // nobody knows what it did
    throw error;
  }
  await ask(`${record}/complete`, { ...call, fence: claim.fence, generation: claim.generation, result });
  return result;
}

const server = createServer(async (request, response) => {
  try {
    const { order, cents } = JSON.parse((await request.toArray()).join(''));
    response.end(await once('orders.charge', charge, order, cents));
  } catch (refused) {
    response.writeHead(409).end(refused.message);
  }
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log(`listens on ${server.address().port}`));
