// ctx.storage over real SQLite: key-value, transactions, SQL, alarms (spec 3.6 to 6).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sleep, start, until } from './harness.mjs';

// `code` of a request is the body of an async function of (ctx, s, t, self): s is storage, t(f) an error's text.
function main({ DurableObject, RpcTarget }) {
  const AsyncFunction = (async () => {}).constructor;
  class Base extends DurableObject {
    constructor(ctx, env) {
      super(ctx, env);
      this.log = [];
    }
    run(code) {
      const t = async (f) => {
        try {
          return ['ok', await f()];
        } catch (error) {
          return [error.name, error.message];
        }
      };
      return new AsyncFunction('ctx', 's', 't', 'self', 'RpcTarget', code)(this.ctx, this.ctx.storage, t, this, RpcTarget);
    }
  }
  class Sql extends Base {
    async alarm(info) {
      this.log.push({ ...info, pending: await this.ctx.storage.getAlarm(), name: this.ctx.id.name });
      const action = await this.ctx.storage.get('action');
      if (action === 'throw') throw new Error('alarm failed');
      if (action === 'set') await this.ctx.storage.setAlarm(Date.now() + 1e6);
      if (action === 'delete') await this.ctx.storage.deleteAlarm();
      if (action === 'setthrow') {
        await this.ctx.storage.setAlarm(Date.now() + 1e6);
        throw new Error('x');
      }
      if (action === 'abort') this.ctx.abort('in alarm');
      if (action === 'abandon') this.ctx.abort('in alarm', { retryAlarm: false });
      if (action === 'hang') await new Promise(() => {});
    }
  }
  class Kv extends Base {}
  return {
    Sql,
    Kv,
    default: {
      async fetch(request, env) {
        const { className, name, code } = await request.json();
        return Response.json(await env[className].getByName(name).run(code));
      },
    },
  };
}

let isolate;
before(async () => {
  isolate = await start(main, { classes: { Sql: true, Kv: false } });
});
after(() => isolate.stop());

let names = 0;
const run = (code, { name = `o${++names}`, className = 'Sql', on = isolate } = {}) =>
  on.json('/', { method: 'POST', body: JSON.stringify({ className, name, code }) });

test('argument errors are rejections with the documented texts', async () => {
  assert.deepEqual(
    await run(`return [
      await t(() => s.put('a', undefined)), await t(() => s.put('a')), await t(() => s.put()), await t(() => s.get()),
      await t(() => s.list({ start: 'a', startAfter: 'b' })), await t(() => s.list({ limit: 0 })), await t(() => s.list('x')),
      await t(() => s.put('a', () => 1)), await t(() => s.put('a', new (class X extends RpcTarget {})())),
      await t(() => s.setAlarm(0)), await t(() => s.setAlarm(NaN)), await t(() => s.setAlarm('x')),
      await t(() => s.get(Array.from({ length: 129 }, (_, i) => 'k' + i))),
      await t(() => s.getCurrentBookmark()), await t(() => ctx.blockConcurrencyWhile(5)),
    ]`),
    [
      ['TypeError', 'put() called with undefined value.'],
      ['TypeError', 'put() called with undefined value.'],
      ['TypeError', "Failed to execute 'put' on 'DurableObjectStorage': parameter 1 is not of type 'string or object'."],
      ['TypeError', "Failed to execute 'get' on 'DurableObjectStorage': parameter 1 is not of type 'string or Array'."],
      ['TypeError', 'list() cannot be called with both start and startAfter values.'],
      ['TypeError', 'List limit must be positive.'],
      ['TypeError', "Failed to execute 'list' on 'DurableObjectStorage': parameter 1 is not of type 'ListOptions'."],
      ['DataCloneError', '() => 1 could not be cloned.'],
      ['DataCloneError', 'Remote RPC references can only be serialized for RPC.'],
      ['TypeError', 'setAlarm() cannot be called with an alarm time <= 0'],
      ['TypeError', 'The value cannot be converted because it is not a valid Date.'],
      ['TypeError', "Failed to execute 'setAlarm' on 'DurableObjectStorage': parameter 1 is not of type 'date'."],
      ['RangeError', 'Maximum number of keys is 128.'],
      ['Error', "This Durable Object's storage back-end does not implement point-in-time recovery."],
      ['TypeError', "Failed to execute 'blockConcurrencyWhile' on 'DurableObjectState': parameter 1 is not of type 'function'."],
    ],
  );
});

test('several keys, entries and lists come back as Maps in order', async () => {
  assert.deepEqual(
    await run(`
      await s.put({ b: 2, a: 1, skipped: undefined, ab: 3 });
      return [[...await s.get(['b', 'a', 'x'])], [...(await s.list({ prefix: 'a' })).keys()], [...await s.list({ reverse: true, limit: 2 })],
        await s.delete('a'), await s.delete('a'), await s.delete(['b', 'nope']), (await s.list()).size]`),
    [[['a', 1], ['b', 2]], ['a', 'ab'], [['b', 2], ['ab', 3]], true, false, 1, 1],
  );
});

test('a class without SQLite refuses sql, kv and transactionSync and has the rest', async () => {
  const answers = await run(
    `return [await t(() => s.sql.exec('SELECT 1')), await t(() => s.kv.get('a')), await t(() => s.transactionSync(() => 1)), await s.put('a', 1), await s.get('a'),
      await t(() => s.setAlarm(Date.now()))]`,
    { className: 'Kv' },
  );
  assert.match(answers[0][1], /^SQL is not enabled for this Durable Object class\./);
  assert.match(answers[1][1], /^The storage\.kv \(synchronous KV\) API is only available for SQLite-backed/);
  assert.equal(answers[2][1], 'Durable Object is not backed by SQL.');
  assert.equal(answers[4], 1);
  assert.deepEqual(answers[5], ['TypeError', 'Your Durable Object class must have an alarm() handler in order to call setAlarm()']);
});

test('kv is the same table, synchronously', async () => {
  assert.deepEqual(
    await run(`
      s.kv.put('a', { x: 1 }); await s.put('b', 2);
      const first = s.kv.list(); first.next();
      const all = [...s.kv.list()];
      return [await s.get('a'), s.kv.get('b'), all, await t(() => first.next()), s.kv.delete('a'), s.kv.delete('a'), s.kv.get('a') === undefined]`),
    [{ x: 1 }, 2, [['a', { x: 1 }], ['b', 2]],
      ['Error', 'kv.list() iterator was invalidated because a new call to kv.list() was started. Only one kv.list() iterator can exist at a time.'],
      true, false, true],
  );
});

test('sql cursors: one, toArray, raw, iterator helpers, names, read-ahead', async () => {
  assert.deepEqual(
    await run(`
      const q = s.sql;
      q.exec('CREATE TABLE t (x INTEGER, y TEXT)');
      for (let i = 1; i <= 3; i++) q.exec('INSERT INTO t VALUES (?, ?)', i, 'v' + i);
      const cursor = q.exec('SELECT * FROM t ORDER BY x');
      const first = cursor.next();
      const rest = cursor.raw().toArray();
      return [first, rest, cursor.next().done, cursor.columnNames, q.exec('SELECT x FROM t WHERE x = ?', 2).one(),
        await t(() => q.exec('SELECT * FROM t').one()), await t(() => q.exec('SELECT 1 WHERE 0').one()),
        [...q.exec('SELECT x FROM t')].map((r) => r.x), q.exec('SELECT x FROM t').raw().map(([x]) => x * 2).toArray(),
        q.exec('SELECT ? AS a, ? AS b, typeof(?) AS c', true, null, 1).one(), await t(() => q.exec('SELECT ?', 5n)), await t(() => q.exec()),
        q.exec('SELECT 1 AS a, 2 AS a').toArray(), q.exec('SELECT 1 AS __proto__').toArray().map((r) => Object.keys(r))]`),
    [
      { done: false, value: { x: 1, y: 'v1' } }, [[2, 'v2'], [3, 'v3']], true, ['x', 'y'], { x: 2 },
      ['Error', 'Expected exactly one result from SQL query, but got multiple results.'],
      ['Error', 'Expected exactly one result from SQL query, but got no results.'],
      [1, 2, 3], [2, 4, 6], { a: 'true', b: null, c: 'real' },
      ['TypeError', 'Cannot convert a BigInt value to a number'],
      ['TypeError', "Failed to execute 'exec' on 'SqlStorage': parameter 1 is not of type 'String'."],
      [{ a: 2 }], [['__proto__']],
    ],
  );
});

test('transactionSync rolls back what throws, nested too', async () => {
  assert.deepEqual(
    await run(`
      await s.put('a', 1);
      const results = [s.transactionSync(() => { s.kv.put('a', 2); return 'r'; })];
      results.push(await t(() => s.transactionSync(() => { s.kv.put('a', 3); throw new Error('undo'); })));
      s.transactionSync(() => { s.kv.put('b', 1); try { s.transactionSync(() => { s.kv.put('b', 2); throw 0; }); } catch {} });
      return [...results, s.kv.get('a'), s.kv.get('b')]`),
    ['r', ['Error', 'undo'], 2, 1],
  );
});

test('transaction commits, rolls back on throw and on rollback(), nests, and its object ends with it', async () => {
  assert.deepEqual(
    await run(`
      await s.put('a', 1);
      const out = [await s.transaction(async (x) => { await x.put('a', 2); await scheduler.wait(1); return await x.get('a'); })];
      out.push(await t(() => s.transaction(async (x) => { await x.put('a', 3); await s.put('c', 1); throw new Error('no'); })));
      out.push(await s.get('a'), await s.get('c') ?? null);
      let kept;
      await s.transaction(async (x) => { kept = x; await x.put('a', 4); x.rollback(); x.rollback(); out.push(await t(() => x.get('a'))); });
      out.push(await s.get('a'), await t(() => kept.put('a', 1)));
      await s.transaction(async (x) => { kept = x; await x.put('a', 5); await t(() => s.transaction(async (y) => { await y.put('a', 6); throw 0; })); });
      out.push(await s.get('a'), await t(() => kept.get('a')));
      out.push(await t(() => s.transaction((x) => s.transaction(() => x.rollback()))));
      out.push(await t(() => s.transaction((x) => x.deleteAll())), await t(() => s.transaction(() => s.deleteAll())));
      return out`),
    [
      2, ['Error', 'no'], 2, null, ['Error', 'Cannot get() on rolled back transaction'], 2, ['Error', 'Cannot put() on rolled back transaction'], 5,
      ['Error', 'Cannot call get() on transaction that has already committed: did you move `txn` outside of the closure?'],
      ['Error', 'Cannot roll back an outer transaction while a nested transaction is still running.'],
      ['Error', 'Cannot call deleteAll() within a transaction'], ['Error', 'Cannot call deleteAll() within a transaction'],
    ],
  );
});

test('no other event is delivered inside a transaction', async () => {
  const name = 'isolation';
  const slow = run(`await s.transaction(async (x) => { self.log.push('in'); await x.put('a', 1); await scheduler.wait(20); self.log.push('out'); }); return self.log`, { name });
  const [log] = await Promise.all([slow, sleep(5).then(() => run(`self.log.push(await s.get('a')); return self.log`, { name }))]);
  assert.deepEqual(log, ['in', 'out']);
});

test("what a transaction has written leaves after it is durable; what it has rolled back is not waited for", async () => {
  isolate.hold();
  let left = [];
  const one = run(`await s.transaction((x) => x.put('a', 1)); return 1`).then(() => left.push('committed'));
  await run(`await t(() => s.transaction(async (x) => { await x.put('a', 1); throw 0; })); return 1`);
  left.push('rolled back');
  await sleep(20);
  isolate.hold(false);
  await one;
  assert.deepEqual(left, ['rolled back', 'committed']);
});

// ------------------------------------------------------------------------------------------------ alarms

let alarmNames = 0;
async function alarm(action, { scheduled = 1000, stored = Date.now(), on = isolate } = {}) {
  const name = `alarm${++alarmNames}`;
  const id = await run(`await s.put('action', ${JSON.stringify(action)}); await s.setAlarm(${stored}); return [ctx.id.toString(), await s.getAlarm()]`, { name, on });
  const before = on.alarms.length;
  on.tell({ kind: 'alarm', ns: on.config.namespaces[0].ns, id: id[0], name, scheduledTime: scheduled === 'stored' ? id[1] : scheduled, retryCount: 2 });
  if (action !== 'hang') await until(() => on.alarms.length > before, 'the alarm');
  const outcome = on.alarms.at(-1)?.[1];
  const [log, left] = action === 'hang' ? [] : await run('return [self.log, await s.getAlarm()]', { name, on });
  return { outcome, log, left, stored: id[1] };
}

test('an alarm runs, is not seen by its handler, and is deleted', async () => {
  const { outcome, log, left, stored } = await alarm('', { scheduled: 'stored' });
  assert.deepEqual([outcome, left], ['ok', null]);
  assert.deepEqual(log, [{ retryCount: 2, isRetry: true, scheduledTime: stored, pending: null, name: `alarm${alarmNames}` }]);
});

test('a time in the past is now; a time not stored is cancelled unless due', async () => {
  assert.ok((await alarm('', { scheduled: 'stored', stored: 5 })).stored > 1e12);
  const far = Date.now() + 1e6;
  assert.deepEqual(await alarm('', { scheduled: far - 1000, stored: far }), { outcome: 'cancelled', log: [], left: far, stored: far });
});

test('outcomes: throw, set again, delete, abort, abandon', async () => {
  const failed = await alarm('throw', { scheduled: 'stored' });
  assert.deepEqual([failed.outcome, failed.left], ['retry', failed.stored]);
  const set = await alarm('set', { scheduled: 'stored' });
  assert.deepEqual([set.outcome, set.left > set.stored], ['ok', true]);
  const deleted = await alarm('delete', { scheduled: 'stored' });
  assert.deepEqual([deleted.outcome, deleted.left], ['ok', null]);
  const both = await alarm('setthrow', { scheduled: 'stored' });
  assert.deepEqual([both.outcome, both.left > both.stored], ['retry', true]);
  const aborted = await alarm('abort', { scheduled: 'stored' });
  assert.deepEqual([aborted.outcome, aborted.left], ['retry', aborted.stored]);
  assert.equal((await alarm('abandon', { scheduled: 'stored' })).outcome, 'abandon');
});

test('an alarm is done only when its deletion is durable', async () => {
  const name = 'durable';
  const [id, at] = await run(`await s.setAlarm(Date.now()); return [ctx.id.toString(), await s.getAlarm()]`, { name });
  const before = isolate.alarms.length;
  isolate.hold();
  isolate.tell({ kind: 'alarm', ns: isolate.ns('Sql'), id, name, scheduledTime: at, retryCount: 0 });
  await sleep(30);
  assert.equal(isolate.alarms.length, before);
  isolate.hold(false);
  await until(() => isolate.alarms.length > before, 'the alarm');
  assert.deepEqual(isolate.alarms.at(-1), [id, 'ok']);
});

test('an alarm that takes too long is reset and counts as failed', async () => {
  const fast = await start(main, { classes: { Sql: true }, seconds: 0.0001 });
  try {
    await alarm('hang', { scheduled: 'stored', on: fast });
    await until(() => fast.alarms.length > 0, 'the alarm');
    assert.equal(fast.alarms[0][1], 'retry');
  } finally {
    await fast.stop();
  }
});
