// A Worker that loops for ever, allocates for ever, or throws while starting hurts only itself.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';

const good = `
import { DurableObject } from 'cloudflare:workers';
export class Count extends DurableObject { n = 0; add() { return ++this.n; } }
export default { async fetch(request, env) { return new Response('good ' + (await env.COUNT.getByName('one').add())); } };`;
const bad = `
export default { async fetch(request) {
  switch (new URL(request.url).pathname) {
    case '/loop': for (;;);
    case '/heap': { const all = []; for (;;) all.push({ text: 'x'.repeat(100) + all.length }); }
    case '/buffers': { const all = []; for (;;) all.push(new Uint8Array(1024 * 1024).fill(1)); }
    case '/throw': throw new Error('thrown on purpose');
    default: return new Response('alive');
  }
} };`;

describe('a Worker that misbehaves', () => {
  let server;
  let answered = 0;
  before(async () => {
    server = await Holdfast.start({ args: ['--shards', '2', '--log-level', 'error'] });
    await server.deploy('good', { 'worker.mjs': good }, {
      bindings: [{ type: 'durable_object_namespace', name: 'COUNT', class_name: 'Count' }],
      migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Count'] }] },
    });
    await server.deploy('bad', { 'worker.mjs': bad }, { limits: { cpu_ms: 300 } });
  });
  after(() => server[Symbol.asyncDispose]());

  const goodGoesOn = async () => {
    answered++;
    const { status, text } = await server.fetch('good');
    assert.equal(status, 200);
    assert.equal(text, `good ${answered}`, 'the other Worker kept its state');
  };

  test('an endless loop is ended', async () => {
    await goodGoesOn();
    const loop = server.fetch('bad', '/loop');
    assert.ok((await loop).status >= 500);
    await goodGoesOn();
    assert.equal((await server.fetch('bad')).text, 'alive');
  });

  test('endless allocation is ended', async () => {
    for (const path of ['/heap', '/buffers']) {
      assert.ok((await server.fetch('bad', path)).status >= 500, path);
      await goodGoesOn();
      assert.equal((await server.fetch('bad')).text, 'alive');
    }
  });

  test('an exception is answered with 500 and logged', async () => {
    const { status, text } = await server.fetch('bad', '/throw');
    assert.equal(status, 500);
    assert.match(text, /1101/);
    await server.logged(/script=bad .*thrown on purpose/);
  });

  test('code that throws or never ends while starting is refused, and what ran runs on', async () => {
    for (const code of ['throw new TypeError("at the start")', 'import "./missing.mjs"', 'syntax error here', 'for (;;);']) {
      await assert.rejects(server.deploy('bad', { 'worker.mjs': `${code}\n;export default { fetch() {} }` }, { limits: { cpu_ms: 300 } }), ({ answer }) => {
        assert.equal(answer.errors[0].code, 10021);
        return true;
      });
      assert.equal((await server.fetch('bad')).text, 'alive');
    }
    await goodGoesOn();
  });
});

// An object over its limit: its callers learn why, the next call finds a new instance, other scripts notice nothing.
describe('an object that misbehaves', () => {
  let server;
  const hog = `
import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers';
export class Hog extends DurableObject {
  constructor(ctx, env) { super(ctx, env); this.kept = ctx.storage.kv.get('kept') ?? 0; }
  put(value) { this.ctx.storage.kv.put('kept', value); }
  get() { return this.kept; }
  hang() { return new Promise(() => {}); }
  loop() { for (;;); }
  heap() { const all = []; for (;;) all.push({ text: 'x'.repeat(100) + all.length }); }
  async alarm() { if (!this.ctx.storage.kv.get('armed')) return; this.ctx.storage.kv.put('armed', false); for (;;); }
}
export class Service extends WorkerEntrypoint { loop() { for (;;); } heap() { const all = []; for (;;) all.push({ text: 'x'.repeat(100) + all.length }); } }
export default { fetch() { return new Response('x'); } };`;
  const caller = `
const cut = (error) => ({ name: error.name, message: error.message, ...Object.fromEntries(['remote', 'retryable', 'overloaded', 'durableObjectReset'].filter((k) => error[k] !== undefined).map((k) => [k, error[k]])) });
export default { async fetch(request, env) {
  const { pathname, searchParams } = new URL(request.url);
  const name = searchParams.get('name');
  const stub = name === null ? env.SERVICE : env.HOG.getByName(name);
  const how = pathname.slice(1);
  if (how === 'put') { await stub.put(1); return Response.json(await stub.get()); }
  if (how === 'get') return Response.json(await stub.get());
  const waiting = name === null ? undefined : env.HOG.getByName(name).hang().catch(cut);
  if (waiting) await scheduler.wait(100); // the call is known to be there
  return Response.json([await stub[how]().catch(cut), await waiting, name === null ? null : await stub.get().catch(cut)]);
} };`;
  before(async () => {
    server = await Holdfast.start({ args: ['--shards', '2', '--log-level', 'error'] });
    await server.deploy('hog', { 'worker.mjs': hog }, {
      bindings: [{ type: 'durable_object_namespace', name: 'HOG', class_name: 'Hog' }],
      migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Hog'] }] },
      limits: { cpu_ms: 2000 }, // the heap is full before that
    });
    await server.deploy('caller', { 'worker.mjs': caller }, {
      bindings: [{ type: 'durable_object_namespace', name: 'HOG', class_name: 'Hog', script_name: 'hog' }, { type: 'service', name: 'SERVICE', service: 'hog', entrypoint: 'Service' }],
    });
  });
  after(() => server[Symbol.asyncDispose]());

  const texts = {
    loop: 'Durable Object exceeded its CPU time limit and was reset.',
    heap: "Durable Object's isolate exceeded its memory limit and was reset.",
  };
  for (const how of ['loop', 'heap']) {
    test(`callers of an object learn why it was reset: ${how}`, async () => {
      for (const name of ['a', 'b']) {
        await server.fetch('caller', `/put?name=${name}`);
        const reset = { name: 'Error', message: texts[how], overloaded: true, durableObjectReset: true };
        // Each call fails with it; so does the stub from then on; the next instance has what was stored.
        assert.deepEqual((await server.fetch('caller', `/${how}?name=${name}`)).json(), [reset, reset, reset]);
        assert.deepEqual((await server.fetch('caller', `/get?name=${name}`)).json(), 1);
      }
    });
  }

  test('callers of an entrypoint learn it, too', async () => {
    assert.deepEqual((await server.fetch('caller', '/loop')).json(), [{ name: 'Error', message: 'Worker exceeded CPU time limit.' }, null, null]);
    assert.deepEqual((await server.fetch('caller', '/heap')).json(), [{ name: 'Error', message: 'Worker exceeded memory limit.' }, null, null]);
  });
});
