// `make bench`: the same Worker on Holdfast and on the workerd binary, the same load generator (wrk), one run,
// alternating, because these machines are noisy: what counts are the ratios.
//   --seconds N   for each measurement (default 3)     --rounds N   the median of so many (default 3)
//   --only TEXT   measurements whose name contains it  --json FILE  where the figures go (default build/bench.json)
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { heldSockets, median, rssOf, runtimes, socketLoad, wrk } from './support.mjs';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    json: { type: 'string', default: fileURLToPath(new URL('../build/bench.json', import.meta.url)) },
  },
});

const seconds = Number(options.seconds);
const rows = [];

function row(name, unit, holdfast, workerd, better) {
  const ratio = better === 'more' ? holdfast / workerd : workerd / holdfast;
  rows.push({ name, unit, holdfast, workerd, ratio });
  const show = (x) => (x >= 100 ? Math.round(x).toLocaleString('en') : x.toFixed(1));
  console.log(`${name.padEnd(58)} ${show(holdfast).padStart(10)} ${show(workerd).padStart(10)} ${unit.padEnd(10)} ${ratio.toFixed(2)}x`);
}

console.log(`${''.padEnd(58)} ${'holdfast'.padStart(10)} ${'workerd'.padStart(10)} ${''.padEnd(10)} times better`);

// Throughput: both servers up, measured in turns.
const several = (n, what) => `${n.toLocaleString('en')} ${what}${n > 1 ? 's' : ''}`;
const requests = (label, load) => [1, 64].map((connections) => ({
  name: `${label}, ${several(connections, 'connection')}`,
  unit: 'req/s',
  measure: (target) => wrk(target, { ...load, connections, seconds }),
}));
const messages = (name, mode, load) => ({ name, unit: 'messages/s', measure: (target) => socketLoad(target, mode, { ...load, seconds }) });
const loads = [
  ...requests('plain fetch', { what: 'plain' }),
  ...requests('stub.fetch to one object', { what: 'fetch' }),
  ...requests('RPC to one object in memory', { what: 'memory' }),
  ...requests('RPC with a function that is called back', { what: 'callback' }),
  ...requests('RPC, two calls pipelined', { what: 'pipeline' }),
  ...requests('durable increment (KV), one object', { what: 'kv' }),
  ...requests('durable increment (KV), 64 objects', { what: 'kv', objects: 64 }),
  ...requests('SQL insert, one object', { what: 'sql' }),
  ...requests('SQL insert, 64 objects', { what: 'sql', objects: 64 }),
  ...[1, 64, 1_000].map((connections) => messages(`WebSocket echo, one object, ${several(connections, 'connection')}`, 'echo', { connections })),
  messages('WebSocket echo, 64 objects, 1,000 connections', 'echo', { connections: 1_000, objects: 64 }),
  messages('WebSocket echo, accept(), 64 connections', 'echo', { what: 'accept', connections: 64 }),
  ...[1, 16].map((speakers) => messages(`WebSocket broadcast to 1,000, ${several(speakers, 'speaker')}`, 'broadcast', { connections: 1_000, speakers })),
].filter(({ name }) => name.includes(options.only));
if (loads.length > 0) {
  const targets = { holdfast: await runtimes.holdfast(), workerd: await runtimes.workerd() };
  for (const { name, unit, measure } of loads) {
    const rates = { holdfast: [], workerd: [] };
    try {
      for (let round = 0; round < Number(options.rounds); round++) {
        for (const [which, target] of Object.entries(targets)) rates[which].push((await measure(target)).rate);
      }
      row(name, unit, median(rates.holdfast), median(rates.workerd), 'more');
    } catch (error) {
      // One that does not work is no reason to measure none.
      console.log(`${name.padEnd(58)} failed: ${error.message}`);
      process.exitCode = 1;
    }
  }
  for (const target of Object.values(targets)) await target.server[Symbol.asyncDispose]();
}

// First touch: a fresh server each, objects that nobody has seen. Both runtimes let go of an object after ten idle
// seconds, and workerd needs longer than that for 10,000 objects with a file each: 1,000 show what an object costs.
const touches = [['in memory', 'memory'], ['one KV write', 'kv'], ['one SQL write', 'sql']];
for (const [count, label, what] of [10_000, 1_000].flatMap((n) => touches.map((touch) => [n, ...touch]))) {
  const name = `first touch of ${count.toLocaleString('en')} objects, ${label}`;
  if (!name.includes(options.only)) continue;
  const seen = {};
  for (const which of Object.keys(runtimes)) {
    const target = await runtimes[which]();
    await wrk(target, { what: 'plain', connections: 64, seconds: 1 });
    const before = await rssOf(target.pid);
    const { rate } = await wrk(target, { what, objects: 0, connections: 64, count });
    seen[which] = { rate, memory: ((await rssOf(target.pid)) - before) / count };
    await target.server[Symbol.asyncDispose]();
  }
  row(name, 'objects/s', seen.holdfast.rate, seen.workerd.rate, 'more');
  row('  resident memory after it', 'KB/object', seen.holdfast.memory, seen.workerd.memory, 'less');
}

// Memory of what does nothing. Ten seconds after the last event both runtimes evict an object, or let it hibernate.
const idle = 15_000;
async function idleMemory(name, counts, load, labels) {
  if (!name.includes(options.only)) return;
  const seen = {};
  for (const which of Object.keys(runtimes)) {
    const target = await runtimes[which]();
    await wrk(target, { what: 'plain', connections: 64, seconds: 1 });
    const before = await rssOf(target.pid);
    const count = counts[which];
    const held = async () => ((await rssOf(target.pid)) - before) / count;
    const end = await load(target, count);
    seen[which] = [await held()];
    await sleep(idle);
    seen[which].push(await held());
    await end?.();
    await target.server[Symbol.asyncDispose]();
  }
  labels.forEach((label, i) => row(`${name}, ${label}`, 'KB', seen.holdfast[i], seen.workerd[i], 'less'));
}
await idleMemory('memory of an idle object', { holdfast: 10_000, workerd: 10_000 }, async (target, count) => {
  await wrk(target, { what: 'keep', objects: 0, connections: 64, count });
}, ['in memory', 'evicted']);
const hold = (objects) => async (target, connections) => {
  const sockets = await heldSockets(target, { what: 'echo', connections, objects: objects(connections) });
  return async () => {
    await sockets.speak(); // They are all there and the objects wake.
    await sockets.close();
  };
};
// workerd has two to five descriptors open for each socket, and a process may usually have 20,000.
const states = ['awake', 'hibernated'];
await idleMemory('memory of a socket, 100 objects', { holdfast: 10_000, workerd: 5_000 }, hold(() => 100), states);
await idleMemory('memory of an object with one socket', { holdfast: 10_000, workerd: 2_000 }, hold((sockets) => sockets), states);

// From start to the first response of a Worker that is deployed already.
if ('start-up to first response'.includes(options.only)) {
  const times = { holdfast: [], workerd: [] };
  const first = await runtimes.holdfast();
  await first.server.stop();
  for (let round = 0; round < Number(options.rounds); round++) {
    const begin = performance.now();
    await first.server.startAgain();
    await first.server.fetch('bench', '/plain');
    times.holdfast.push(performance.now() - begin);
    await first.server.stop();
    const other = performance.now();
    const reference = await runtimes.workerd();
    await (await fetch(`http://127.0.0.1:${reference.port}/plain`)).text();
    times.workerd.push(performance.now() - other);
    await reference.server[Symbol.asyncDispose]();
  }
  await first.server[Symbol.asyncDispose]();
  row('start-up to first response', 'ms', median(times.holdfast), median(times.workerd), 'less');
}

await mkdir(dirname(options.json), { recursive: true });
await writeFile(options.json, JSON.stringify({ at: new Date().toISOString(), node: process.version, rows }, null, 2));
