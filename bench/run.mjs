// `make bench`: the same Worker on Holdfast and on the workerd binary, the same load generator (wrk), one run,
// alternating, because these machines are noisy: what counts are the ratios.
//   --seconds N   for each measurement (default 3)     --rounds N   the median of so many (default 3)
//   --only TEXT   measurements whose name contains it  --json FILE  where the figures go (default build/bench.json)
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { median, rssOf, runtimes, wrk } from './support.mjs';

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
  console.log(`${name.padEnd(46)} ${show(holdfast).padStart(10)} ${show(workerd).padStart(10)} ${unit.padEnd(10)} ${ratio.toFixed(2)}x`);
}

console.log(`${''.padEnd(46)} ${'holdfast'.padStart(10)} ${'workerd'.padStart(10)} ${''.padEnd(10)} times better`);

// Throughput: both servers up, measured in turns.
{
  const targets = { holdfast: await runtimes.holdfast(), workerd: await runtimes.workerd() };
  const loads = [
    ['plain fetch', { what: 'plain' }],
    ['stub.fetch to one object', { what: 'fetch' }],
    ['RPC to one object in memory', { what: 'memory' }],
    ['durable increment (KV), one object', { what: 'kv' }],
    ['durable increment (KV), 64 objects', { what: 'kv', objects: 64 }],
    ['SQL insert, one object', { what: 'sql' }],
    ['SQL insert, 64 objects', { what: 'sql', objects: 64 }],
  ];
  for (const [label, load] of loads) {
    for (const connections of [1, 64]) {
      const name = `${label}, ${connections} connection${connections > 1 ? 's' : ''}`;
      if (!name.includes(options.only)) continue;
      const rates = { holdfast: [], workerd: [] };
      for (let round = 0; round < Number(options.rounds); round++) {
        for (const [which, target] of Object.entries(targets)) {
          rates[which].push((await wrk(target, { ...load, connections, seconds })).rate);
        }
      }
      row(name, 'req/s', median(rates.holdfast), median(rates.workerd), 'more');
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
