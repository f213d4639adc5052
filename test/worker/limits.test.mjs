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
