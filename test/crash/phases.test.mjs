// kill -9 while the server does something besides: copies to the objects' files, deletes a class, takes an object back
// to a bookmark. HF_KILLS sets how many kills each has (default 6).
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Holdfast } from '../support/holdfast.mjs';

const kKills = Number(process.env.HF_KILLS ?? 6);

const box = `
import { DurableObject } from 'cloudflare:workers';
export class Box extends DurableObject {
  async add(bytes) {
    const { sql } = this.ctx.storage;
    const n = ((await this.ctx.storage.get('n')) ?? 0) + 1;
    sql.exec('CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x TEXT)');
    sql.exec('INSERT OR REPLACE INTO t VALUES (?, ?)', n % 20, n + ':' + String(n % 10).repeat(bytes));
    await this.ctx.storage.put('n', n);
    return n;
  }
  async read() {
    const { sql } = this.ctx.storage;
    const n = (await this.ctx.storage.get('n')) ?? 0;
    if (n === 0) return { n, newest: 0, check: 'ok' };
    const newest = Math.max(...sql.exec('SELECT x FROM t').toArray().map((row) => parseInt(row.x)));
    return { n, newest, check: sql.exec('PRAGMA quick_check').one().quick_check };
  }
  async bookmark() { return [(await this.ctx.storage.get('n')) ?? 0, await this.ctx.storage.getCurrentBookmark()]; }
  async back(bookmark) { return await this.ctx.storage.onNextSessionRestoreBookmark(bookmark); }
  stop() { this.ctx.abort('restart'); }
}
`;
const handler = `
export default {
  async fetch(request, env) {
    const { object, name, method, args } = await request.json();
    try {
      return Response.json({ result: (await env[object].getByName(name)[method](...args)) ?? null });
    } catch (error) {
      return Response.json({ error: error.message }, { status: 500 });
    }
  },
};`;

async function ask(server, name, method, args = [], { object = 'BOX', agent } = {}) {
  const { status, text } = await server.fetch('box', '/', { method: 'POST', agent, body: JSON.stringify({ object, name, method, args }) });
  assert.equal(status, 200, text);
  return JSON.parse(text).result;
}

// What the server was doing when it went is of no interest; what it answered is.
async function attempt(work) {
  try {
    return { answer: await work() };
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    return undefined;
  }
}

const metadata = {
  bindings: [{ type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' }],
  migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'] }] },
};

test(`nothing is lost in ${kKills} kills while checkpoints run`, { timeout: 300_000 }, async () => {
  await using server = await Holdfast.start({ args: ['--log-level', 'error', '--dirty-memory', '1MiB'] });
  await server.deploy('box', { 'worker.mjs': box + handler }, metadata);
  const kObjects = 40;
  const acknowledged = Array(kObjects).fill(0);
  const tried = Array(kObjects).fill(0);
  for (let kill = 0; kill < kKills; kill++) {
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    let running = true;
    const clients = Array.from({ length: 16 }, async (_, client) => {
      for (let i = client; running; i = (i + 7) % kObjects) {
        tried[i]++;
        const got = await attempt(() => server.fetch('box', '/', { method: 'POST', agent, body: JSON.stringify({ object: 'BOX', name: `o${i}`, method: 'add', args: [15_000] }) }));
        if (!got) return;
        if (got.answer.status === 200) acknowledged[i]++;
      }
    });
    await wait(150 + Math.random() * 400);
    await server.kill();
    running = false;
    await Promise.all(clients);
    agent.destroy();
    await server.startAgain();
    for (let i = 0; i < kObjects; i++) {
      const { n, newest, check } = await ask(server, `o${i}`, 'read');
      assert.equal(check, 'ok');
      assert.equal(n, newest, `object ${i} shows half a transaction`);
      assert.ok(n >= acknowledged[i] && n <= tried[i], `object ${i}: ${acknowledged[i]} acknowledged, ${n} there, ${tried[i]} tried`);
      acknowledged[i] = tried[i] = n;
    }
  }
  assert.ok(acknowledged.reduce((a, b) => a + b) > kKills * 20, 'the load was real');
});

test(`a deploy that deletes a class does it whole or not at all, in ${kKills} kills`, { timeout: 300_000 }, async () => {
  await using server = await Holdfast.start({ args: ['--log-level', 'error'] });
  const classes = (n) => `export class Gone${n} extends Box {}\n`;
  const deployWith = (n) => server.deploy('box', { 'worker.mjs': box + classes(n) + handler }, {
    bindings: [...metadata.bindings, { type: 'durable_object_namespace', name: 'GONE', class_name: `Gone${n}` }],
    migrations: n === 0 ? { new_tag: 't0', steps: [{ new_sqlite_classes: ['Box', 'Gone0'] }] }
      : { old_tag: `t${n - 1}`, new_tag: `t${n}`, steps: [{ deleted_classes: [`Gone${n - 1}`], new_sqlite_classes: [`Gone${n}`] }] },
  });
  await deployWith(0);
  let current = 0;
  let kept = 0;
  for (let kill = 0; kill < kKills; kill++) {
    for (let i = 0; i < 5; i++) {
      await ask(server, `g${i}`, 'add', [3000], { object: 'GONE' });
      await ask(server, `b${i}`, 'add', [3000]);
    }
    kept++;
    const deployed = attempt(() => deployWith(current + 1));
    await wait(Math.random() * 60);
    await server.kill();
    const wasAnswered = (await deployed) !== undefined;
    await server.startAgain();
    const tag = (await server.call('GET', '/workers/scripts')).result[0].migration_tag;
    assert.ok(tag === `t${current}` || tag === `t${current + 1}`, tag);
    if (wasAnswered) assert.equal(tag, `t${current + 1}`, 'a deploy that was answered is gone');
    const isNew = tag === `t${current + 1}`;
    for (let i = 0; i < 5; i++) {
      const gone = await ask(server, `g${i}`, 'read', [], { object: 'GONE' });
      if (isNew) assert.equal(gone.n, 0, 'an object of a new class begins with something');
      else assert.ok(gone.n > 0, 'an object is gone whose class is not');
      assert.equal((await ask(server, `b${i}`, 'read')).n, kept, 'an object of another class lost something');
    }
    const namespaces = await server.call('GET', '/workers/durable_objects/namespaces?per_page=1000');
    assert.equal(namespaces.result.length, 2);
    if (isNew) current++;
  }
});

test(`an object is taken back whole or not at all, in ${kKills} kills`, { timeout: 300_000 }, async (t) => {
  await using server = await Holdfast.start({ args: ['--log-level', 'error', '--dirty-memory', '1MiB'] });
  await server.deploy('box', { 'worker.mjs': box + handler }, metadata);
  let restored = 0;
  for (let kill = 0; kill < kKills; kill++) {
    for (let i = 0; i < 5; i++) await ask(server, 'one', 'add', [20_000]);
    const [target, bookmark] = await ask(server, 'one', 'bookmark');
    for (let i = 0; i < 5; i++) await ask(server, 'one', 'add', [20_000]);
    const { n: before } = await ask(server, 'one', 'read');
    assert.equal(before, target + 5);
    const back = attempt(async () => {
      await ask(server, 'one', 'back', [bookmark]);
      return true;
    });
    const stopped = back.then(() => attempt(() => server.fetch('box', '/', { method: 'POST', body: JSON.stringify({ object: 'BOX', name: 'one', method: 'stop', args: [] }) })))
      .then(() => attempt(() => ask(server, 'one', 'read')));
    await wait(Math.random() * 40);
    await server.kill();
    const isRequested = (await back) !== undefined;
    const seen = await stopped;
    await server.startAgain();
    const { n, newest, check } = await ask(server, 'one', 'read');
    assert.equal(check, 'ok');
    assert.equal(n, newest, 'it shows half a transaction');
    assert.ok(n === target || n === before, `${n} is neither ${before} nor the bookmark's ${target}`);
    // A restart is a new session: what was requested, and acknowledged, has been carried out.
    if (isRequested) assert.equal(n, target, 'a request that was acknowledged was forgotten');
    if (seen?.answer) assert.equal(n, seen.answer.n, 'what was seen before the kill is not there after it');
    if (n === target) restored++;
  }
  t.diagnostic(`${restored} of ${kKills} were carried out`);
});
