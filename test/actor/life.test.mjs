// How objects live and end, on a real server whose seconds are short: abort, eviction, overload, new versions, limits.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { Holdfast } from '../support/holdfast.mjs';

const kSecondMs = 20;

const worker = (version, more = '') => `
import { DurableObject } from 'cloudflare:workers';
import { AsyncResource } from 'node:async_hooks';
import { nextTick } from 'node:process';
globalThis.seen ??= [];
let born = 0;
const cut = (error) => ({ message: error.message, ...Object.fromEntries(['remote', 'retryable', 'overloaded', 'durableObjectReset'].filter((k) => error[k] !== undefined).map((k) => [k, error[k]])) });
export class Thing extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.born = ++born;
    ${more}
  }
  version() { return ${version}; }
  birth() { return this.born; }
  seen() { return globalThis.seen.splice(0); }
  async put(key, value) { await this.ctx.storage.put(key, value); }
  get(key) { return this.ctx.storage.get(key); }
  async wait(ms) { await scheduler.wait(ms); return ${version}; }
  async waitThenPut(ms) { await scheduler.wait(ms); await this.ctx.storage.put('late', 1); return 'put'; }
  abortHow(how) {
    const go = () => {
      this.ctx.storage.put('lost', how);
      try { this.ctx.abort('how ' + how); } catch { seen.push('catch'); } finally { seen.push('finally'); }
      seen.push('after');
    };
    switch (how) {
      case 'sync': go(); break;
      case 'microtask': return Promise.resolve().then(go).then(() => seen.push('then'), () => seen.push('catch'));
      case 'await': return (async () => { await scheduler.wait(1); go(); })();
      case 'timer': return new Promise(() => setTimeout(go, 1));
      case 'tick': return new Promise(() => nextTick(go));
      case 'resource': new AsyncResource('x').runInAsyncScope(go); break;
      case 'section': return this.ctx.blockConcurrencyWhile(async () => go());
      case 'transaction': this.ctx.storage.transactionSync(go); break;
      case 'getter': this.ctx.storage.put('k', { get x() { go(); return 1; } }); break;
      case 'toJSON': JSON.stringify({ toJSON: go }); break;
      case 'listener': { const target = new EventTarget(); target.addEventListener('x', go); target.dispatchEvent(new Event('x')); break; }
      case 'generator': for (const x of (function* () { try { yield 1; } finally { seen.push('finally'); } })()) go(x); break;
    }
  }
  hang() { return new Promise(() => {}); }
  async block(ms) { await this.ctx.blockConcurrencyWhile(() => scheduler.wait(ms)); return 'blocked'; }
  async transact(ms) { await this.ctx.storage.transaction(() => scheduler.wait(ms)); return 'done'; }
  take(bytes) { return bytes.byteLength; }
  timer(ms) { this.timer = setTimeout(() => {}, ms); return this.born; }
  interval() { setInterval(() => {}, 5); return this.born; }
  background(ms) { this.ctx.waitUntil(scheduler.wait(ms)); return this.born; }
  fill(bytes) { this.kept = new Array(bytes / 8).fill(0).map((_, i) => i + 0.5); return this.born; }
  async fetch(request) {
    const url = new URL(request.url);
    const [client, server] = Object.values(new WebSocketPair());
    if (url.pathname === '/accept') server.accept();
    else {
      this.ctx.acceptWebSocket(server, ['tag', url.searchParams.get('n') ?? '']);
      server.serializeAttachment({ n: url.searchParams.get('n'), bytes: new Uint8Array([1, 2, 3]) });
      this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'));
      this.ctx.setHibernatableWebSocketEventTimeout(5000);
    }
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(ws, message) {
    if (message === 'who') {
      ws.send(JSON.stringify({
        version: ${version}, born: this.born, name: this.ctx.id.name, tags: this.ctx.getTags(ws), attachment: [ws.deserializeAttachment().n, ...ws.deserializeAttachment().bytes],
        sockets: this.ctx.getWebSockets().length, auto: this.ctx.getWebSocketAutoResponse()?.response, timeout: this.ctx.getHibernatableWebSocketEventTimeout(),
        answered: this.ctx.getWebSocketAutoResponseTimestamp(ws)?.getTime() > 0,
      }));
    } else for (const other of this.ctx.getWebSockets()) other.send(message);
  }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const name = url.searchParams.get('name');
    if (request.headers.get('upgrade')) return env.THING.getByName(name).fetch(request);
    const calls = JSON.parse(url.searchParams.get('calls'));
    const attempt = (stub, [method, ...args]) => Promise.resolve(stub[method](...args)).then((value) => value ?? null, cut);
    if (url.pathname === '/throws') return new Response(await env.THING.getByName(name)[calls[0][0]](...calls[0].slice(1)));
    if (url.pathname === '/once') return Response.json(await Promise.all(calls.map((call) => attempt(env.THING.getByName(name), call))));
    if (url.pathname === '/flood') {
      const stub = env.THING.getByName(name);
      const held = stub.block(2500).then(() => 1);
      const bytes = Number(url.searchParams.get('bytes'));
      const argument = new Uint8Array(bytes);
      if (bytes) await scheduler.wait(30); // the gate is locked by then
      const results = await Promise.all(Array.from({ length: Number(url.searchParams.get('count')) }, () => (bytes ? stub.take(argument) : stub.version()).then(() => 'ok', cut)));
      await held;
      const counted = {};
      for (const result of results) { const key = JSON.stringify(result); counted[key] = (counted[key] ?? 0) + 1; }
      return Response.json(counted);
    }
    if (url.pathname === '/many') {
      let sum = 0;
      for (let i = 0; i < Number(url.searchParams.get('count')); i += 100) {
        sum += (await Promise.all(Array.from({ length: 100 }, (_, j) => env.THING.getByName(name + (i + j))[calls[0][0]](...calls[0].slice(1))))).length;
      }
      return Response.json(sum);
    }
    const out = [];
    for (const call of calls) out.push(await attempt(env.THING.getByName(name), call));
    return Response.json(out);
  },
};`;

const meta = {
  bindings: [{ type: 'durable_object_namespace', name: 'THING', class_name: 'Thing' }],
  migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Thing'] }] },
  flags: ['nodejs_compat'],
  date: '2026-05-01',
};
const later = { ...meta, migrations: undefined };

let server;
const ask = async (name, calls, path = '/', script = 'thing', more = '') => {
  const { status, text } = await server.fetch(script, `${path}?name=${name}&calls=${encodeURIComponent(JSON.stringify(calls))}${more}`);
  assert.equal(status, 200, text);
  return JSON.parse(text);
};
const each = (name, ...calls) => ask(name, calls);
const once_ = (name, ...calls) => ask(name, calls, '/once');
const until = async (condition, what) => {
  const end = Date.now() + 20_000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

async function connect(name, path = '/', n = '1', script = 'thing') {
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}${path}?name=${name}&n=${n}`, { headers: { host: `${script}.test` } });
  ws.received = [];
  ws.on('message', (data) => ws.received.push(data.toString()));
  ws.gone = undefined;
  ws.on('close', (code) => (ws.gone = code));
  await once(ws, 'open');
  ws.ask = async (text) => {
    const count = ws.received.length;
    ws.send(text);
    await until(() => ws.received.length > count, `an answer to ${text}`);
    return ws.received.at(-1);
  };
  return ws;
}

describe('life of objects', { timeout: 120_000 }, () => {
  before(async () => {
    server = await Holdfast.start({ args: ['--shards', '2', '--log-level', 'debug'], env: { HOLDFAST_TEST_SECOND_MS: String(kSecondMs) } });
    await server.deploy('thing', { 'worker.mjs': worker(1) }, meta);
  });
  after(() => server[Symbol.asyncDispose]());

  const reset = (message, more = {}) => ({ message, durableObjectReset: true, ...more });

  for (const how of ['sync', 'microtask', 'await', 'timer', 'tick', 'resource', 'section', 'transaction', 'getter', 'toJSON', 'listener', 'generator']) {
    test(`abort() ends the code on the spot: ${how}`, async () => {
      const name = `abort-${how}`;
      await each(name, ['put', 'kept', 1], ['seen']);
      const failed = reset(`how ${how}`);
      assert.deepEqual(await once_(name, ['hang'], ['abortHow', how]), [failed, failed]);
      assert.deepEqual(await each(name, ['get', 'kept'], ['get', 'lost'], ['seen']), [1, null, []]);
      // The isolate is whole: other objects of it work, and this one again.
      assert.deepEqual(await once_(`${name}-other`, ['wait', 1], ['put', 'a', 1], ['get', 'a']), [1, null, 1]);
    });
  }

  test('a call that has waited for half a minute fails, and the edge says 503', async () => {
    const transaction = each('slow', ['transact', 40 * kSecondMs]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const edge = server.fetch('thing', `/throws?name=slow&calls=${encodeURIComponent('[["version"]]')}`);
    assert.deepEqual(await once_('slow', ['version']), [{ message: 'Durable Object is overloaded. Requests queued for too long.', overloaded: true }]);
    assert.equal((await edge).status, 503);
    assert.deepEqual(await transaction, ['done']);
    assert.deepEqual(await each('slow', ['version']), [1]);
  });

  test('idle for ten seconds: gone, and constructed by the next event', async () => {
    const [first] = await each('idle', ['birth']);
    await until(async () => (await new Promise((resolve) => setTimeout(resolve, 15 * kSecondMs)), (await each('idle', ['birth']))[0] !== first), 'eviction');
  });

  test('a timer holds an object for more than ten seconds, and not for more than 140', async () => {
    const [born] = await each('timer', ['interval']);
    await new Promise((resolve) => setTimeout(resolve, 30 * kSecondMs));
    assert.deepEqual(await each('timer', ['birth']), [born]);
    await new Promise((resolve) => setTimeout(resolve, 150 * kSecondMs));
    assert.notDeepEqual(await each('timer', ['birth']), [born]);
  });

  test('with durable_object_io_tasks_prevent_eviction it is held for a quarter of an hour', async () => {
    await server.deploy('held', { 'worker.mjs': worker(1) }, { ...meta, date: '2026-10-01' });
    const [born] = await ask('timer', [['timer', 300_000]], '/', 'held');
    await new Promise((resolve) => setTimeout(resolve, 200 * kSecondMs));
    assert.deepEqual(await ask('timer', [['birth']], '/', 'held'), [born]);
  });

  test('a facet with an open socket holds its parent', async () => {
    const source = worker(1).replace('export default {', `
export class Child extends DurableObject {
  fetch() { const [client, server] = Object.values(new WebSocketPair()); server.accept(); return new Response(null, { status: 101, webSocket: client }); }
}
export class Parent extends DurableObject {
  born = Math.random();
  birth() { return this.born; }
  fetch(request) { return this.ctx.facets.get('child', () => ({ class: this.ctx.exports.Child })).fetch(request); }
}
export default {`);
    await server.deploy('facets', { 'worker.mjs': source }, {
      ...meta,
      bindings: [{ type: 'durable_object_namespace', name: 'THING', class_name: 'Parent' }],
      migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Parent'] }] },
    });
    const ws = await connect('p', '/accept', '1', 'facets');
    const [born] = await ask('p', [['birth']], '/', 'facets');
    await new Promise((resolve) => setTimeout(resolve, 160 * kSecondMs));
    assert.equal(ws.gone, undefined);
    assert.deepEqual(await ask('p', [['birth']], '/', 'facets'), [born]);
    ws.terminate();
    await new Promise((resolve) => setTimeout(resolve, 160 * kSecondMs));
    assert.notDeepEqual(await ask('p', [['birth']], '/', 'facets'), [born]);
  });

  test('an accepted WebSocket holds an object, and a request that is not finished', async () => {
    const ws = await connect('accepted', '/accept');
    const [born] = await each('accepted', ['birth']);
    const hanging = server.fetch('thing', `/?name=hanging&calls=${encodeURIComponent('[["hang"]]')}`).catch(() => 'cut');
    const [other] = await each('hanging', ['birth']);
    await new Promise((resolve) => setTimeout(resolve, 160 * kSecondMs));
    assert.equal(ws.gone, undefined);
    assert.deepEqual(await each('accepted', ['birth']), [born]);
    assert.deepEqual(await each('hanging', ['birth']), [other]);
    ws.terminate();
    await each('hanging', ['abortHow', 'sync']);
    await hanging;
  });

  test('with hibernatable sockets an object sleeps; they stay open', async () => {
    const ws = await connect('sleeper');
    assert.equal(await ws.ask('ping'), 'pong');
    const { born } = JSON.parse(await ws.ask('who'));
    await new Promise((resolve) => setTimeout(resolve, 30 * kSecondMs));
    const after = JSON.parse(await ws.ask('who'));
    assert.notEqual(after.born, born);
    assert.deepEqual({ ...after, born: 0 }, {
      version: 1, born: 0, name: 'sleeper', tags: ['tag', '1'], attachment: ['1', 1, 2, 3], sockets: 1, auto: 'pong', timeout: 5000, answered: true,
    });
    ws.terminate();
  });

  for (const mode of ['deferred', 'immediate']) {
    test(`hibernated sockets survive a deploy (${mode}), with tags, attachments and auto-response`, async () => {
      const script = `deploy-${mode}`;
      await server.deploy(script, { 'worker.mjs': worker(1) }, meta);
      const asleep = await Promise.all(Array.from({ length: 20 }, (_, i) => connect(`asleep${i}`, '/', String(i), script)));
      for (const ws of asleep) assert.equal(await ws.ask('ping'), 'pong');
      await new Promise((resolve) => setTimeout(resolve, 30 * kSecondMs));
      const awake = await Promise.all(Array.from({ length: 20 }, (_, i) => connect(`awake${i}`, '/', String(i), script)));
      const plain = await connect('plain', '/accept', '1', script);
      // Messages that are on their way while the code changes are neither lost nor doubled.
      let sending = true;
      const sent = (async () => {
        const texts = [];
        while (sending) {
          texts.push(`m${texts.length}`);
          for (const ws of asleep.slice(0, 4)) ws.send(texts.at(-1));
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
        return texts;
      })();
      await server.deploy(script, { 'worker.mjs': worker(2) }, { ...later, code_update_strategy: { mode, ...(mode === 'deferred' ? { max_delay: 5 } : {}) } });
      await new Promise((resolve) => setTimeout(resolve, 100));
      sending = false;
      const texts = await sent;
      if (mode === 'deferred') {
        for (const ws of asleep.slice(0, 4)) {
          await until(() => ws.received.filter((text) => text !== 'pong').length >= texts.length, 'messages');
          assert.deepEqual(ws.received.filter((text) => text !== 'pong'), texts);
        }
      }
      for (const [i, ws] of [...asleep.slice(4), ...awake].entries()) {
        assert.equal(ws.gone, undefined, `socket ${i}`);
        assert.equal(await ws.ask('ping'), 'pong');
        const who = await until(async () => {
          const answer = JSON.parse(await ws.ask('who'));
          return answer.version === 2 && answer;
        }, 'the new version');
        assert.equal(who.sockets, 1);
        assert.equal(who.auto, 'pong');
        assert.equal(who.answered, true);
        assert.deepEqual(who.attachment.slice(1), [1, 2, 3]);
      }
      if (mode === 'immediate') await until(() => plain.gone !== undefined, 'the plain socket is cut');
      for (const ws of [...asleep, ...awake, plain]) ws.terminate();
    });
  }

  test('what runs when its version ends may end, but not touch the storage', async () => {
    await server.deploy('grace', { 'worker.mjs': worker(1) }, meta);
    await ask('g1', [['version']], '/', 'grace');
    const ends = ask('g1', [['wait', 400]], '/', 'grace');
    const writes = ask('g2', [['waitThenPut', 400]], '/', 'grace');
    const [before] = await ask('g1', [['version']], '/', 'grace');
    assert.equal(before, 1);
    await server.deploy('grace', { 'worker.mjs': worker(2) }, { ...later, code_update_strategy: { mode: 'immediate' } });
    assert.deepEqual(await ask('g1', [['version']], '/', 'grace'), [2]);
    assert.deepEqual(await ask('g2', [['version']], '/', 'grace'), [2]);
    assert.deepEqual(await ends, [1]);
    assert.deepEqual(await writes, [{ message: 'Durable Object reset because its code was updated.', retryable: true, durableObjectReset: true }]);
    assert.deepEqual(await ask('g2', [['get', 'late']], '/', 'grace'), [null]);
  });

  test('a later deploy can only shorten the wait', async () => {
    await server.deploy('shorten', { 'worker.mjs': worker(1) }, meta);
    const running = ask('s', [['hang']], '/', 'shorten');
    assert.deepEqual(await ask('s', [['version']], '/', 'shorten'), [1]);
    await server.deploy('shorten', { 'worker.mjs': worker(2) }, { ...later, code_update_strategy: { mode: 'deferred', max_delay: 3600 } });
    assert.deepEqual(await ask('s', [['version']], '/', 'shorten'), [1]);
    await server.deploy('shorten', { 'worker.mjs': worker(3) }, { ...later, code_update_strategy: { mode: 'immediate' } });
    assert.deepEqual(await ask('s', [['version']], '/', 'shorten'), [3]);
    running.catch(() => {});
  });

  test('objects that were known cost nothing', async () => {
    const rss = async () => Number(/VmRSS:\s+(\d+)/.exec(await (await import('node:fs/promises')).readFile(`/proc/${server.child.pid}/status`, 'utf8'))[1]) * 1024;
    const touch = (name) => ask(name, [['seen']], '/many', 'thing', '&count=20000');
    for (let i = 0; i < 3; i++) await touch(`warm${i}-`);
    await new Promise((resolve) => setTimeout(resolve, 40 * kSecondMs));
    const before = await rss();
    for (let i = 0; i < 5; i++) {
      await touch(`known${i}-`);
      await new Promise((resolve) => setTimeout(resolve, 40 * kSecondMs));
    }
    const perObject = ((await rss()) - before) / 100_000;
    assert.ok(perObject < 100, `${perObject} bytes per object that was touched and has left`);
  });
});

describe('with seconds of a second', { timeout: 60_000 }, () => {
  before(async () => {
    server = await Holdfast.start({ args: ['--shards', '2', '--log-level', 'error'] });
    await server.deploy('thing', { 'worker.mjs': worker(1) }, meta);
  });
  after(() => server[Symbol.asyncDispose]());

  test('a call is refused when too many wait', async () => {
    const counted = await ask('flood', [], '/flood', 'thing', '&count=20000');
    const refused = JSON.stringify({ message: 'Durable Object is overloaded. Too many requests queued.', overloaded: true });
    assert.ok(counted[refused] > 3000 && counted['"ok"'] > 15_000, JSON.stringify(counted));
    assert.deepEqual(await each('flood', ['version']), [1]);
  });

  test('a call is refused when those that wait carry too much', async () => {
    const counted = await ask('heavy', [], '/flood', 'thing', `&count=80&bytes=${1024 * 1024}`);
    const refused = JSON.stringify({ message: 'Durable Object is overloaded. Too much data queued.', overloaded: true });
    assert.deepEqual(counted, { '"ok"': 63, [refused]: 17 });
  });
});

test('memory that runs short drives out idle objects, not the Worker', { timeout: 60_000 }, async () => {
  await using calm = await Holdfast.start({ args: ['--shards', '2', '--log-level', 'debug'] });
  await calm.deploy('full', { 'worker.mjs': worker(1) }, meta);
  const fill = (name) => calm.fetch('full', `/?name=${name}&calls=${encodeURIComponent(JSON.stringify([['fill', 3 * 1024 * 1024]]))}`);
  // 300 MB in all, in two isolates of 128 MB, long before anything has been idle for ten seconds.
  const [born] = (await fill('f0')).json();
  for (let i = 1; i < 100; i++) assert.equal((await fill(`f${i}`)).status, 200);
  assert.match(calm.log, /memory is short: \d+ idle objects have left it/);
  assert.doesNotMatch(calm.log, /isolate terminated/);
  // The one used first has been constructed again.
  assert.notDeepEqual((await fill('f0')).json(), [born]);
});
