// A turn that computes for long shares its shard: whatever else lives there goes on meanwhile.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { Holdfast } from '../support/holdfast.mjs';

const good = (version) => `
import { DurableObject } from 'cloudflare:workers';
export class Room extends DurableObject {
  async add() {
    const n = ((await this.ctx.storage.get('n')) ?? 0) + 1;
    await this.ctx.storage.put('n', n);
    return n;
  }
  async fetch(request) {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(ws, text) { ws.send('echo ' + text); }
  async alarm() { await this.ctx.storage.put('rang', true); }
  ring() { return this.ctx.storage.setAlarm(Date.now() + 50); }
  rang() { return this.ctx.storage.get('rang'); }
}
function depth() { try { return 1 + depth(); } catch { return 1; } }
export default { async fetch(request, env) {
  const room = env.ROOM.getByName('one');
  switch (new URL(request.url).pathname) {
    case '/socket': return room.fetch(request);
    case '/ring': await room.ring(); return new Response('set');
    case '/rang': return Response.json((await room.rang()) ?? false);
    case '/timer': await new Promise((resolve) => setTimeout(resolve, 20)); return new Response('fired');
    case '/body': return new Response((await request.text()).length + '');
    case '/depth': return Response.json(depth());
    case '/version': return new Response(${JSON.stringify(version)});
    default: return Response.json(await room.add());
  }
} };`;

const bad = (version) => `
import { DurableObject } from 'cloudflare:workers';
export class Box extends DurableObject {
  n = 0;
  add() { return ++this.n; }
  // Writes, computes, writes: one turn, one commit.
  async compute(ms) {
    this.ctx.storage.kv.put('half', 1);
    const sum = spin(ms);
    this.ctx.storage.kv.put('whole', 2);
    return sum;
  }
  state() { return [this.ctx.storage.kv.get('half'), this.ctx.storage.kv.get('whole')]; }
}
function spin(ms) {
  let sum = 0;
  for (const end = performance.now() + ms; performance.now() < end;) for (let i = 0; i < 1e4; i++) sum = (sum + i) % 1000003;
  return 'spun';
}
function deep(n, ms) { return n === 0 ? spin(ms) : deep(n - 1, ms) + ''; }
export default { async fetch(request, env) {
  const { pathname, searchParams } = new URL(request.url);
  const ms = Number(searchParams.get('ms'));
  switch (pathname) {
    case '/loop': for (;;);
    case '/spin': return new Response(spin(ms));
    case '/deep': return new Response(spin(150) + deep(8000, ms));
    case '/regexp': return new Response(String(/^(a+)+$/.test('a'.repeat(24) + 'b')));
    case '/getter': return new Response(JSON.stringify(structuredClone({ get slow() { return spin(ms); } })));
    case '/compute': return new Response(await env.BOX.getByName('b').compute(ms));
    case '/state': return Response.json(await env.BOX.getByName('b').state());
    case '/add': return Response.json(await env.BOX.getByName('b').add());
    case '/version': return new Response(${JSON.stringify(version)});
  }
} };`;

const roomBinding = {
  bindings: [{ type: 'durable_object_namespace', name: 'ROOM', class_name: 'Room' }],
};
const boxBinding = {
  bindings: [{ type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' }],
};
const kLatencyMax = 1500;

async function serve(badOptions = {}) {
  const server = await Holdfast.start({ args: ['--shards', '1', '--log-level', 'warn'] });
  await server.deploy('good', { 'worker.mjs': good('1') }, { ...roomBinding, migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Room'] }] } });
  await server.deploy('bad', { 'worker.mjs': bad('1') }, { ...boxBinding, ...badOptions, migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'] }] } });
  server.count = 0;
  return server;
}

async function timed(what, work) {
  const begin = performance.now();
  const result = await work();
  const took = performance.now() - begin;
  assert.ok(took < kLatencyMax, `${what} took ${took.toFixed(0)} ms`);
  return result;
}

const add = async (server, host = 'good') => {
  const { status, text } = await timed('a durable write', () => server.fetch(host));
  assert.equal(status, 200, text);
  assert.equal(text, String(++server.count));
};

// Ends when `stop` settles; says how often good was served meanwhile.
async function serveGoodUntil(server, stop) {
  let done = false;
  stop.then(() => (done = true), () => (done = true));
  let served = 0;
  for (; !done; served++) await add(server);
  return served;
}

async function socketOf(server) {
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}/socket`, { headers: { host: `good.test:${server.port}` } });
  await once(ws, 'open');
  return ws;
}

async function echo(ws, text) {
  const answer = once(ws, 'message');
  ws.send(text);
  assert.equal(String((await answer)[0]), `echo ${text}`);
}

describe('a script that loops for ever, on the only shard', { timeout: 30_000 }, () => {
  let server;
  before(async () => {
    server = await serve();
    await add(server);
    await server.fetch('bad', '/version');
    server.fetch('bad', '/loop').catch(() => {}); // ends with the server
  });
  after(async () => {
    await server.kill();
    await server[Symbol.asyncDispose]();
  });

  test('durable writes, new clients, timers and bodies go on', async () => {
    for (let i = 0; i < 5; i++) await add(server);
    assert.equal((await timed('a timer', () => server.fetch('good', '/timer'))).text, 'fired');
    assert.equal((await timed('a body', () => server.fetch('good', '/body', { method: 'POST', body: 'x'.repeat(300_000) }))).text, '300000');
  });

  test('sockets of objects echo', async () => {
    const ws = await timed('a new socket', () => socketOf(server));
    for (let i = 0; i < 5; i++) await timed('an echo', () => echo(ws, String(i)));
    ws.close();
    await timed('a close', () => once(ws, 'close'));
  });

  test('alarms ring', async () => {
    await timed('an alarm set', () => server.fetch('good', '/ring'));
    await timed('an alarm', async () => {
      while ((await server.fetch('good', '/rang')).text !== 'true');
    });
  });

  test('a new version of another script takes over', async () => {
    await server.deploy('good', { 'worker.mjs': good('2') }, roomBinding);
    assert.equal((await timed('the new version', () => server.fetch('good', '/version'))).text, '2');
    await add(server);
  });

  test('a new version of the looping script takes over', async () => {
    await server.deploy('bad', { 'worker.mjs': bad('2') }, boxBinding);
    assert.equal((await timed('the new version', () => server.fetch('bad', '/version'))).text, '2');
    await add(server);
  });

  test('a second script that loops changes nothing', async () => {
    server.fetch('bad', '/loop').catch(() => {});
    for (let i = 0; i < 5; i++) await add(server);
    const ws = await timed('a new socket', () => socketOf(server));
    await timed('an echo', () => echo(ws, 'two'));
    ws.close();
  });
});

describe('a turn that computes for long', { timeout: 60_000 }, () => {
  let server;
  before(async () => {
    server = await serve({ limits: { cpu_ms: 2000 } });
    await add(server);
  });
  after(() => server[Symbol.asyncDispose]());

  const goodGoesOnDuring = async (path) => {
    const result = server.fetch('bad', path);
    const served = await serveGoodUntil(server, result);
    return { served, ...(await result) };
  };

  for (const path of ['/spin?ms=1000', '/deep?ms=1000', '/getter?ms=1000', '/compute?ms=1000']) {
    test(`gives its right result, and others are served meanwhile: ${path}`, async () => {
      const { served, status, text } = await goodGoesOnDuring(path);
      assert.equal(status, 200);
      assert.match(text, /spun/);
      assert.ok(served >= 5, `${served} requests were served meanwhile`);
    });
  }

  test('others have as much stack as ever, also when the turn has used most of its own', async () => {
    const depth = async () => Number((await server.fetch('good', '/depth')).text);
    await depth();
    const before = await depth();
    const deep = server.fetch('bad', '/deep?ms=800');
    let done = false;
    deep.then(() => (done = true));
    let least = Infinity;
    while (!done) least = Math.min(least, await depth());
    assert.match((await deep).text, /^spunspun$/);
    assert.ok(least > before * 0.8, `${least} calls deep, ${before} before`);
  });

  test('a regular expression that backtracks for long shares too', async () => {
    const { served, status, text } = await goodGoesOnDuring('/regexp');
    assert.equal(status, 200);
    assert.equal(text, 'false');
    assert.ok(served >= 2, `${served} requests were served meanwhile`);
  });

  test('what happens to its objects waits for the turn, in order', async () => {
    const computed = server.fetch('bad', '/compute?ms=600');
    const adds = [];
    await add(server); // the turn is under way
    for (let i = 0; i < 5; i++) adds.push(server.fetch('bad', '/add').then(({ text }) => Number(text)));
    const state = server.fetch('bad', '/state');
    assert.equal((await computed).text, 'spun');
    assert.deepEqual(await Promise.all(adds), [1, 2, 3, 4, 5]);
    assert.deepEqual((await state).json(), [1, 2]);
  });

  test('it is ended after its own CPU time, others\' time not counted', async () => {
    const waiting = [];
    const loop = server.fetch('bad', '/loop');
    const begin = performance.now();
    await add(server);
    waiting.push(server.fetch('bad', '/version'));
    const served = await serveGoodUntil(server, loop);
    const { status } = await loop;
    assert.ok(status >= 500);
    assert.ok(performance.now() - begin >= 1900, 'not before its time');
    assert.ok(served >= 5, `${served} requests were served meanwhile`);
    // What waited for the isolate is told.
    for (const { status } of await Promise.all(waiting)) assert.equal(status, 503);
    assert.equal((await server.fetch('bad', '/version')).text, '1');
    await server.logged(/isolate terminated .*script=bad.*CPU/);
    await add(server);
  });

  test('SIGTERM waits for the turn', async () => {
    const spun = server.fetch('bad', '/spin?ms=700');
    await add(server);
    const exit = server.stop();
    assert.equal((await spun).text, 'spun');
    assert.deepEqual(await exit, { code: 0, signal: null });
  });
});
