import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from './harness.mjs';

function main({ DurableObject, WorkerEntrypoint }) {
  class Counter extends DurableObject {
    async increment(by = 1) {
      const value = ((await this.ctx.storage.get('n')) ?? 0) + by;
      await this.ctx.storage.put('n', value);
      return value;
    }
    async fetch(request) {
      return new Response(`${request.method} ${request.url} ${this.ctx.id.name} ${await request.text()}`);
    }
    boom() {
      throw new RangeError('boom');
    }
  }
  class Greeter extends WorkerEntrypoint {
    hello(name) {
      return `hello ${name} ${JSON.stringify(this.ctx.props)}`;
    }
  }
  return {
    Counter,
    Greeter,
    default: {
      async fetch(request, env, ctx) {
        const url = new URL(request.url);
        const stub = env.Counter.getByName('a');
        switch (url.pathname) {
          case '/inc': return Response.json(await stub.increment(2));
          case '/fetch': return stub.fetch('http://do/x', { method: 'POST', body: 'hi' });
          case '/stream': return stub.fetch('http://do/s', request);
          case '/boom': return Response.json(await stub.boom().catch((e) => [e.name, e.message, e.remote, e.durableObjectId === stub.id.toString()]));
          case '/greet': return Response.json([await ctx.exports.Greeter.hello('x'), await ctx.exports.Greeter({ props: { a: 1 } }).hello('y')]);
          case '/env': return Response.json(Object.keys(env));
          case '/throw': throw new Error('top');
          case '/none': return undefined;
        }
        return new Response('?', { status: 404 });
      },
    },
  };
}

let isolate;
before(async () => {
  isolate = await start(main, { classes: { Counter: true }, bindings: [{ name: 'TEXT', kind: 'plain_text', text: 'x' }] });
});
after(() => isolate.stop());

test('the exports are classified', () => {
  assert.deepEqual(isolate.reports.map(({ name, kind }) => [name, kind]), [['Counter', 'durable-object'], ['Greeter', 'entrypoint'], ['default', 'handler-object']]);
});

test('an RPC method keeps its state', async () => {
  assert.equal(await isolate.json('/inc'), 2);
  assert.equal(await isolate.json('/inc'), 4);
});

test('stub.fetch carries method, URL, name and bodies', async () => {
  assert.equal((await isolate.fetch('/fetch')).text, 'POST http://do/x a hi');
  assert.equal((await isolate.fetch('/stream', { method: 'POST', body: ['a', 'b', 'c'] })).text, 'POST http://do/s a abc');
});

test('errors cross with class, text and properties', async () => {
  assert.deepEqual(await isolate.json('/boom'), ['RangeError', 'boom', true, true]);
});

test('named entrypoints are reached through ctx.exports', async () => {
  assert.deepEqual(await isolate.json('/greet'), ['hello x {}', 'hello y {"a":1}']);
});

test('a handler that throws or returns no Response answers 500 and is logged', async () => {
  assert.equal((await isolate.fetch('/throw')).error, true);
  assert.equal((await isolate.fetch('/none')).error, true);
  const logged = isolate.exceptions.map(({ event, message }) => [event, message]);
  assert.deepEqual(logged, [['rpc boom', 'boom'], ['fetch', 'top'], ['fetch', "Incorrect type for Promise: the Promise did not resolve to 'Response'."]]);
});

test('env has enumerable own properties', async () => {
  assert.deepEqual(await isolate.json('/env'), ['Counter', 'TEXT']);
});
