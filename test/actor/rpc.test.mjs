// RPC by reference: stubs in both directions, pipelining, lifetime, streams, errors (spec 9). Each test runs on an object
// of this isolate ('here') and of another one ('there').
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from './harness.mjs';

function main({ DurableObject, WorkerEntrypoint, RpcTarget, RpcStub, RpcPromise, RpcProperty }) {
  const log = [];
  const describe = (e) => ({ name: e.name, message: e.message, ...Object.fromEntries(['remote', 'retryable', 'durableObjectReset'].filter((k) => e[k] !== undefined).map((k) => [k, e[k]])) });
  class Counter extends RpcTarget {
    constructor(n = 0) {
      super();
      this.n = n;
      this.own = () => 1;
    }
    inc(k = 1) {
      return (this.n += k);
    }
    get value() {
      return this.n;
    }
    fn() {
      return (x) => x * this.n;
    }
    boom() {
      throw new RangeError('boom');
    }
    async run(f) {
      return await f(this.n);
    }
    hang() {
      return new Promise(() => {});
    }
    [Symbol.dispose]() {
      log.push(`disposed ${this.n}`);
    }
  }
  class Obj extends DurableObject {
    notes = [];
    echo(...args) {
      return args;
    }
    one(x) {
      return x;
    }
    counter(n) {
      return new Counter(n);
    }
    async later(n) {
      await scheduler.wait(5);
      return new Counter(n);
    }
    fn() {
      return Object.assign((a) => a + 1, { prop: { x: 1 }, deep: { f: () => 'deep' } });
    }
    obj(n = 1) {
      return { a: 1, c: new Counter(n), deep: { f: () => 7 }, [Symbol.dispose]: () => log.push(`obj ${n}`) };
    }
    plain() {
      return { a: 1 };
    }
    num() {
      return 5;
    }
    note(x) {
      this.notes.push(x);
      return this.notes;
    }
    noter() {
      return (x) => this.note(x);
    }
    async readAll(x, stream) {
      this.note(x);
      return [x, await new Response(stream).text()];
    }
    async call(callback, ...args) {
      return await callback(...args);
    }
    async callTwice(callback) {
      return [await callback(1), await callback(2)];
    }
    async inc(counter, k) {
      return await counter.inc(k);
    }
    keep(callback) {
      this.kept?.[Symbol.dispose]();
      this.kept = callback.dup();
    }
    keepNoDup(callback) {
      this.kept = callback;
    }
    async useKept(...args) {
      return await this.kept(...args);
    }
    log() {
      return log.splice(0);
    }
    abortMe() {
      this.ctx.abort('aborted');
    }
    readable() {
      return new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('hi ')); c.enqueue(new TextEncoder().encode('there')); c.close(); } });
    }
    breaks() {
      return new ReadableStream({ pull(c) { c.error(new RangeError('stream broke')); } });
    }
    async writeTo(stream) {
      const writer = stream.getWriter();
      for (const text of ['foo, ', 'bar, ', 'baz!']) await writer.write(new TextEncoder().encode(text));
      await writer.close();
    }
    async abortWriter(stream) {
      await stream.abort(new RangeError('no more'));
    }
    dropWriter(stream) {
      return typeof stream.getWriter;
    }
    async text(body) {
      return await new Response(body).text();
    }
    response() {
      return new Response('body', { status: 201, headers: { a: 'b' } });
    }
    async readResponse(response) {
      return [response.status, response.headers.get('a'), await response.text()];
    }
    async readRequest(request) {
      return [request.method, request.url, request.headers.get('a'), await request.text()];
    }
    throwRich() {
      throw Object.assign(new TypeError('rich', { cause: new Error('why') }), { extra: { a: [1] }, name: 'Mine' });
    }
    richError() {
      return Object.assign(new RangeError('rich', { cause: new Error('why') }), { extra: { a: [1] } });
    }
    big(n) {
      return new Uint8Array(n);
    }
    counts(counts) {
      let n = 0;
      return { get g() { return ++n; }, f: () => n, counts };
    }
    make(what) {
      const values = {
        symbol: Symbol('s'), weak: new WeakMap(), generator: (function* () {})(), instance: new (class Foo {})(), bare: Object.create(null), url: new URL('http://x'), form: new FormData(),
        promise: { p: Promise.resolve(1) }, id: { id: this.ctx.id }, signal: new AbortController().signal, socket: { ws: new WebSocketPair()[0] },
        upgrade: new Response(null, { status: 101, webSocket: new WebSocketPair()[0] }), proxyOfArray: new Proxy([], {}), file: new File([], 'x'),
      };
      return values[what];
    }
    proxies() {
      return { plain: new Proxy({ a: 1 }, {}), target: new Proxy(new Counter(9), {}), fn: new Proxy(() => 3, {}) };
    }
    nestedPromise(callback) {
      return { v: callback() };
    }
    nestedProperty(callback) {
      return { v: callback.foo };
    }
    async writeAndCall(callback) {
      this.ctx.storage.put('x', 1);
      const dup = callback.dup();
      const result = dup(1);
      dup[Symbol.dispose]();
      return await result;
    }
    forward(name, method, ...args) {
      return this.env.Obj.getByName(name)[method](...args);
    }
    wrapped() {
      return { stub: new RpcStub({ get later() { return Promise.resolve({ deep: 1 }); }, f: async () => ({ x: 'x' }) }) };
    }
    async pipelineOn(callback) {
      return await callback().counter.inc(3);
    }
  }
  class Entry extends WorkerEntrypoint {
    count = 0;
    who() {
      return this.ctx.props;
    }
    counter(n) {
      return new Counter(n);
    }
    session() {
      return { next: () => ++this.count };
    }
    keep(callback) {
      const kept = callback.dup();
      return { call: (x) => kept(x), [Symbol.dispose]: () => kept[Symbol.dispose]() };
    }
  }
  return {
    Obj,
    Entry,
    default: {
      async fetch(request, env, ctx) {
        const name = new URL(request.url).searchParams.get('name');
        const t = async (f) => {
          try {
            return await f();
          } catch (error) {
            return describe(error);
          }
        };
        const AsyncFunction = (async () => {}).constructor;
        const names = ['env', 'ctx', 'stub', 't', 'log', 'Counter', 'RpcStub', 'RpcTarget', 'RpcPromise', 'RpcProperty', 'describe'];
        const run = new AsyncFunction(...names, await request.text());
        return Response.json((await run(env, ctx, env.Obj.getByName(name), t, log, Counter, RpcStub, RpcTarget, RpcPromise, RpcProperty, describe)) ?? null);
      },
      async simple(arg, env, ctx) {
        return arg;
      },
    },
  };
}

let isolate;
const places = {};
before(async () => {
  isolate = await start(main, { classes: { Obj: true }, shards: 2, bindings: [{ name: 'ENTRY', kind: 'service', script: 'main', entrypoint: 'Entry', props: '{"a":1}' }, { name: 'OTHER', kind: 'service', script: 'other', entrypoint: 'Entry', props: '' }], others: { other: main } });
  for (let i = 0; Object.keys(places).length < 2; i++) {
    const id = await run(`p${i}`, `return env.Obj.idFromName('p${i}').toString()`);
    places[Buffer.from(id, 'hex').readUInt32LE(0) % 2 === 0 ? 'here' : 'there'] = `p${i}`;
  }
});
after(() => isolate.stop());

const run = (name, code, on = isolate) => on.json(`/?name=${name}`, { method: 'POST', body: code });
const both = (name, body) => {
  for (const place of ['here', 'there']) test(`${name} (${place})`, () => body(places[place], place));
};

const error = (message, more = {}) => ({ name: 'Error', message, ...more });
const typeError = (message, more = {}) => ({ name: 'TypeError', message, remote: true, ...more });
const missing = (name) => typeError(`The RPC receiver does not implement the method "${name}".`);
const cloneError = (message, more = {}) => ({ name: 'DataCloneError', message, ...more });
const kUsed = error('RPC stub used after being disposed.');

both('functions and targets come back as stubs', async (name) => {
  assert.deepEqual(
    await run(name, `const f = await stub.fn(); const c = await stub.counter(4); const o = await stub.obj();
      return [typeof f, f instanceof RpcStub, await f(1), await f.prop, await f.prop.x, await f.deep.f(), await c.inc(2), await c.value, await (await c.fn())(2), await o.c.inc(), await o.deep.f(), o.a, [await t(() => c.own), await t(() => c.own()), await t(() => c.nope())], await t(() => c()), await t(() => c.boom()), String(c), String(c.x)]`),
    ['function', true, 2, { x: 1 }, 1, 'deep', 6, 6, 12, 2, 7, 1, [missing('own'), missing('own'), missing('nope')], typeError('"(this)" is not a function.'),
      { name: 'RangeError', message: 'boom', remote: true }, '[object JsRpcStub]', '[object JsRpcProperty]'],
  );
});

both('functions and targets are passed as arguments', async (name) => {
  assert.deepEqual(
    await run(name, `const c = new Counter(1); let seen = []; const self = { f() { return this === undefined ? 'none' : typeof this; } };
      return [await stub.call((a, b) => a + b, 1, 2), await stub.call(async (x) => { await scheduler.wait(1); return { x, g: () => 'g' }; }, 5).then(async (r) => [r.x, await r.g()]), await stub.inc(c, 5), c.n,
        await stub.call(function () { return this.q; }.bind({ q: 8 })), await t(() => stub.call(() => { throw new RangeError('from the callback'); })), await stub.callTwice((n) => seen.push(n)), seen]`),
    [3, [5, 'g'], 6, 6, 8, { name: 'RangeError', message: 'from the callback', remote: true }, [1, 2], [1, 2]],
  );
});

both('values around references keep identity, cycles, maps and sets; getters run once', async (name) => {
  assert.deepEqual(
    await run(name, `const f = () => 1; const a = { list: [f, { f }], map: new Map([['k', f], [f, 'v']]), set: new Set([f, 2]) }; a.self = a; a.list.push(a.list);
      const [b] = await stub.echo(a); const keys = [...b.map.keys()];
      const g = await stub.counts(1);
      let n = 0; const lazy = { get x() { return ++n; }, f: () => n }; const [back] = await stub.echo(lazy);
      return [b.self === b, b.list[2] === b.list, b.list[0] === b.list[1].f, await b.list[0](), b.map.get('k') === b.list[0], keys[1] === b.list[0], [...b.set][0] === b.list[0], [...b.set][1], await b.map.get('k')(),
        g.g, await g.f(), back.x, n, await back.f()]`),
    [true, true, true, 1, true, true, true, 2, 1, 1, 1, 1, 1, 1],
  );
});

both('promise pipelining: one trip, errors, results without members', async (name) => {
  assert.deepEqual(
    await run(name, `const p = stub.counter(12); const q = stub.num(); const r = stub.plain();
      const early = [await stub.counter(12).inc(3), await stub.later(1).inc(4), await stub.obj().deep.f(), await stub.obj().a, await stub.fn()(4), await stub.fn().prop.x, await stub.counter(3).fn()(5), await stub.pipelineOn(() => ({ counter: new Counter(1) }))];
      const failures = [await t(() => stub.nope().x.y()), await t(() => stub.counter(1).boom().x()), await t(() => stub.plain().b()), await t(() => stub.plain()()), await t(() => stub.num().foo())];
      await q; await r;
      return [early, failures, await t(() => q.foo()), await r.a, await t(() => r.b), p instanceof RpcPromise, p.x instanceof RpcProperty, typeof p, p instanceof Promise, String(p)]`),
    [
      [15, 5, 7, 1, 5, 1, 15, 4],
      [missing('nope'), { name: 'RangeError', message: 'boom', remote: true }, missing('b'), typeError('"(this)" is not a function.'), missing('foo')],
      { name: 'TypeError', message: "Can't pipeline on RPC that did not return an object." }, 1, missing('b'), true, true, 'function', false, '[object JsRpcPromise]',
    ],
  );
});

test('a path has its limit', async () => {
  assert.deepEqual(
    await run('path', `const far = (from, n) => { for (let i = 0; i < n; i++) from = from.x; return from; }; const deep = { v: 1 }; let at = deep; for (let i = 0; i < 70; i++) at = at.x = { v: i };
      return [await far(stub.one(deep), 64).v, await t(() => far(stub.one(deep), 65).v), await t(() => far(stub, 66)())]`),
    [63, { name: 'TypeError', message: 'RPC pipelined property path is too deep (max 64).' }, { name: 'TypeError', message: 'RPC pipelined property path is too deep (max 64).' }],
  );
});

both('calls through stubs inside a result', async (name) => {
  assert.deepEqual(await run(name, `return [await stub.wrapped().stub.later, await stub.wrapped().stub.f(), await stub.wrapped().stub.f().x]`), [{ deep: 1 }, { x: 'x' }, 'x']);
});

both('calls on a result that come when it has just been answered are made on the copy, in order', async (name) => {
  assert.deepEqual(
    await run(name, `const spin = () => { let x = 0; for (let i = 0; i < 6e7; i++) x += i; return x; };
      const p = stub.counter(1); const o = stub.obj(); const n = stub.num(); const bad = stub.nope(); bad.catch(() => {}); spin();
      const q = p.inc(); const r = p.run((x) => x * 2); const v = o.c.inc(4); const w = n.foo(); const z = bad.x(); z.catch(() => {}); w.catch(() => {});
      const c = await p; const s = c.inc(100);
      return [await q, await r, await s, await v, await t(() => w), await t(() => z)]`),
    [2, 4, 102, 5, missing('foo'), missing('nope')],
  );
});

both('order: calls, calls on results, stubs and streams arrive as they were made', async (name) => {
  assert.deepEqual(
    await run(`order${name}`, `const body = (text) => new ReadableStream({ async start(c) { await scheduler.wait(2); c.enqueue(new TextEncoder().encode(text)); c.close(); } });
      const noter = stub.noter(); const all = [];
      for (let i = 0; i < 60; i += 6) all.push(stub.note(i), noter(i + 1), stub.readAll(i + 2, body('x')), stub.echo({ f: () => 1 }) && stub.note(i + 3), noter(i + 4), stub.note(i + 5));
      const held = await noter; const more = [held(60), stub.note(61), held(62)];
      await Promise.all([...all, ...more]);
      const notes = await stub.note(-1); const of = (list) => notes.filter((n) => list(n)); const sorted = (list) => list.every((n, i) => i === 0 || list[i - 1] < n);
      notes.pop();
      return [notes.length, sorted(of((n) => [0, 2, 3, 5].includes(n % 6) && n < 60)), sorted(of((n) => [1, 4].includes(n % 6) || n === 60 || n === 62))]`),
    [63, true, true],
  );
});

both('disposal: stubs, results, parameters, targets', async (name) => {
  // Others of this isolate may be let go meanwhile: ours count from 1000.
  assert.deepEqual(
    await run(name, `const settle = () => scheduler.wait(20); const ours = (list) => list.filter((line) => Number(line.split(' ')[1]) >= 1000);
      const theirs = async () => ours(await stub.log()); await theirs(); log.splice(0);
      const c = await stub.counter(1012); await c.inc(3); c[Symbol.dispose](); const used = await t(() => c.inc(2)); await settle(); const l1 = await theirs();
      const o = await stub.obj(1001); const dup = o.c.dup(); o[Symbol.dispose](); const used2 = [await t(() => o.c.inc()), await dup.inc()]; await settle(); const l2 = await theirs(); dup[Symbol.dispose](); await settle(); const l3 = await theirs();
      const mine = new Counter(1003); await stub.inc(mine, 5); await settle(); const l4 = ours(log.splice(0));
      await stub.keep((x) => x + 1); const kept = await stub.useKept(1); await stub.keepNoDup(() => 1); const notKept = await t(() => stub.useKept(1));
      const p = stub.counter(1007); const q = p.inc(); p[Symbol.dispose](); const r = [await q, await t(() => p.inc())]; await settle(); const l5 = await theirs();
      return [used, l1, used2, l2, l3, l4, kept, notKept, r, l5, typeof (await stub.plain())[Symbol.dispose]]`),
    [kUsed, ['disposed 1015'], [kUsed, 1002], ['obj 1001'], ['disposed 1002'], ['disposed 1008'], 2, { ...kUsed, remote: true }, [1008, error('RPC promise used after being disposed.')], ['disposed 1008'], 'function'],
  );
});

both('who owns a stub that is passed', async (name) => {
  assert.deepEqual(
    await run(name, `log.splice(0); const stub1 = new RpcStub(new Counter(1)); const r = [await stub.inc(stub1, 1), await stub.inc(stub1, 1), await stub1.inc()]; await scheduler.wait(20); const before = log.splice(0); stub1[Symbol.dispose](); await scheduler.wait(20);
      class Dup extends Counter { dup() { log.push('dup'); return new Dup(this.n); } } const d = new Dup(50); await stub.inc(d, 1); await scheduler.wait(20);
      const wrong = [Object.assign(new Counter(1), { dup: () => 1 }), Object.assign(() => 1, { dup: () => 1 })]; const errors = []; for (const w of wrong) errors.push((await t(() => stub.one(w))).message);
      const back = await stub.one(new RpcStub(new Counter(20))); const x = await back.inc();
      return [r, before, log.splice(0), d.n, errors, x]`),
    [[2, 3, 4], [], ['disposed 4', 'dup', 'disposed 51'], 50,
      ["Couldn't create a stub for the RcpTarget because it has a dup() method which did not return another RpcTarget. Either remove the dup() method or make sure it returns an RpcTarget.",
        "Couldn't create a stub for the function because it has a dup() method which did not return another function. Either remove the dup() method or make sure it returns a function."], 21],
  );
});

both('a call that waits for the output gate is not lost with its stub', async (name) => {
  assert.equal(await run(name, `return await stub.writeAndCall((x) => x + 1)`), 2);
});

both('a reset breaks the stubs of an object', async (name) => {
  assert.deepEqual(
    await run(`reset${name}`, `const f = await stub.fn(); const c = await stub.counter(1); const hanging = t(() => c.hang()); await f(1); const abort = await t(() => stub.abortMe());
      return [abort, await hanging, await t(() => f(1)), await t(() => c.inc())]`),
    [error('aborted', { durableObjectReset: true }), error('aborted', { remote: true, durableObjectReset: true }), error('The execution context which hosts this callback is no longer running.'), error('The execution context which hosts this callback is no longer running.')],
  );
});

both('a callback of a request that has ended', async (name) => {
  await run(name, `await stub.keep((x) => x + 1); return await stub.useKept(1)`);
  assert.deepEqual(await run(name, `return await t(() => stub.useKept(1))`), error('The execution context which hosts this callback is no longer running.', { remote: true }));
});

both('streams move both ways', async (name) => {
  assert.deepEqual(
    await run(name, `const text = (s) => new Response(s).text(); const { readable, writable } = new IdentityTransformStream();
      const [written] = await Promise.all([text(readable), stub.writeTo(writable)]);
      const read = await text(await stub.readable());
      const other = new IdentityTransformStream(); const sent = stub.text(other.readable); const writer = other.writable.getWriter(); await writer.write(new TextEncoder().encode('abc')); await writer.close();
      const round = new IdentityTransformStream(); const rr = await stub.one(round.readable), rw = await stub.one(round.writable); const reading = text(rr); const w = rw.getWriter(); await w.write(new TextEncoder().encode('round')); await w.close();
      const locked = new ReadableStream(); locked.getReader(); const lockedW = new WritableStream(); lockedW.getWriter();
      const broke = await t(async () => text(await stub.breaks()));
      let reason; await stub.abortWriter(new WritableStream({ abort(r) { reason = describe(r); } }));
      let dropped; await stub.dropWriter(new WritableStream({ abort(r) { dropped = r.message; } }));
      return [written, read, await sent, await reading, await t(() => stub.text(locked)), await t(() => stub.writeTo(lockedW)), broke, reason, locked.locked]`),
    ['foo, bar, baz!', 'hi there', 'abc', 'round', { name: 'TypeError', message: 'The ReadableStream has been locked to a reader.' }, { name: 'TypeError', message: 'The WritableStream has been locked to a writer.' },
      error('ReadableStream received over RPC disconnected prematurely.'), error('WritableStream received over RPC was disconnected because the remote execution context has ended.', { retryable: true }), true],
  );
});

both('requests, responses, headers, errors', async (name) => {
  assert.deepEqual(
    await run(name, `const r = await stub.response(); const e = await stub.richError(); const h = await stub.one(new Headers([['a', 'b'], ['set-cookie', 'x'], ['set-cookie', 'y']]));
      const thrown = await stub.throwRich().catch((x) => x);
      return [r instanceof Response, r.status, r.headers.get('a'), await r.text(), await stub.readResponse(new Response('abc', { status: 202, headers: { a: '1' } })), await stub.readRequest(new Request('http://h/p', { method: 'PUT', headers: { a: '2' }, body: 'def' })),
        h instanceof Headers, [...h], e instanceof RangeError, e.message, e.extra, e.cause.message, e.remote ?? null, thrown instanceof Error, thrown.name, thrown.extra, thrown.cause.message, thrown.remote,
        await stub.one(new DOMException('d', 'AbortError')).then((d) => [d instanceof DOMException, d.name, d.message])]`),
    [true, 201, 'b', 'body', [202, '1', 'abc'], ['PUT', 'http://h/p', '2', 'def'], true, [['a', 'b'], ['set-cookie', 'x'], ['set-cookie', 'y']], true, 'rich', { a: [1] }, 'why', null, true, 'Mine', { a: [1] }, 'why', true, [true, 'AbortError', 'd']],
  );
});

both('what cannot be passed', async (name) => {
  const unsupported = (type) => cloneError(`Could not serialize object of type "${type}". This type does not support serialization.`, { remote: true });
  assert.deepEqual(
    await run(name, `const all = []; for (const what of ['instance', 'bare', 'url', 'form', 'id', 'signal', 'socket', 'upgrade', 'proxyOfArray', 'file']) all.push(await t(() => stub.make(what)));
      const f = Object.assign(() => ({ x: 1 }), { foo: { y: 2 } });
      return [all, (await t(() => stub.make('symbol'))).message, (await t(() => stub.make('weak'))).name, (await t(() => stub.make('generator'))).name, (await t(() => stub.make('promise'))).name, await t(() => stub.nestedPromise(f)), await t(() => stub.nestedProperty(f)),
        await t(() => new RpcStub(5)), await t(() => new RpcStub(new Map())), await new RpcStub({ a: 1, f: () => 4 }).f(), await t(() => new RpcPromise())]`),
    [
      [unsupported('Foo'), unsupported('Object'), unsupported('URL'), unsupported('FormData'), unsupported('DurableObjectId'), cloneError('AbortSignal serialization is not enabled.', { remote: true }), unsupported('WebSocket'), unsupported('WebSocket'),
        cloneError("Proxy could not be serialized because it is not a valid RPC receiver type. The Proxy must emulate either a plain object or an RpcTarget, as indicated by the Proxy's prototype chain.", { remote: true }), unsupported('File')],
      'Symbol(s) could not be cloned.', 'DataCloneError', 'DataCloneError', 'DataCloneError', unsupported('RpcPromise'), unsupported('RpcProperty'),
      { name: 'TypeError', message: "Failed to construct 'JsRpcStub': constructor parameter 1 is not of type 'Object'." }, { name: 'TypeError', message: 'RpcStubs can only wrap plain objects, functions, and RpcTarget derivatives.' }, 4, { name: 'TypeError', message: 'Illegal constructor' },
    ],
  );
});

both('proxies are passed by reference', async (name) => {
  assert.deepEqual(await run(name, `const p = await stub.proxies(); return [await p.plain.a, await t(() => p.plain.b), await p.target.value, await p.target.inc(), await p.fn()]`), [1, missing('b'), 9, 10, 3]);
});

both('stubs of objects and services can be passed; third parties', async (name) => {
  assert.deepEqual(
    await run(name, `const d = await stub.one(stub); const e = await stub.one(env.ENTRY); const o = await stub.one(env.OTHER);
      const far = await stub.forward('third', 'counter', 30); const n = await far.inc(); const viaCallback = await stub.forward('third', 'call', (x) => x * 2, 21); const deep = await stub.forward('third', 'forward', 'fourth', 'call', (f) => 'from afar');
      const relayed = await stub.one(await env.Obj.getByName('third').counter(5)); const m = await relayed.inc(2);
      return [String(d), Object.keys(d), d.name instanceof RpcProperty, await d.num(), await e.who(), await o.who(), n, viaCallback, deep, m, await stub.forward('third', 'later', 8).inc()]`),
    ['[object Fetcher]', [], true, 5, { a: 1 }, {}, 31, 42, 'from afar', 7, 9],
  );
});

for (const binding of ['ENTRY', 'OTHER']) {
  test(`entrypoints: a session lives as long as its stubs (${binding})`, async () => {
    assert.deepEqual(
      await run('x', `const s = await env.${binding}.session(); await scheduler.wait(20); const r = [await s.next(), await s.next(), await (await env.${binding}.session()).next()]; s[Symbol.dispose](); await scheduler.wait(20);
        const c = await env.${binding}.counter(4); r.push(await c.inc(), await env.${binding}.counter(1).inc(), await t(() => s.next()));
        let sum = 0; const k = await env.${binding}.keep((x) => (sum += x)); await scheduler.wait(20); r.push(await k.call(1), await k.call(2)); k[Symbol.dispose]();
        return r`),
      [1, 2, 1, 5, 2, kUsed, 1, 3],
    );
  });
}

test('before 2026-01-20 a stub that is passed is given away; before 2026-04-21 errors are bare', async () => {
  const old = await start(main, { classes: { Obj: true }, shards: 2, date: '2025-12-01' });
  try {
    for (const name of ['a', 'b', 'c', 'd']) {
      const [first, again, e] = await run(name, `const s = new RpcStub(new Counter(1)); return [await stub.inc(s, 1), await t(() => s.inc()), await stub.throwRich().catch((e) => [e.name, e.message, e.extra ?? null, e.cause ?? null])]`, old);
      assert.deepEqual([first, again, e], [2, kUsed, ['Error', 'Mine: rich', null, null]]);
    }
  } finally {
    await old.stop();
  }
});
