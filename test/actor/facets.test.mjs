// Facets on a real server: what is stored, what lasts, what goes together.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { run as tool } from '../cli/tools_support.mjs';
import { Holdfast } from '../support/holdfast.mjs';

const worker = `
import { DurableObject } from 'cloudflare:workers';
let born = 0;
export class Kid extends DurableObject {
  born = ++born;
  which() { return this.born; }
  put(k, v) { return this.ctx.storage.put(k, v); }
  get(k) { return this.ctx.storage.get(k); }
  all() { return this.ctx.storage.list().then((m) => [...m]); }
  // Resolves as soon as the write is made, before it is durable.
  unsynced(k, v) { this.ctx.storage.put(k, v); return 'told'; }
  sql(text) { return this.ctx.storage.sql.exec(text).toArray(); }
  wait(ms) { return scheduler.wait(ms).then(() => this.born); }
  async txn(k, v) { await this.ctx.storage.transaction(async (t) => { await t.put(k, v); }); }
  quit() { this.ctx.storage.put('k', 'dropped'); this.ctx.abort('quit'); }
  orRollback() { this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS t (x PRIMARY KEY)'); this.ctx.storage.sql.exec('INSERT OR IGNORE INTO t VALUES (1)'); }
  conflict() { try { this.ctx.storage.sql.exec('INSERT OR ROLLBACK INTO t VALUES (1)'); } catch {} return 'caught'; }
  kid(name) { return this.ctx.facets.get(name, () => ({ class: this.ctx.exports.Kid })); }
  deep(n, k, v) { return n === 0 ? (v === undefined ? this.get(k) : this.put(k, v)) : this.kid('n').deep(n - 1, k, v); }
}
export class Parent extends DurableObject {
  born = ++born;
  kid(name) { return this.ctx.facets.get(name, () => ({ class: this.ctx.exports.Kid })); }
  which() { return this.born; }
  call(name, method, ...args) { return this.kid(name)[method](...args); }
  put(k, v) { return this.ctx.storage.put(k, v); }
  get(k) { return this.ctx.storage.get(k); }
  erase(name) { this.ctx.facets.delete(name); }
  clone(a, b) { this.ctx.facets.clone(a, b); }
  clear() { return this.ctx.storage.deleteAll(); }
  bookmark() { return this.ctx.storage.getCurrentBookmark(); }
  restore(bookmark) { return this.ctx.storage.onNextSessionRestoreBookmark(bookmark); }
  abort() { this.ctx.abort('again'); }
  size() { return [this.ctx.storage.sql.databaseSize, this.ctx.storage.sql.exec("SELECT name FROM sqlite_master").toArray().length]; }
  // One turn after the other, nothing waits for the disk.
  async both(v) {
    this.ctx.storage.put('v', v);
    const a = this.kid('a').unsynced('v', v);
    const b = this.kid('b').unsynced('v', v);
    return [await a, await b];
  }
  // A facet is told to end after it has told its parent of a write.
  async abortAfter(v) {
    await this.kid('a').unsynced('k', v);
    this.ctx.facets.abort('a', new Error('enough'));
    this.ctx.storage.put('seen', v);
    return [await this.kid('a').get('k'), await this.get('seen')];
  }
  async quitAfter(v) {
    await this.kid('q').unsynced('k', v);
    this.ctx.storage.put('seen', v);
    const error = await this.kid('q').quit().catch((e) => e.message);
    return [error, await this.kid('q').get('k'), await this.get('seen')];
  }
  async lostTurn() {
    await this.kid('l').orRollback();
    await this.ctx.storage.sync();
    await this.kid('l').unsynced('k', 'lost');
    this.ctx.storage.put('seen', 'lost');
    return this.kid('l').conflict();
  }
}
export default {
  async fetch(request, env) {
    const [method, name, ...args] = await request.json();
    try {
      return Response.json((await env.PARENT.getByName(name)[method](...args)) ?? null);
    } catch (error) {
      return Response.json({ error: error.message });
    }
  },
};`;

let server;
before(async () => {
  server = await Holdfast.start({ args: ['--shards', '2', '--history', '1h'] });
  await server.deploy('facets', { 'w.mjs': worker }, {
    bindings: [{ type: 'durable_object_namespace', name: 'PARENT', class_name: 'Parent' }],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Parent'] }] },
  });
});
after(() => server[Symbol.asyncDispose]());

const run = async (name, method, ...args) => {
  const answer = await server.fetch('facets', '/', { method: 'POST', body: JSON.stringify([method, name, ...args]) });
  assert.equal(answer.status, 200, `${method}: ${answer.text}\n${server.log.slice(-2000)}`);
  return answer.json();
};
const call = (name, facet, method, ...args) => run(name, 'call', facet, method, ...args);

test('each facet has a database of its own, which outlives restarts and kills', async () => {
  await run('p', 'put', 'k', 'parent');
  await call('p', 'a', 'put', 'k', 'a');
  await call('p', 'Kid\0with', 'put', 'k', 'zero');
  await call('p', 'a', 'deep', 2, 'k', 'deep');
  const check = async () => {
    assert.equal(await run('p', 'get', 'k'), 'parent');
    assert.equal(await call('p', 'a', 'get', 'k'), 'a');
    assert.equal(await call('p', 'Kid\0with', 'get', 'k'), 'zero');
    assert.equal(await call('p', 'b', 'get', 'k'), null);
    assert.equal(await call('p', 'a', 'deep', 2, 'k'), 'deep');
    assert.equal(await call('p', 'a', 'deep', 1, 'k'), null);
  };
  await check();
  await server.restart();
  await check();
  await server.kill();
  await server.startAgain();
  await check();
  // Nothing of it shows in the parent.
  assert.deepEqual(await run('p', 'size'), await (await run('alone', 'put', 'k', 'parent'), run('alone', 'size')));
});

test('a parent and its facets write one commit in one round of turns', async () => {
  assert.deepEqual(await run('g', 'both', 1), ['told', 'told']);
  for (let i = 2; i < 20; i++) await run('g', 'both', i);
  assert.equal(await run('g', 'get', 'v'), 19);
  assert.equal(await call('g', 'a', 'get', 'v'), 19);
  assert.equal(await call('g', 'b', 'get', 'v'), 19);
});

test('what a facet has told of is not lost when it ends', async () => {
  assert.deepEqual(await run('t', 'abortAfter', 1), [1, 1]);
  assert.deepEqual(await run('t', 'abortAfter', 2), [2, 2]);
  assert.deepEqual(await run('t', 'quitAfter', 3), ['quit', 3, 3]);
  assert.equal(await call('t', 'q', 'get', 'k'), 3);
});

test('a write that is lost after it was told of takes the whole tree back', async () => {
  assert.match((await run('lt', 'lostTurn')).error, /lost what it had written/);
  assert.equal(await run('lt', 'get', 'seen'), null);
  assert.equal(await call('lt', 'l', 'get', 'k'), null);
  assert.deepEqual(await call('lt', 'l', 'sql', 'SELECT x FROM t'), [{ x: 1 }]);
});

test('transactions of facets and parents do not mix', async () => {
  await call('x', 'a', 'txn', 'k', 1);
  await run('x', 'put', 'k', 2);
  await call('x', 'a', 'txn', 'k', 3);
  await server.kill();
  await server.startAgain();
  assert.deepEqual([await run('x', 'get', 'k'), await call('x', 'a', 'get', 'k')], [2, 3]);
});

test('delete, clone and deleteAll are durable, with all that lies below', async () => {
  await call('d', 'a', 'put', 'k', 'a');
  await call('d', 'a', 'deep', 1, 'k', 'below a');
  await call('d', 'b', 'put', 'k', 'b');
  await run('d', 'clone', 'a', 'c');
  await run('d', 'erase', 'a');
  const check = async (expected) => {
    const found = [await call('d', 'a', 'get', 'k'), await call('d', 'a', 'deep', 1, 'k'), await call('d', 'b', 'get', 'k'), await call('d', 'c', 'get', 'k'), await call('d', 'c', 'deep', 1, 'k')];
    assert.deepEqual(found, expected);
  };
  const before = [null, null, 'b', 'a', 'below a'];
  await check(before);
  await server.kill();
  await server.startAgain();
  await check(before);
  await run('d', 'clear');
  await check([null, null, null, null, null]);
  await server.kill();
  await server.startAgain();
  // Also when nobody had opened them before.
  await call('d', 'a', 'put', 'k', 'again');
  await server.restart();
  await run('d', 'clear');
  await check([null, null, null, null, null]);
});

test('a bookmark of the parent is one of its facets', async () => {
  await run('r', 'put', 'v', 1);
  await call('r', 'a', 'put', 'v', 1);
  await call('r', 'gone', 'put', 'v', 1);
  const bookmark = await run('r', 'bookmark');
  await call('r', 'a', 'put', 'v', 2);
  await call('r', 'new', 'put', 'v', 2);
  await run('r', 'erase', 'gone');
  await run('r', 'put', 'v', 2);
  const undo = await run('r', 'restore', bookmark);
  assert.equal((await run('r', 'abort')).error, 'again');
  const state = async () => [await run('r', 'get', 'v'), await call('r', 'a', 'get', 'v'), await call('r', 'gone', 'get', 'v'), await call('r', 'new', 'get', 'v')];
  assert.deepEqual(await state(), [1, 1, 1, null]);
  await run('r', 'restore', undo);
  await run('r', 'abort');
  assert.deepEqual(await state(), [2, 2, null, 2]);
});

test('operators see facets as what they are', async () => {
  await run('o', 'put', 'k', 1);
  await call('o', 'a', 'put', 'k', 1);
  const { result: namespaces } = await server.call('GET', '/workers/durable_objects/namespaces');
  const { result: objects } = await server.call('GET', `/workers/durable_objects/namespaces/${namespaces[0].id}/objects`);
  const listed = await tool(['object', 'list', '--dir', server.dir, '--json', 'Parent']);
  assert.equal(listed.code, 0, listed.stderr);
  const all = listed.stdout.trim().split('\n').map((line) => JSON.parse(line));
  const facets = all.filter((object) => object.facet_of !== undefined);
  const stored = objects.filter(({ hasStoredData }) => hasStoredData).map(({ id }) => id);
  assert.deepEqual(all.filter(({ facet_of, bytes }) => facet_of === undefined && bytes > 0).map(({ id }) => id), stored);
  // The list of the facets is stored as one of them. An object may store nothing and have facets.
  const own = objects.filter(({ id }) => facets.some(({ facet_of }) => id.startsWith(facet_of)));
  assert.ok(own.length > 0 && facets.length >= 2 * own.length, JSON.stringify(all));
  assert.ok(facets.every(({ id, facet_of }) => facet_of.length === 32 && id.startsWith(facet_of)));
  await server.stop();
  const verified = await tool(['ledger', 'verify', server.dir]);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  await server.startAgain();
  assert.equal(await call('o', 'a', 'get', 'k'), 1);
});

test('a facet keeps its parent up, and goes with it', { timeout: 60_000 }, async () => {
  const parent = await run('e', 'which');
  const kid = await call('e', 'a', 'which');
  assert.equal(await call('e', 'a', 'wait', 14_000), kid);
  assert.equal(await run('e', 'which'), parent, 'it was busy through its facet');
  await wait(13_000);
  assert.notEqual(await run('e', 'which'), parent);
  assert.notEqual(await call('e', 'a', 'which'), kid);
});
