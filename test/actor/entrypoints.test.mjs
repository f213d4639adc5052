// The module `cloudflare:workers`, env, contexts, the life of an isolate (spec 2.1, 2.2, 8).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sleep, start, until } from './harness.mjs';

function main({ DurableObject, WorkerEntrypoint, WorkflowEntrypoint, RpcTarget, env: importedEnv, exports: importedExports, waitUntil, withEnv }) {
  const t = async (f) => {
    try {
      return await f();
    } catch (error) {
      return [error.name, error.message];
    }
  };
  const atTop = { text: importedEnv.TEXT, wait: undefined };
  try {
    waitUntil(Promise.resolve());
  } catch (error) {
    atTop.wait = error.message.split('.')[0];
  }
  class Room extends DurableObject {
    look() {
      return [Object.keys(this), this.ctx.id.name, this.ctx.props, Object.keys(this.ctx.exports), typeof this.ctx.storage, this.ctx.container ?? null];
    }
    hold() {
      return new Promise((resolve) => (this.free = resolve));
    }
    go() {
      this.free('freed');
    }
    late() {
      this.ctx.waitUntil(Promise.reject(new Error('late failure')));
      return 1;
    }
  }
  function OldStyle() {}
  OldStyle.prototype.fetch = () => new Response('old');
  let done = [];
  return {
    Room,
    OldStyle,
    helper() {},
    limit: 5,
    Flow: class extends WorkflowEntrypoint {},
    Entry: class extends WorkerEntrypoint {
      fetch(request) {
        return new Response(`entry ${request.url}`);
      }
    },
    default: class extends WorkerEntrypoint {
      async fetch(request) {
        const { pathname } = new URL(request.url);
        const room = this.env.Room.getByName('room');
        switch (pathname) {
          case '/env': {
            const { KEY, ...rest } = importedEnv;
            return Response.json([Object.entries(rest).map(([k, v]) => [k, typeof v === 'object' && 'idFromName' in v ? 'namespace' : v]), importedEnv.TEXT, atTop, new WeakMap([[importedEnv, 1]]).get(importedEnv),
              withEnv({ TEXT: 'other' }, () => importedEnv.TEXT), Object.keys(importedExports).sort(), await t(() => { 'use strict'; importedEnv.x = 1; })]);
          }
          case '/key': {
            const { KEY } = this.env;
            const mac = await crypto.subtle.sign('HMAC', KEY, new TextEncoder().encode('data'));
            return Response.json([KEY.type, KEY.algorithm.name, KEY.extractable, KEY.usages, new Uint8Array(mac).length]);
          }
          case '/ctx':
            return Response.json([Object.keys(this).sort(), Object.keys(this.ctx.exports).sort(), this.ctx.props, this.ctx.passThroughOnException() ?? null, await room.look(), await (await this.ctx.exports.Entry.fetch('http://e/x')).text(),
              (await this.ctx.exports.Room.getByName('room').look())[1], await t(() => new DurableObject({}, {})), await t(() => new (class extends WorkflowEntrypoint {})())]);
          case '/wait': {
            this.ctx.waitUntil(scheduler.wait(20).then(() => done.push('waited')));
            waitUntil(scheduler.wait(10).then(() => done.push('imported')));
            this.ctx.waitUntil(Promise.reject(new Error('wait failed')));
            setTimeout(() => done.push('never'), 30);
            return new Response('now');
          }
          case '/done':
            return Response.json(done);
          case '/late':
            return Response.json(await room.late());
          case '/hold':
            return Response.json(await room.hold());
          case '/go':
            return Response.json((await room.go()) ?? null);
          case '/ws': {
            const [client, server] = Object.values(new WebSocketPair());
            server.accept();
            server.addEventListener('message', ({ data }) => {
              setTimeout(() => server.send(`later ${data}`), 5);
              server.send(`now ${data}`);
            });
            return new Response(null, { status: 101, webSocket: client });
          }
          case '/stream': {
            const { readable, writable } = new TransformStream();
            const writer = writable.getWriter();
            (async () => {
              for (const part of ['a', 'b', 'c']) {
                await scheduler.wait(2);
                await writer.write(new TextEncoder().encode(part));
              }
              await writer.close();
            })();
            return new Response(readable);
          }
        }
        return new Response('?');
      }
    },
  };
}

let isolate;
before(async () => {
  isolate = await start(main, {
    classes: { Room: true },
    bindings: [
      { name: 'TEXT', kind: 'plain_text', text: 'hello' },
      { name: 'JSON', kind: 'json', json: '{"a":[1]}' },
      { name: 'DATA', kind: 'data', part: 'the module' },
      { name: 'VERSION', kind: 'version_metadata' },
      { name: 'KEY', kind: 'secret_key', json: JSON.stringify({ algorithm: { name: 'HMAC', hash: 'SHA-256' }, format: 'raw', usages: ['sign'], key_base64: Buffer.from('0123456789abcdef').toString('base64') }) },
    ],
  });
});
after(() => isolate.stop());

test('the exports are classified', () => {
  assert.deepEqual(isolate.reports.map(({ name, kind }) => [name, kind]), [
    ['Room', 'durable-object'], ['OldStyle', 'durable-object'], ['helper', 'other'], ['limit', 'other'], ['Flow', 'other'], ['Entry', 'entrypoint'], ['default', 'entrypoint'],
  ]);
  assert.deepEqual(isolate.reports[0].handlers, ['look', 'hold', 'go', 'late']);
});

test('env: the argument, the import, and withEnv', async () => {
  const [entries, text, atTop, weak, other, names, assigned] = await isolate.json('/env');
  assert.deepEqual(entries, [['Room', 'namespace'], ['TEXT', 'hello'], ['JSON', { a: [1] }], ['DATA', 'the module'], ['VERSION', { id: 'v1', tag: '', timestamp: '' }]]);
  assert.deepEqual([text, atTop, weak, other], ['hello', { text: 'hello', wait: 'Disallowed operation called within global scope' }, 1, 'other']);
  assert.deepEqual(names, ['Entry', 'OldStyle', 'Room', 'default', 'helper']);
  assert.equal(assigned, null);
});

test('a secret key is a CryptoKey that cannot be read', async () => {
  assert.deepEqual(await isolate.json('/key'), ['secret', 'HMAC', false, ['sign'], 32]);
});

test('ctx of entrypoints and objects', async () => {
  const names = ['Entry', 'OldStyle', 'Room', 'default', 'helper'];
  assert.deepEqual(await isolate.json('/ctx'), [
    ['ctx', 'env'], names, {}, null, [['ctx', 'env'], 'room', {}, ['Room', 'OldStyle', 'helper', 'Entry', 'default'], 'object', null], 'entry http://e/x', 'room',
    ['TypeError', "Failed to construct 'DurableObjectBase': constructor parameter 1 is not of type 'DurableObjectState'."],
    ['Error', 'Workflows are not supported by Holdfast yet.'],
  ]);
});

test('waitUntil keeps a request alive, a bare timer does not; rejections are logged', async () => {
  assert.equal((await isolate.fetch('/wait')).text, 'now');
  await sleep(80);
  assert.deepEqual(await isolate.json('/done'), ['imported', 'waited']);
  await isolate.json('/late');
  const logged = isolate.exceptions.filter(({ event }) => event === 'waitUntil').map(({ message }) => message);
  assert.deepEqual(logged, ['wait failed', 'late failure']);
});

test('an accepted socket and a streaming response keep their request alive', async () => {
  const { client } = await isolate.fetch('/ws', { upgrade: true });
  client.send('x');
  assert.deepEqual(await client.received(2), ['now x', 'later x']);
  client.close(1000, '');
  assert.equal((await isolate.fetch('/stream')).text, 'abc');
  await until(async () => (await isolate.ask('activity')) === 1, 'only the object is left');
});

test('drain waits for what runs', async () => {
  const running = isolate.json('/hold');
  await sleep(10);
  let drained = false;
  const wait = isolate.ask('drain').then(() => (drained = true));
  await sleep(20);
  assert.equal(drained, false);
  await isolate.json('/go');
  assert.equal(await running, 'freed');
  await wait;
});
