// RPC by reference on a real server: objects on four shards, another script, the limit of 32 MiB (spec 9).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Holdfast } from '../support/holdfast.mjs';

const worker = `
import { DurableObject, RpcTarget, WorkerEntrypoint, RpcStub } from 'cloudflare:workers';
const describe = (e) => [e.name, e.message, e.remote ?? false];
const t = async (f) => { try { return await f(); } catch (e) { return describe(e); } };
class Counter extends RpcTarget {
  #n;
  constructor(n) { super(); this.#n = n; }
  inc(k = 1) { return (this.#n += k); }
  get value() { return this.#n; }
}
export class Room extends DurableObject {
  notes = [];
  counter(n) { return new Counter(n); }
  async call(f, ...args) { return await f(...args); }
  one(x) { return x; }
  bytes(n) { return new Uint8Array(n); }
  size(bytes) { return bytes.byteLength; }
  note(x) { this.notes.push(x); return this.notes.length; }
  noter() { return (x) => this.note(x); }
  all() { return this.notes; }
  keep(f) { this.kept = f.dup(); }
  useKept(x) { return this.kept(x); }
  async saveAndCall(f) { this.ctx.storage.put('k', 1); return await f(await this.ctx.storage.get('k')); }
  async upper(stream) { return stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TransformStream({ transform: (c, k) => k.enqueue(c.toUpperCase()) })).pipeThrough(new TextEncoderStream()); }
  async fill(writable, n) { const w = writable.getWriter(); for (let i = 0; i < n; i++) await w.write(new Uint8Array(10_000).fill(65)); await w.close(); }
  via(name, method, ...args) { return this.env.ROOM.getByName(name)[method](...args); }
  make(what) {
    return { error: Object.assign(new RangeError('r', { cause: { a: 1 } }), { f: () => 'inside an error' }), weak: new WeakMap(), generator: (function* () {})(), promise: [Promise.resolve()], instance: new (class Foo {})(), sab: new SharedArrayBuffer(1),
      getter: { get g() { return ++this.constructor.n || 1; }, f: () => 1 }, blob: new Blob(['ab', 'c'], { type: 'x/y' }), url: new URL('http://x/'), date: new Date(5), map: new Map([['f', () => 'in a map']]) }[what];
  }
  abortMe() { this.ctx.abort('over'); }
}
export class Entry extends WorkerEntrypoint {
  count = 0;
  session() { return { next: () => ++this.count, props: this.ctx.props }; }
  async call(f, x) { return await f(x); }
}
const routes = {
  async basics(rooms) {
    return Promise.all(rooms.map(async (room, i) => {
      const c = await room.counter(i);
      return [await c.inc(), await c.value, await room.counter(i).inc(2), await room.call((a, b) => a * b, i, 3), await room.call(async (f) => (await f()) + 1, () => i), (await room.one({ deep: [() => i] })).deep.length];
    }));
  },
  async order(rooms) {
    return Promise.all(rooms.map(async (room) => {
      const noter = room.noter(); const all = [];
      for (let i = 0; i < 30; i += 3) all.push(room.note(i), noter(i + 1), room.call(() => 1) && room.note(i + 2));
      await Promise.all(all);
      const notes = await room.all(); const rising = (list) => list.every((n, i) => i === 0 || list[i - 1] < n);
      return [notes.length, rising(notes.filter((n) => n % 3 !== 1)), rising(notes.filter((n) => n % 3 === 1))];
    }));
  },
  async streams(rooms) {
    return Promise.all(rooms.map(async (room) => {
      const text = await new Response(await room.upper(new Response('abc'.repeat(20_000)).body)).text();
      const { readable, writable } = new IdentityTransformStream(); const filled = room.fill(writable, 100); const bytes = await new Response(readable).arrayBuffer(); await filled;
      const r = await room.one(new Response('body', { status: 201, headers: { a: 'b' } })); const q = await room.one(new Request('http://h/', { method: 'PUT', body: 'q' }));
      return [text === 'ABC'.repeat(20_000), bytes.byteLength, r.status, r.headers.get('a'), await r.text(), q.method, await q.text()];
    }));
  },
  async values(rooms) {
    return Promise.all(rooms.slice(0, 6).map(async (room) => {
      const error = await room.make('error'); const blob = await room.make('blob'); const map = await room.make('map'); let n = 0;
      return [error.name, error.cause, await error.f(), blob.size, blob.type, await blob.text(), await map.get('f')(), await t(() => room.make('weak')), await t(() => room.make('generator')), await t(() => room.make('promise')), await t(() => room.make('instance')), await t(() => room.make('url')), (await room.make('date')).getTime(),
        (await room.one({ get x() { return ++n; }, f: () => 1 })).x, n, (await room.one({ get x() { return ++n; } })).x, n, await t(() => room.one({ get x() { throw new RangeError('getter'); } }))];
    }));
  },
  async limit(rooms) {
    const max = 32 * 1024 * 1024; const out = [];
    for (const room of rooms.slice(0, 4)) out.push([await t(async () => (await room.bytes(max)).byteLength), await t(async () => (await room.bytes(max - 20)).byteLength), await t(() => room.size(new Uint8Array(max))), await t(() => room.size(new Uint8Array(max - 30))), await t(async () => (await room.one('x'.repeat(max))).length), await t(async () => (await room.one([() => 1, new Uint8Array(max)])).length)]);
    return out;
  },
  async chains(rooms) {
    return Promise.all(rooms.map(async (room, i) => {
      const next = 'r' + ((i + 5) % rooms.length); const far = await room.via(next, 'counter', i);
      return [await far.inc(), await room.via(next, 'call', (x) => x + 1, i), await room.via(next, 'counter', i).inc(5), await room.via(next, 'one', (await room.counter(i))).inc(7), await (await room.one(rooms[(i + 1) % rooms.length])).counter(1).inc()];
    }));
  },
  async gates(rooms) {
    return Promise.all(rooms.map((room) => room.saveAndCall((x) => x + 1)));
  },
  async keep(rooms) {
    return Promise.all(rooms.map(async (room, i) => { await room.keep((x) => x + i); return room.useKept(1); }));
  },
  async useKept(rooms) {
    return Promise.all(rooms.map((room) => t(() => room.useKept(1))));
  },
  async abort(rooms) {
    return Promise.all(rooms.map(async (_, i) => { const room = rooms.fresh('z' + i); const c = await room.counter(1); const e = await t(() => room.abortMe()); return [e, await t(() => c.inc())]; }));
  },
  async services(rooms, env) {
    const s = await env.OTHER.session(); const r = [await s.next(), await s.next(), s.props, await env.OTHER.session().next(), await env.OTHER.call((x) => x * 2, 4), await t(() => env.OTHER.call(5))];
    return [...r, await rooms[0].call(async (o) => (await o.session()).props, env.OTHER), await rooms[1].call((room) => room.counter(3).inc(), rooms[2])];
  },
  async callbacks(rooms, env, url) {
    const n = Number(url.searchParams.get('n'));
    const sums = await Promise.all(rooms.map(async (room) => { let sum = 0; for (let i = 0; i < n; i++) await room.call((x) => { sum += x; }, 1); return sum; }));
    return sums.every((sum) => sum === n);
  },
};
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const rooms = Array.from({ length: 12 }, (_, i) => env.ROOM.getByName('r' + i));
    rooms.fresh = (name) => env.ROOM.getByName(name);
    return Response.json((await routes[url.pathname.slice(1)](rooms, env, url)) ?? null);
  },
};`;

let server;
before(async () => {
  server = await Holdfast.start({ args: ['--shards', '4'] });
  const room = { type: 'durable_object_namespace', name: 'ROOM', class_name: 'Room' };
  await server.deploy('other', { 'w.mjs': worker }, { bindings: [room], migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Room'] }] } });
  const other = { type: 'service', name: 'OTHER', service: 'other', entrypoint: 'Entry' };
  await server.deploy('rpc', { 'w.mjs': worker }, { bindings: [room, other], migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Room'] }] } });
});
after(() => server[Symbol.asyncDispose]());

const get = async (path) => {
  const answer = await server.fetch('rpc', path);
  assert.equal(answer.status, 200, `${path}: ${answer.text}\n${server.log.slice(-2000)}`);
  return answer.json();
};
const twelve = (make) => Array.from({ length: 12 }, (_, i) => make(i));
const unsupported = (type) => ['DataCloneError', `Could not serialize object of type "${type}". This type does not support serialization.`, true];
const gone = ['Error', 'The execution context which hosts this callback is no longer running.'];
const tooLarge = (bytes, remote) => ['Error', `Serialized RPC arguments or return values are limited to 32MiB, but the size of this value was: ${bytes} bytes.`, remote];

test('stubs, callbacks and pipelines on every shard', async () => {
  assert.deepEqual(await get('/basics'), twelve((i) => [i + 1, i + 1, i + 2, i * 3, i + 1, 1]));
});

test('order on every shard', async () => {
  assert.deepEqual(await get('/order'), twelve(() => [30, true, true]));
});

test('streams, requests and responses on every shard', async () => {
  assert.deepEqual(await get('/streams'), twelve(() => [true, 1_000_000, 201, 'b', 'body', 'PUT', 'q']));
});

test('errors with references, blobs, maps; what cannot be cloned; getters run once', async () => {
  for (const row of await get('/values')) {
    assert.deepEqual(row, [
      'RangeError', { a: 1 }, 'inside an error', 3, 'x/y', 'abc', 'in a map', ['DataCloneError', '#<WeakMap> could not be cloned.', true], ['DataCloneError', '[object Generator] could not be cloned.', true],
      ['DataCloneError', '#<Promise> could not be cloned.', true], unsupported('Foo'), unsupported('URL'), 5, 1, 1, 2, 2, ['RangeError', 'getter', false],
    ]);
  }
});

test('the limit of 32 MiB, here and between shards', { timeout: 120_000 }, async () => {
  for (const row of await get('/limit')) {
    assert.deepEqual(row, [tooLarge(33_554_447, true), 33_554_412, tooLarge(33_554_452, false), 33_554_402, tooLarge(33_554_444, false), row[5]]);
    assert.match(row[5][1], /^Serialized RPC arguments or return values are limited to 32MiB, but the size of this value was: 335\d+ bytes\.$/);
  }
});

test('references of a third party', async () => {
  assert.deepEqual(await get('/chains'), twelve((i) => [i + 1, i + 1, i + 5, i + 7, 2]));
});

test('callbacks wait for the output gate of the caller', async () => {
  assert.deepEqual(await get('/gates'), twelve(() => 2));
});

test('a kept callback works until its request has ended', async () => {
  assert.deepEqual(await get('/keep'), twelve((i) => i + 1));
  // The client may hear the answer before the request has ended on its shard.
  const ended = twelve(() => [...gone, true]);
  const until = Date.now() + 5000;
  let seen;
  do seen = await get('/useKept');
  while (!isDeepStrictEqual(seen, ended) && Date.now() < until);
  assert.deepEqual(seen, ended);
});

test('a reset breaks the stubs of every shard', async () => {
  assert.deepEqual(await get('/abort'), twelve(() => [['Error', 'over', false], [...gone, false]]));
});

test('another script: sessions, props, callbacks, stubs of it passed on', async () => {
  assert.deepEqual(await get('/services'), [1, 2, {}, 1, 8, ['TypeError', 'f is not a function', true], {}, 4]);
});

test('thousands of callbacks on every shard', { timeout: 120_000 }, async () => {
  assert.equal(await get('/callbacks?n=500'), true);
});
