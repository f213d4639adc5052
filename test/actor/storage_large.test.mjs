// Storage on a real server: large work in bounded memory, limits, classes without SQLite, what depends on dates.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';

const code = `
import { DurableObject } from 'cloudflare:workers';
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const kMiB = 1024 * 1024;
export class Large extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.pings = 0;
  }
  alarm() {}
  ping() {
    this.ctx.storage.put('pings', ++this.pings);
    return this.pings;
  }
  async fillKeys(count) {
    const { storage } = this.ctx;
    for (let i = 0; i < count; i += 100) {
      const entries = {};
      for (let j = i; j < i + 100; j++) entries['key' + String(j).padStart(8, '0')] = { number: j, text: 'x'.repeat(100) };
      await storage.put(entries);
      if (i % 10_000 === 0) await storage.sync();
    }
  }
  async listPages(limit) {
    let startAfter = 'key';
    let count = 0;
    let pages = 0;
    for (;;) {
      const page = await this.ctx.storage.list({ startAfter, limit });
      if (page.size === 0) return [count, pages];
      pages++;
      for (const [key, value] of page) {
        if (value.number !== count) throw new Error('expected ' + count + ', got ' + value.number);
        count++;
        startAfter = key;
      }
    }
  }
  iterate() {
    let count = 0;
    for (const [key, value] of this.ctx.storage.kv.list({ prefix: 'key' })) if (value.number === count) count++;
    let back = 0;
    for (const entry of this.ctx.storage.kv.list({ prefix: 'key', reverse: true })) back++;
    return [count, back];
  }
  async bigValues() {
    const { storage } = this.ctx;
    const value = new Uint8Array(2 * kMiB - 100).map((_, i) => i * 7);
    for (let i = 0; i < 30; i++) {
      await storage.put('big' + i, value);
      await storage.sync();
    }
    const back = await storage.get('big7');
    let same = back.length === value.length && back.every((byte, i) => byte === value[i]);
    // 60 MB, of which a list of values holds no more than a few at a time.
    let count = 0;
    for (const [, { length }] of storage.kv.list({ prefix: 'big' })) if (length === value.length) count++;
    return [same, count];
  }
  makeRows(count) {
    const { sql } = this.ctx.storage;
    sql.exec('CREATE TABLE IF NOT EXISTS rows(id INTEGER PRIMARY KEY, text TEXT)');
    sql.exec("INSERT INTO rows WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT ?) SELECT n, 'row ' || n FROM c", count);
  }
  async readSlowly() {
    const { sql } = this.ctx.storage;
    let count = 0;
    let sum = 0;
    for (const { id } of sql.exec('SELECT id, text FROM rows')) {
      sum += id;
      if (++count % 100_000 !== 0) continue;
      // Another request comes and writes before it goes on.
      for (const { pings } = this; this.pings === pings; ) await pause(1);
    }
    return [count, sum];
  }
  tooManyRows() {
    try {
      return this.ctx.storage.sql.exec('SELECT a.id, a.text, b.id AS other FROM rows a, rows b').toArray().length;
    } catch (error) {
      return error.message;
    }
  }
  async listAll() {
    const { storage } = this.ctx;
    const text = 'x'.repeat(4000);
    for (let i = 0; i < 50_000; i += 100) {
      await storage.put(Object.fromEntries(Array.from({ length: 100 }, (_, j) => ['all' + String(i + j).padStart(6, '0'), text])));
      if (i % 10_000 === 0) await storage.sync();
    }
    await storage.sync();
    try {
      return (await storage.list({ prefix: 'all' })).size;
    } catch (error) {
      return error.message;
    }
  }
  // A value whose getter ends the object that stores it.
  async putAborting(how) {
    const { ctx } = this;
    const value = {
      get a() {
        try {
          ctx.abort('from a getter');
        } catch {}
        return 'x'.repeat(100_000);
      },
    };
    if (how === 'one') await ctx.storage.put('lost', value);
    else if (how === 'many') await ctx.storage.put({ lost: 1, also: value, too: 'y'.repeat(100_000) });
    else if (how === 'sync') ctx.storage.kv.put('lost', value);
    else await ctx.storage.transaction((txn) => txn.put({ lost: 1, also: value, too: 3 }));
    return 'stored';
  }
  // One call alone, that finds nothing to write.
  async idle(how) {
    const { storage } = this.ctx;
    const calls = {
      deleteAlarm: () => storage.deleteAlarm(),
      deleteAll: () => storage.deleteAll(),
      delete: () => storage.delete('none'),
      deleteMany: () => storage.delete(['none', 'neither']),
      putNothing: () => storage.put({}),
      transaction: () => storage.transaction((txn) => txn.deleteAlarm()),
      tooLarge: () => storage.put({ small: 1, large: new Uint8Array(3 * kMiB) }).catch((error) => error.message),
      transactionSync: () => storage.transactionSync(() => {}),
      sync: () => storage.sync(),
      syncInTransactionSync: () => storage.transactionSync(() => storage.sync()),
    };
    return (await calls[how]()) ?? null;
  }
  keys() {
    return [...this.ctx.storage.kv.list()].map(([key]) => key);
  }
  async dirty(megabytes, how) {
    const { storage } = this.ctx;
    const value = new Uint8Array(kMiB);
    if (how === 'kv') for (let i = 0; i < megabytes; i++) storage.put('d' + i, value);
    else if (how === 'many') for (let i = 0; i < megabytes; i++) storage.put({ ['d' + i]: value });
    else if (how === 'sync') storage.transactionSync(() => { for (let i = 0; i < megabytes; i++) storage.kv.put('d' + i, value); });
    else if (how === 'transaction') await storage.transaction(async (txn) => { for (let i = 0; i < megabytes; i++) await txn.put('d' + i, value); });
    else storage.sql.exec('CREATE TABLE IF NOT EXISTS d(x); INSERT INTO d WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT ?) SELECT zeroblob(1000000) FROM c', megabytes);
    return 'written';
  }
  async caught(megabytes) {
    const out = [];
    try {
      await this.dirty(megabytes, 'kv');
      this.ctx.storage.kv.get('x');
      out.push('no error');
    } catch (error) {
      out.push(error.message);
    }
    return out;
  }
  async count() {
    return [(await this.ctx.storage.list({ prefix: 'd', limit: 1000 })).size, this.ctx.storage.sql.exec("SELECT count(*) AS c FROM sqlite_schema WHERE name = 'd'").one().c];
  }
  async alarmAfterDeleteAll() {
    await this.ctx.storage.setAlarm(Date.now() + 3_600_000);
    await this.ctx.storage.put('a', 1);
    await this.ctx.storage.deleteAll();
    return [await this.ctx.storage.getAlarm() !== null, (await this.ctx.storage.list()).size];
  }
  async alarmKept() {
    return [await this.ctx.storage.getAlarm() !== null, (await this.ctx.storage.list()).size];
  }
}
export class Plain extends DurableObject {
  alarm() {}
  async refuses() {
    const { storage } = this.ctx;
    const attempts = [() => storage.sql.exec('SELECT 1'), () => storage.sql.databaseSize, () => storage.kv.get('a'), () => storage.kv.put('a', 1), () => storage.kv.delete('a'), () => storage.kv.list(), () => storage.transactionSync(() => 1)];
    return attempts.map((f) => {
      try {
        return ['did', f()];
      } catch (error) {
        return error.message;
      }
    });
  }
  async works() {
    const { storage } = this.ctx;
    await storage.put({ a: 1, b: { c: [2] } });
    await storage.setAlarm(Date.now() + 3_600_000);
    const result = await storage.transaction(async (txn) => {
      await txn.put('t', 1);
      await storage.transaction(async (inner) => { await inner.put('u', 1); inner.rollback(); });
      return [...(await txn.list())];
    });
    await storage.transaction(async (txn) => { await txn.put('a', 9); throw new Error('x'); }).catch(() => {});
    await storage.sync();
    return [result, await storage.delete('b'), await storage.delete(['a', 'zz']), (await storage.getAlarm()) !== null];
  }
  async read() {
    return [...(await this.ctx.storage.list())];
  }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const [, binding, name, method, ...args] = url.pathname.split('/');
    try {
      return Response.json({ value: await env[binding].getByName(name)[method](...args.map((arg) => JSON.parse(decodeURIComponent(arg)))) });
    } catch (error) {
      return Response.json({ error: error.message, reset: error.durableObjectReset ?? false });
    }
  },
};
`;
const bindings = [
  { type: 'durable_object_namespace', name: 'LARGE', class_name: 'Large' },
  { type: 'durable_object_namespace', name: 'PLAIN', class_name: 'Plain' },
];
const migrations = { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Large'], new_classes: ['Plain'] }] };
const kFull = 'database or disk is full: SQLITE_FULL';

let holdfast;
const call = async (path, script = 'large') => (await holdfast.fetch(script, path)).json();
const residentBytes = async () => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${holdfast.child.pid}/status`, 'utf8'))[1]) * 1024;

before(async () => {
  holdfast = await Holdfast.start({ args: ['--shards', '2'] });
  await holdfast.deploy('large', { 'w.mjs': code }, { bindings, migrations });
});
after(() => holdfast?.[Symbol.asyncDispose]());

test('100,000 keys are listed in pages and by an iterator, in bounded memory', { timeout: 120_000 }, async () => {
  assert.deepEqual(await call('/LARGE/keys/fillKeys/100000'), {});
  assert.deepEqual(await call('/LARGE/keys/listPages/1000'), { value: [100_000, 100] });
  const before = await residentBytes();
  assert.deepEqual(await call('/LARGE/keys/listPages/500'), { value: [100_000, 200] });
  assert.deepEqual(await call('/LARGE/keys/iterate'), { value: [100_000, 100_000] });
  assert.ok((await residentBytes()) - before < 80e6, 'a page at a time');
});

test('values of 2 MB', { timeout: 60_000 }, async () => {
  assert.deepEqual(await call('/LARGE/values/bigValues'), { value: [true, 30] });
});

test('a cursor over a million rows is read while other requests run and idle connections are let go', { timeout: 120_000 }, async () => {
  assert.deepEqual(await call('/LARGE/rows/makeRows/1000000'), {});
  const before = await residentBytes();
  let reading = true;
  const read = call('/LARGE/rows/readSlowly').finally(() => (reading = false));
  let others = 0;
  while (reading) {
    // In all more objects than keep a connection.
    if (others < 600) await Promise.all(Array.from({ length: 75 }, () => call(`/LARGE/other${others++}/ping`)));
    assert.equal(typeof (await call('/LARGE/rows/ping')).value, 'number');
  }
  assert.deepEqual(await read, { value: [1_000_000, 500_000_500_000] });
  assert.equal(others, 600);
  assert.ok((await residentBytes()) - before < 200e6);
});

test('toArray() of more than fits says so, and the object lives', { timeout: 60_000 }, async () => {
  assert.match((await call('/LARGE/rows/tooManyRows')).value, /^SQL query result set is too large to fit in memory\. Use a streaming iterator/);
  assert.equal(typeof (await call('/LARGE/rows/ping')).value, 'number');
});

test('list() of more than fits says so, and the object lives', { timeout: 60_000 }, async () => {
  assert.match((await call('/LARGE/all/listAll')).value, /^The result of list\(\) is too large to fit in memory\./);
  assert.equal(typeof (await call('/LARGE/all/ping')).value, 'number');
});

test('a transaction of 100 MB commits; beyond the limit the object is reset to its last commit', { timeout: 120_000 }, async () => {
  assert.deepEqual(await call('/LARGE/hundred/dirty/100/%22kv%22'), { value: 'written' });
  assert.deepEqual(await call('/LARGE/hundred/count'), { value: [100, 0] });
  assert.deepEqual(await call('/LARGE/hundredsql/dirty/100/%22sql%22'), { value: 'written' });
  for (const how of ['many', 'sync', 'transaction', 'sql']) {
    const name = `full-${how}`;
    await call(`/LARGE/${name}/ping`);
    const answer = await call(`/LARGE/${name}/dirty/300/%22${how}%22`);
    assert.equal(answer.error, kFull, how);
    assert.equal(answer.reset, true, how);
    assert.deepEqual(await call(`/LARGE/${name}/count`), { value: [0, 0] }, how);
    // A new instance.
    assert.deepEqual(await call(`/LARGE/${name}/ping`), { value: 1 }, how);
  }
  // The code that wrote sees the error too, and so does its caller, whatever the code makes of it.
  assert.equal((await call('/LARGE/caught/caught/300')).error, kFull);
  assert.equal(holdfast.child.exitCode, null);
});

test('an object that is ended by a getter of a value that it stores has stored nothing', async () => {
  for (const how of ['one', 'many', 'sync', 'transaction']) {
    assert.equal((await call(`/LARGE/aborting/putAborting/%22${how}%22`)).error, 'from a getter', how);
    assert.deepEqual(await call('/LARGE/aborting/keys'), { value: [] }, how);
  }
});

test('a call that writes nothing is answered', { timeout: 20_000 }, async () => {
  const answers = { delete: false, deleteMany: 0, tooLarge: 'string or blob too big: SQLITE_TOOBIG' };
  for (const how of ['deleteAlarm', 'deleteAll', 'delete', 'deleteMany', 'putNothing', 'transaction', 'tooLarge', 'transactionSync', 'sync', 'syncInTransactionSync']) {
    for (const again of [1, 2]) assert.deepEqual(await call(`/LARGE/idle-${how}/idle/%22${how}%22`), { value: answers[how] ?? null }, `${how} ${again}`);
    assert.deepEqual(await call(`/LARGE/idle-${how}/ping`), { value: 1 }, how);
  }
});

const notSql = /^SQL is not enabled for this Durable Object class\. To enable it, change `new_classes` to `new_sqlite_classes`/;
const notKv = /^The storage\.kv \(synchronous KV\) API is only available for SQLite-backed Durable Objects/;

test('a class made by new_classes refuses SQL, synchronous KV and transactionSync, and has all the rest', async () => {
  const { value } = await call('/PLAIN/p/refuses');
  for (const at of [0, 1]) assert.match(value[at], notSql);
  for (const at of [2, 3, 4, 5]) assert.match(value[at], notKv);
  assert.equal(value[6], 'Durable Object is not backed by SQL.');
  assert.deepEqual(await call('/PLAIN/p/works'), { value: [[['a', 1], ['b', { c: [2] }], ['t', 1]], true, 1, true] });
  await holdfast.restart();
  assert.deepEqual(await call('/PLAIN/p/read'), { value: [['t', 1]] });
});

test('deleteAll() deletes the alarm from 2026-02-24 on', async () => {
  for (const [date, kept] of [['2026-02-23', true], ['2026-02-24', false]]) {
    const script = `dated-${kept}`;
    await holdfast.deploy(script, { 'w.mjs': code }, { bindings, migrations, date });
    assert.deepEqual(await call('/LARGE/d/alarmAfterDeleteAll', script), { value: [kept, 0] });
    assert.deepEqual(await call('/LARGE/d/alarmKept', script), { value: [kept, 0] });
  }
  const script = 'flagged';
  await holdfast.deploy(script, { 'w.mjs': code }, { bindings, migrations, date: '2026-05-01', flags: ['delete_all_preserves_alarm'] });
  assert.deepEqual(await call('/LARGE/d/alarmAfterDeleteAll', script), { value: [true, 0] });
});
