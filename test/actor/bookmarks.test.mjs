// Point-in-time recovery as an application sees it, with the real server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';

const source = `
import { DurableObject } from 'cloudflare:workers';
export class Box extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS log (text TEXT)');
    this.startedWith = ctx.storage.kv.get('value') ?? null;
  }
  async set(value) {
    this.ctx.storage.kv.put('value', value);
    this.ctx.storage.sql.exec('INSERT INTO log VALUES (?)', value);
    return await this.ctx.storage.getCurrentBookmark();
  }
  get() {
    return {
      value: this.ctx.storage.kv.get('value') ?? null,
      log: this.ctx.storage.sql.exec('SELECT text FROM log ORDER BY rowid').toArray().map((row) => row.text),
      startedWith: this.startedWith,
    };
  }
  forTime(time) { return this.ctx.storage.getBookmarkForTime(time); }
  async back(bookmark) {
    const undo = await this.ctx.storage.onNextSessionRestoreBookmark(bookmark);
    this.ctx.storage.kv.put('value', 'written after the request');
    return undo;
  }
  inSync(method) {
    let promise;
    this.ctx.storage.transactionSync(() => {
      this.ctx.storage.kv.put('value', 'in a transaction');
      promise = this.ctx.storage[method]('x');
    });
    return promise;
  }
  setAlarm(at) { return this.ctx.storage.setAlarm(at); }
  getAlarm() { return this.ctx.storage.getAlarm(); }
  alarm() { this.ctx.storage.kv.put('rang', true); }
  async rang() { return this.ctx.storage.kv.get('rang') ?? false; }
  stop() { this.ctx.abort('restart'); }
}
export class Old extends DurableObject {
  bookmark() { return this.ctx.storage.getCurrentBookmark(); }
}
export default {
  async fetch(request, env) {
    const { method, args, object = 'BOX', name = 'one' } = await request.json();
    try {
      return Response.json({ result: (await env[object].getByName(name)[method](...args)) ?? null });
    } catch (error) {
      return Response.json({ error: error.message });
    }
  },
};`;

const metadata = {
  bindings: [
    { type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' },
    { type: 'durable_object_namespace', name: 'OLD', class_name: 'Old' },
  ],
  migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'], new_classes: ['Old'] }] },
};

async function start(args = []) {
  const server = await Holdfast.start({ args });
  await server.deploy('box', { 'worker.mjs': source }, metadata);
  const call = async (method, ...args) => (await server.fetch('box', '/', { method: 'POST', body: JSON.stringify({ method, args }) })).json();
  const ask = async (method, ...args) => {
    const answer = await call(method, ...args);
    assert.ok(!('error' in answer), answer.error);
    return answer.result;
  };
  return { server, call, ask, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const kBookmark = /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/;

test('an object goes back to a bookmark, and back again', { timeout: 60_000 }, async () => {
  await using box = await start();
  const first = await box.ask('set', 'one');
  const second = await box.ask('set', 'two');
  assert.match(first, kBookmark);
  assert.ok(first < second, 'they sort by time');
  const undo = await box.ask('back', first);
  assert.match(undo, kBookmark);
  assert.equal((await box.ask('get')).value, 'written after the request', 'nothing happens before the next session');
  assert.equal((await box.call('stop')).error, 'restart');
  assert.deepEqual(await box.ask('get'), { value: 'one', log: ['one'], startedWith: 'one' });
  await box.ask('back', undo);
  await box.call('stop');
  assert.deepEqual(await box.ask('get'), { value: 'written after the request', log: ['one', 'two'], startedWith: 'written after the request' });
});

test('a time leads to what was there then, also after a clean stop', { timeout: 60_000 }, async () => {
  await using box = await start();
  await box.ask('set', 'one');
  const between = Date.now() + 5;
  while (Date.now() <= between + 5) await box.ask('get');
  await box.ask('set', 'two');
  await box.server.restart();
  await box.ask('back', await box.ask('forTime', between));
  await box.call('stop');
  assert.deepEqual((await box.ask('get')).log, ['one']);
});

test('a request survives kill -9, and so does what was restored', { timeout: 60_000 }, async () => {
  await using box = await start();
  const first = await box.ask('set', 'one');
  await box.ask('set', 'two');
  await box.ask('back', first);
  await box.server.kill();
  await box.server.startAgain();
  assert.deepEqual(await box.ask('get'), { value: 'one', log: ['one'], startedWith: 'one' });
  await box.server.kill();
  await box.server.startAgain();
  assert.deepEqual((await box.ask('get')).log, ['one']);
});

test('an alarm comes back with the object and fires', { timeout: 60_000 }, async () => {
  await using box = await start();
  await box.ask('setAlarm', Date.now() + 3_600_000);
  const hourAhead = await box.ask('set', 'with alarm');
  await box.ask('setAlarm', Date.now() + 7_200_000);
  await box.ask('back', hourAhead);
  await box.call('stop');
  const at = await box.ask('getAlarm');
  assert.ok(at > Date.now() && at < Date.now() + 3_700_000, String(at));
});

test('what is no bookmark of this object is refused, and the object stays', { timeout: 60_000 }, async () => {
  await using box = await start();
  const mine = await box.ask('set', 'one');
  const theirs = (await box.server.fetch('box', '/', { method: 'POST', body: JSON.stringify({ method: 'set', args: ['x'], name: 'two' }) })).json().result;
  for (const text of ['', 'nonsense', theirs, mine.replace(/.$/, (c) => (c === '0' ? '1' : '0'))]) {
    assert.match((await box.call('back', text)).error, /is not one of this Durable Object/);
  }
  assert.match((await box.call('forTime', 'yesterday')).error, /takes a Date or milliseconds/);
  await box.call('stop');
  assert.equal((await box.ask('get')).value, 'one');
  const old = (await box.server.fetch('box', '/', { method: 'POST', body: JSON.stringify({ method: 'bookmark', args: [], object: 'OLD' }) })).json();
  assert.equal(old.error, "This Durable Object's storage back-end does not implement point-in-time recovery.");
});

test('in the middle of a transactionSync() there is nothing to name', { timeout: 60_000 }, async () => {
  await using box = await start();
  for (const method of ['getCurrentBookmark', 'getBookmarkForTime', 'onNextSessionRestoreBookmark']) {
    assert.equal((await box.call('inSync', method)).error, `Cannot call ${method}() within a transactionSync()`);
    assert.equal((await box.ask('get')).value, 'in a transaction');
  }
});

test('without history there are no bookmarks', { timeout: 60_000 }, async () => {
  await using box = await start(['--history', '0']);
  assert.equal((await box.call('set', 'one')).error, "This Durable Object's storage back-end does not implement point-in-time recovery.");
});
