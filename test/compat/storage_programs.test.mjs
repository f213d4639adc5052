// Random programs of storage operations, with transactions in each other, cursors left open, alarms and deleteAll, on
// workerd and on Holdfast. HF_SEED=n repeats a run; HF_PROGRAMS=n runs more.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';
import { Workerd } from '../support/workerd.mjs';

const seed = Number(process.env.HF_SEED ?? Math.floor(Math.random() * 2 ** 31));
const programs = Number(process.env.HF_PROGRAMS ?? 200);
const kPerRequest = 20;

function generator(state) {
  const below = (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
  const one = (list) => list[below(list.length)];
  const key = () => one(['a', 'b', 'ab', 'abc', 'b1', 'b2', 'c', 'é', '💥', '']);
  const value = () => one([1, -5, 1.5, 'text', null, true, [1, 2], { x: { y: 1 } }, 'x'.repeat(below(3000)), below(1000)]);
  const several = (make, n = 4) => Array.from({ length: 1 + below(n) }, make);
  const range = () => {
    const options = {};
    if (below(3) === 0) options[one(['start', 'startAfter'])] = key();
    if (below(3) === 0) options.end = key();
    if (below(3) === 0) options.prefix = one(['a', 'b', '', 'ab']);
    if (below(3) === 0) options.limit = 1 + below(4);
    if (below(3) === 0) options.reverse = true;
    return options;
  };
  const statement = () =>
    one([
      ['INSERT INTO t(x, y) VALUES (?, ?) RETURNING id', below(20), one(['p', 'q', null])],
      ['INSERT INTO t(x, y) SELECT x + 100, y FROM t LIMIT 3'],
      ['INSERT OR REPLACE INTO t(id, x) VALUES (?, ?)', below(8), below(100)],
      ['INSERT INTO t(id, x) VALUES (?, ?)', below(8), below(100)],
      ['UPDATE t SET x = x + 1 WHERE id % 2 = ?', below(2)],
      ['UPDATE t SET y = ? WHERE id = ? RETURNING id, y', one(['r', 's']), below(8)],
      ['DELETE FROM t WHERE id = ?', below(8)],
      ['DELETE FROM t WHERE x > ? RETURNING x', below(100)],
      ['SELECT * FROM t ORDER BY id'],
      ['SELECT y, count(*), sum(x) FROM t GROUP BY y ORDER BY y'],
      ['SELECT x FROM t WHERE x BETWEEN ? AND ? ORDER BY x, id', below(10), below(100)],
      ['CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x, y)'],
      ['CREATE TABLE u(a)'],
      ['INSERT INTO u VALUES (?)', below(5)],
      ['SELECT a FROM u ORDER BY a'],
      ['DROP TABLE IF EXISTS u'],
      ['CREATE INDEX IF NOT EXISTS tx ON t(x)'],
      ['DROP INDEX IF EXISTS tx'],
      ['ALTER TABLE u ADD COLUMN b DEFAULT 7'],
      ['nonsense'],
      ['SELECT * FROM nowhere'],
    ]);
  const sync = (depth) => {
    switch (below(depth > 0 ? 13 : 12)) {
      case 0:
      case 1:
        return ['kvput', key(), value()];
      case 2:
        return ['kvget', key()];
      case 3:
        return ['kvdelete', key()];
      case 4:
        return ['kvlist', range()];
      case 5:
        return below(2) === 0 ? ['kvopen', range()] : ['kvnext'];
      case 6:
        return ['open', below(3), ...one([['SELECT * FROM t ORDER BY id'], ['SELECT x FROM t WHERE x > ?', below(30)], ['SELECT a FROM u']])];
      case 7:
        return ['next', below(3)];
      case 8:
        return below(3) === 0 ? ['rest', below(3)] : ['kvnext'];
      case 12:
        return ['transactionSync', several(() => sync(depth - 1), 6), one(['ok', 'ok', 'throw'])];
      default:
        return ['sql', ...statement()];
    }
  };
  const step = (depth, top) => {
    switch (below(top ? 16 : depth > 0 ? 13 : 12)) {
      case 0:
        return ['put', key(), value()];
      case 1:
        return ['put', Object.fromEntries(several(() => [key(), value()]))];
      case 2:
        return ['get', below(2) === 0 ? key() : several(key)];
      case 3:
        return ['delete', below(2) === 0 ? key() : several(key)];
      case 4:
        return ['list', range()];
      case 5:
        return one([['setAlarm', 4_000_000_000_000 + below(1000)], ['getAlarm'], ['deleteAlarm']]);
      case 12:
        return ['transaction', several(() => step(depth - 1, false), 7), one(['ok', 'ok', 'throw', 'rollback'])];
      case 13:
        return ['pause'];
      case 14:
        return below(3) === 0 ? ['deleteAll'] : ['sync'];
      case 15:
        return ['pause'];
      default:
        return sync(2);
    }
  };
  // The tables that keys and alarms live in are there: making one changes the schema, which a rollback makes cursors feel.
  const begin = [['sql', 'CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)'], ['put', 'a', 0], ['setAlarm', 4_000_000_000_000], ['pause']];
  return () => [...begin, ...Array.from({ length: 10 + below(40) }, () => step(2, true))];
}

describe(`programs of HF_SEED=${seed}`, () => {
  let workerd;
  let holdfast;
  before(async () => {
    const modules = {};
    for (const name of ['storage_programs_worker.mjs', 'storage_cases.mjs']) modules[name] = await readFile(new URL(`./${name}`, import.meta.url), 'utf8');
    workerd = await Workerd.start({ modules, classes: { Subject: { binding: 'SUBJECT' } } });
    holdfast = await Holdfast.start();
    await holdfast.deploy('programs', modules, {
      bindings: [{ type: 'durable_object_namespace', name: 'SUBJECT', class_name: 'Subject' }],
      migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Subject'] }] },
    });
  });
  after(async () => {
    await workerd?.[Symbol.asyncDispose]();
    await holdfast?.[Symbol.asyncDispose]();
  });

  test(`${programs} programs give the same on both`, { timeout: 600_000 }, async () => {
    const make = generator(seed);
    for (let from = 0; from < programs; from += kPerRequest) {
      const batch = Object.fromEntries(Array.from({ length: kPerRequest }, (_, i) => [`program ${from + i}`, make()]));
      const body = JSON.stringify(batch);
      const [expected, ours] = await Promise.all([
        workerd.fetch('/', { method: 'POST', body }).then((response) => response.json()),
        holdfast.fetch('programs', '/', { method: 'POST', body }).then((response) => response.json()),
      ]);
      for (const [i, given] of expected.entries()) {
        const { name } = given;
        // Where they part, for whoever has to find out why.
        const at = Array.isArray(given.log) && Array.isArray(ours[i].log) ? given.log.findIndex((entry, j) => JSON.stringify(entry) !== JSON.stringify(ours[i].log[j])) : 0;
        assert.deepEqual(ours[i], given, `HF_SEED=${seed} ${name}, entry ${at} of the log: ${JSON.stringify(batch[name])}`);
      }
    }
  });
});
