// `make bench-storage`: what is promised about storage, each case beside what it is compared with, in this one run.
//   --quick       smaller and shorter: to see that it works      --only 1,6    rows by number
//   --json FILE   where the figures go (default build/bench-storage.json)
// HF_BENCH_DIR names a directory on the disk to measure (default: under build/); memory is refused.
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { median, rssOf, runtimes, wrk } from '../support.mjs';

const run = promisify(execFile);
const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '1,2,3,4,5,6,7,8' },
    json: { type: 'string', default: path('../../build/bench-storage.json') },
  },
});
const wanted = new Set(options.only.split(',').map(Number));
const directory = resolve(process.env.HF_BENCH_DIR ?? path('../../build'), 'bench-storage.d');
await rm(directory, { recursive: true, force: true });
await mkdir(directory, { recursive: true });
// Both servers' own folders too.
process.env.TMPDIR = directory;

// What a store holds whatever it knows, shared out over so many objects.
const kNothing = options.quick ? 10 : 1;
const rows = [];
const figures = {};
const show = (x) => (x === undefined ? '' : Math.abs(x) >= 100 ? Math.round(x).toLocaleString('en') : x.toFixed(Math.abs(x) >= 10 ? 1 : 2));

// What is measured is `value`; what it is compared with `comparison`, named by `against`. A row without a target is
// there to understand the others. `times`: ratio of the two, such that the target is a bound for it.
function row(number, name, { unit, value, against = '', comparison, ratio, atMost, atLeast }) {
  const judged = ratio ?? value;
  const target = atMost !== undefined ? `<= ${atMost}` : atLeast !== undefined ? `>= ${atLeast}` : '';
  const reached = atMost !== undefined ? judged <= atMost : atLeast !== undefined ? judged >= atLeast : undefined;
  rows.push({ row: number, name, unit, value, against, comparison, ratio, target, reached });
  console.log(
    `${String(number).padStart(2)} ${name.padEnd(52)} ${show(value).padStart(9)} ${show(comparison).padStart(9)} ${unit.padEnd(11)}` +
      `${(ratio === undefined ? '' : ratio.toFixed(2)).padStart(6)}  ${target.padEnd(8)} ${reached === undefined ? '   ' : reached ? 'yes' : 'NO '}  ${against}`,
  );
}

async function measured(name) {
  const { stdout } = await run(path('../../build/release/bench/storage/bench_storage'), [name, directory, ...(options.quick ? ['--quick'] : [])]);
  return (figures[name] = JSON.parse(stdout));
}

/** Both runtimes, stopped at the end. */
async function both(source, task) {
  const targets = {};
  try {
    for (const which of Object.keys(runtimes)) targets[which] = await runtimes[which](source);
    return await task(targets);
  } finally {
    for (const target of Object.values(targets)) await target.server[Symbol.asyncDispose]();
  }
}

const parts = {
  async 1() {
    const one = await measured('one-object');
    row(1, 'durable update of a row, one after another', { unit: 'µs', value: one.commitUs, comparison: one.writeAndSyncUs, ratio: one.commitUs / one.writeAndSyncUs, atMost: 1.25, against: `write + fdatasync of ${one.bytesPerCommit} B` });
    row(1, '  of it the turn: SQLite, the record, the queue', { unit: 'µs', value: one.turnUs });
    row(1, '  the record', { unit: 'B', value: one.recordBytes, atMost: 600 });
    await both(undefined, async (targets) => {
      const times = { holdfast: [], workerd: [] };
      for (let round = 0; round < 3; round++) {
        for (const which of Object.keys(times)) times[which].push((await wrk(targets[which], { what: 'kv', connections: 1, seconds: options.quick ? 1 : 2 })).p50us);
      }
      const [ours, theirs] = [median(times.holdfast), median(times.workerd)];
      row(1, '  by HTTP: request, increment, response', { unit: 'µs', value: ours, comparison: theirs, ratio: ours / theirs, against: 'workerd' });
    });
  },
  async 2() {
    const many = await measured('many-objects');
    row(2, 'durable updates, 64 objects at once', { unit: 'commits/s', value: many.commitsPerSecond, comparison: many.sqliteCommitsPerSecond, ratio: many.commitsPerSecond / many.sqliteCommitsPerSecond, atLeast: 10, against: '64 SQLite files, WAL, FULL, 64 threads' });
    row(2, '  commits made durable by one fdatasync', { unit: '', value: many.commitsPerSync, atLeast: 8 });
  },
  async 3() {
    const count = options.quick ? 2_000 : 10_000;
    for (const [label, what, atLeast] of [['a KV row', 'kv', 20], ['an SQL row', 'sql', undefined]]) {
      const rates = {};
      for (const which of Object.keys(runtimes)) {
        const target = await runtimes[which]();
        try {
          await wrk(target, { what: 'plain', connections: 64, seconds: 1 });
          const before = await rssOf(target.pid);
          rates[which] = (await wrk(target, { what, objects: 0, connections: 64, count })).rate;
          if (what === 'kv') figures[`rss-${which}`] = ((await rssOf(target.pid)) - before) / count;
        } finally {
          await target.server[Symbol.asyncDispose]();
        }
      }
      row(3, `${count.toLocaleString('en')} new objects, ${label} each`, { unit: 'objects/s', value: rates.holdfast, comparison: rates.workerd, ratio: rates.holdfast / rates.workerd, atLeast, against: 'workerd' });
    }
  },
  async 4() {
    const memory = {};
    const counts = { holdfast: options.quick ? 5_000 : 10_000, workerd: 1_000 }; // workerd lets go before it has made more
    for (const which of Object.keys(runtimes)) {
      const target = await runtimes[which]();
      try {
        await wrk(target, { what: 'plain', connections: 64, seconds: 1 });
        const before = await rssOf(target.pid);
        await wrk(target, { what: 'kv', objects: 0, connections: 64, count: counts[which] });
        memory[which] = ((await rssOf(target.pid)) - before) / counts[which];
      } finally {
        await target.server[Symbol.asyncDispose]();
      }
    }
    row(4, `memory of an open object, of ${counts.holdfast.toLocaleString('en')}, one KV write done`, { unit: 'KB', value: memory.holdfast, comparison: memory.workerd, atMost: 40, against: 'workerd, of 1,000' });
    // Every one of them keeps its connection: the most that an object costs.
    const often = await runtimes.holdfast();
    try {
      await wrk(often, { what: 'kv', objects: 1, connections: 64, seconds: 2 });
      const before = await rssOf(often.pid);
      await wrk(often, { what: 'kv', objects: 4_000, connections: 64, seconds: 2 });
      row(4, '  of 4,000 written again and again', { unit: 'KB', value: ((await rssOf(often.pid)) - before) / 4_000 });
    } finally {
      await often.server[Symbol.asyncDispose]();
    }
    const open = await measured('open-objects');
    row(4, '  its database alone, connection and pages kept', { unit: 'KB', value: open.residentEach / 1024 });
    row(4, '  the same after a checkpoint', { unit: 'KB', value: open.residentEachCheckpointed / 1024 });
    row(4, '  without the connection (a short time idle), heap', { unit: 'KB', value: open.heapEachReleased / 1024 });
    const closed = await closedFigures();
    row(4, `memory of a closed object, of ${closed.objects.toLocaleString('en')}, heap`, { unit: 'B', value: closed.heapEach, atMost: kNothing });
    row(4, '  the same, resident', { unit: 'B', value: closed.residentEach });
    row(4, '  the same after a start, heap', { unit: 'B', value: closed.startedHeapEach, atMost: kNothing });
    row(4, `  start of a store with so many, beside an empty one`, { unit: 'ms', value: closed.startMs, comparison: closed.startMsWithNone, against: 'empty store' });
  },
  async 5() {
    const closed = await closedFigures();
    row(5, 'disk blocks of a closed object with one small row', { unit: 'B', value: closed.diskBytesEach, comparison: closed.plainDiskBytesEach, ratio: closed.diskBytesEach / closed.plainDiskBytesEach, atMost: 1.5, against: 'the plain SQLite file' });
  },
  async 6() {
    const cold = await measured('cold-open');
    row(6, 'open a closed object, read one row', { unit: 'µs', value: cold.us, comparison: cold.plainUs, ratio: cold.us / cold.plainUs, atMost: 1.5, against: 'the plain SQLite file, in the page cache' });
    row(6, '  the file not in the page cache', { unit: 'µs', value: cold.fromDiskUs, comparison: cold.plainFromDiskUs, ratio: cold.fromDiskUs / cold.plainFromDiskUs, atMost: 1.5, against: 'the plain SQLite file, from the disk' });
  },
  async 7() {
    await both(await readFile(path('./worker.mjs'), 'utf8'), async (targets) => {
      const request = async ({ port, host, server }, part) => {
        const response = host.startsWith('bench.') ? await server.fetch('bench', part) : await fetch(`http://127.0.0.1:${port}${part}`);
        if (response.status !== 200) throw new Error(`${part}: ${response.status} ${typeof response.text === 'string' ? response.text : await response.text()}`);
      };
      for (const target of Object.values(targets)) await request(target, '/fill/1');
      for (const [name, what, atLeast] of [['list() of 1,000 keys', 'list', 3], ['sql: select of 1,000 rows, toArray()', 'select', 3], ['  kv.list() of 1,000 keys', 'listSync'], ['  sql: raw() of 1,000 rows', 'selectRaw']]) {
        const times = { holdfast: [], workerd: [] };
        const count = options.quick ? 100 : 300;
        for (let round = 0; round < 5; round++) {
          for (const [which, target] of Object.entries(targets)) {
            await request(target, `/${what}/1`);
            const begin = performance.now();
            await request(target, `/${what}/${count}`);
            times[which].push(((performance.now() - begin) * 1000) / count);
          }
        }
        const [ours, theirs] = [median(times.holdfast), median(times.workerd)];
        row(7, name, { unit: 'µs', value: ours, comparison: theirs, ratio: theirs / ours, atLeast, against: 'workerd ÷ holdfast' });
      }
    });
  },
  async 8() {
    const both = await measured('checkpointing');
    for (const [underWay, name] of [['1', 'one after another'], ['64', '64 under way']]) {
      const { with: busy, without: quiet } = both[underWay];
      row(8, `99.9 % of durable updates, ${name}, checkpoints`, { unit: 'µs', value: busy.p999Us, comparison: quiet.p999Us, ratio: busy.p999Us / quiet.p999Us, atMost: 3, against: `without; ${busy.checkpoints} checkpoints` });
      row(8, '  the median of the same', { unit: 'µs', value: busy.p50Us, comparison: quiet.p50Us, ratio: busy.p50Us / quiet.p50Us, against: 'without' });
    }
  },
};

let closedOnce;
function closedFigures() {
  return (closedOnce ??= measured('closed-objects'));
}

console.log(`   ${''.padEnd(52)} ${'holdfast'.padStart(9)} ${'beside'.padStart(9)} ${''.padEnd(11)} ratio  target`);
for (const [number, part] of Object.entries(parts)) {
  if (wanted.has(Number(number))) await part();
}
await rm(directory, { recursive: true, force: true });
await mkdir(dirname(options.json), { recursive: true });
await writeFile(options.json, JSON.stringify({ at: new Date().toISOString(), node: process.version, quick: options.quick, rows, figures }, null, 2));
