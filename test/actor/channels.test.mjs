// Calls between isolates: objects of other shards, other scripts, bodies both ways, isolates that end (spec 1.4, 1.5, 9).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sleep, start, until } from './harness.mjs';

function main({ DurableObject, RpcTarget }) {
  const describe = (error) => ({
    name: error.name, message: error.message,
    ...Object.fromEntries(['remote', 'retryable', 'durableObjectReset', 'code'].filter((k) => error[k] !== undefined).map((k) => [k, error[k]])),
  });
  class Subject extends DurableObject {
    log = [];
    own = 5;
    arrow = () => 1;
    get property() {
      return { deep: { value: 7, f: (x) => x + 1 } };
    }
    jurisdiction() {
      return [this.ctx.id.name, this.ctx.id.jurisdiction];
    }
    note(x) {
      this.log.push(x);
      return this.log;
    }
    echo(...args) {
      return args;
    }
    fail() {
      throw Object.assign(new RangeError('far away'), { code: 42 });
    }
    text() {
      throw 'just text';
    }
    fn() {
      return { inner: () => 1 };
    }
    target() {
      return new (class Target extends RpcTarget {})();
    }
    stream() {
      return new ReadableStream();
    }
    put() {
      this.ctx.storage.put('x', 1);
      return { written: true };
    }
    abort() {
      this.ctx.abort('aborted there');
    }
    hang() {
      return new Promise(() => {});
    }
    broadcastLog() {
      return this.log;
    }
    async fetch(request) {
      const url = new URL(request.url);
      if (url.pathname === '/throw') throw new TypeError('fetch failed');
      if (url.pathname === '/length') {
        const bytes = await request.arrayBuffer();
        return new Response(String(bytes.byteLength));
      }
      if (url.pathname === '/upper') {
        return new Response(request.body.pipeThrough(new TextDecoderStream()).pipeThrough(new TransformStream({ transform: (c, k) => k.enqueue(c.toUpperCase()) })).pipeThrough(new TextEncoderStream()));
      }
      if (url.pathname === '/big') {
        const chunk = new Uint8Array(50_000).fill(65);
        let left = 100;
        return new Response(new ReadableStream({ pull: (c) => (left-- > 0 ? c.enqueue(chunk.slice()) : c.close()) }));
      }
      if (url.pathname === '/endless') {
        return new Response(new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(1000)), cancel: () => void this.log.push('cancelled') }));
      }
      if (url.pathname === '/breaks') {
        let n = 0;
        return new Response(new ReadableStream({ pull: (c) => (n++ < 2 ? c.enqueue(new Uint8Array(10)) : c.error(new RangeError('stream broke'))) }));
      }
      if (url.pathname === '/redirect') return Response.redirect(new URL(url.searchParams.get('to'), url), Number(url.searchParams.get('status')));
      if (url.pathname === '/loop') return Response.redirect(url.href);
      return Response.json({ method: request.method, url: request.url, header: request.headers.get('x-a'), redirect: request.redirect, body: await request.text(), cf: request.cf?.colo ?? null }, { status: 201, headers: { 'x-b': 'c' } });
    }
  }
  class Legacy {
    constructor(state) {
      this.state = state;
    }
  }
  const kept = new Map();
  return {
    Subject,
    Legacy,
    default: {
      async fetch(request, env) {
        const url = new URL(request.url);
        const AsyncFunction = (async () => {}).constructor;
        const t = async (f) => {
          try {
            return ['ok', await f()];
          } catch (error) {
            return describe(error);
          }
        };
        const code = await request.text();
        const name = url.searchParams.get('name');
        const stub = () => env.Subject.getByName(name);
        return Response.json((await new AsyncFunction('env', 'stub', 't', 'kept', 'describe', code)(env, stub, t, kept, describe)) ?? null);
      },
    },
  };
}

function other({ WorkerEntrypoint }) {
  return {
    default: {
      async fetch(request, env, ctx) {
        if (new URL(request.url).pathname === '/throw') throw new RangeError('service failed');
        return new Response(`other: ${await request.text()}`);
      },
      async simple(arg, env, ctx) {
        return ['simple', arg, Object.keys(env), typeof ctx.waitUntil];
      },
      async wrong(arg, more, env, ctx) {},
    },
    Named: class extends WorkerEntrypoint {
      add(a, b) {
        return a + b + (this.ctx.props.plus ?? 0);
      }
      whoami() {
        return this.ctx.props;
      }
    },
  };
}

let isolate;
const places = {};
before(async () => {
  isolate = await start(main, {
    classes: { Subject: true, Legacy: true },
    shards: 2,
    others: { other },
    bindings: [
      { name: 'OTHER', kind: 'service', script: 'other', entrypoint: '', props: '' },
      { name: 'NAMED', kind: 'service', script: 'other', entrypoint: 'Named', props: '{"plus":100}' },
      { name: 'NOWHERE', kind: 'service', script: 'nowhere', entrypoint: '', props: '' },
    ],
  });
  // One object of each shard, seen from shard 0.
  for (let i = 0; Object.keys(places).length < 2; i++) {
    const id = await run(`p${i}`, `return stub().id.toString()`);
    places[Buffer.from(id, 'hex').readUInt32LE(0) % 2 === 0 ? 'here' : 'there'] = `p${i}`;
  }
});
after(() => isolate.stop());

const run = (name, code, on = isolate) => on.json(`/?name=${name}`, { method: 'POST', body: code });
const both = (name, body) => {
  for (const place of ['here', 'there']) test(`${name} (${place})`, () => body(places[place], place));
};

both('arguments and results are copies', async (name) => {
  const code = `const a = { x: [1, new Date(0), new Map([[1, 2]])] }; a.self = a; const [b] = await stub().echo(a);
    return [b !== a, b.self === b, b.x[1] instanceof Date, b.x[2].get(1), await stub().echo(), await stub().echo(undefined, null, 'x', 5n).then((r) => [r.length, typeof r[3]])]`;
  assert.deepEqual(await run(name, code), [true, true, true, 2, [], [4, 'bigint']]);
});

both('errors keep class, text and properties', async (name) => {
  assert.deepEqual(await run(name, `return [await t(() => stub().fail()), await t(() => stub().text()), await stub().fail().catch((e) => e.durableObjectId === stub().id.toString() && e.stack.includes('far away'))]`), [
    { name: 'RangeError', message: 'far away', remote: true, code: 42 },
    { name: 'Error', message: 'just text', remote: true },
    true,
  ]);
});

both('what may be reached', async (name) => {
  const missing = (what) => ({ name: 'TypeError', message: `The RPC receiver does not implement the method "${what}".`, remote: true });
  assert.deepEqual(
    await run(name, `const s = stub(); return [await t(() => s.nope()), await t(() => s.own), await t(() => s.arrow()), await t(() => s.alarm()), await s.property.deep.value,
      await s.property.deep.f(1), await t(() => s.property()), await t(() => s.property.deep.nope.x), (await s.property.deep.value.toString) === undefined,
      await t(() => env.Legacy.getByName('x').foo()), await t(() => env.Legacy.getByName('x').fetch('http://x'))]`),
    [
      missing('nope'), missing('own'), missing('arrow'),
      { name: 'TypeError', message: "'alarm' is a reserved method and cannot be called over RPC.", remote: true },
      7, 2, { name: 'TypeError', message: '"property" is not a function.', remote: true }, missing('nope'), false,
      { name: 'TypeError', message: 'The receiving Durable Object does not support RPC, because its class was not declared with `extends DurableObject`. In order to enable RPC, make sure your class extends the special class `DurableObject`, which can be imported from the module "cloudflare:workers".', remote: true },
      { name: 'Error', message: 'Handler does not export a fetch() function.', remote: true },
    ],
  );
});

both('calls arrive in order, also when the first had to wait for the output gate', async (name) => {
  assert.deepEqual(await run(name, `const s = stub(); const all = []; for (let i = 0; i < 20; i++) all.push(s.note(i)); return (await Promise.all(all)).at(-1)`), Array.from({ length: 20 }, (_, i) => i));
});

both('fetch carries everything both ways', async (name) => {
  assert.deepEqual(
    await run(name, `const r = await stub().fetch(new Request('https://host/p?q', { method: 'PUT', body: 'text', headers: { 'X-A': 'v' }, cf: { colo: 'X' } }));
      return [r.status, r.headers.get('x-b'), r.url, r.redirected, await r.json()]`),
    [201, 'c', 'https://host/p?q', false, { method: 'PUT', url: 'https://host/p?q', header: 'v', redirect: 'manual', body: 'text', cf: 'X' }],
  );
  assert.deepEqual(await run(name, `return await t(() => stub().fetch('http://x/throw'))`), { name: 'TypeError', message: 'fetch failed', remote: true });
});

both('bodies stream, with back-pressure, end, error and cancellation', async (name) => {
  assert.deepEqual(
    await run(name, `
      const body = () => new ReadableStream({ async start(c) { for (const x of ['ab', 'cd', 'ef']) { c.enqueue(new TextEncoder().encode(x)); await scheduler.wait(1); } c.close(); } });
      const upper = await (await stub().fetch('http://x/upper', { method: 'POST', body: body() })).text();
      const big = (await (await stub().fetch('http://x/big')).arrayBuffer()).byteLength;
      const length = await (await stub().fetch('http://x/length', { method: 'POST', body: new ReadableStream({ n: 0, pull(c) { this.n++ < 50 ? c.enqueue(new Uint8Array(20000)) : c.close() } }) })).text();
      const endless = await stub().fetch('http://x/endless');
      const reader = endless.body.getReader(); const { value } = await reader.read(); await reader.cancel();
      for (let i = 0; i < 200 && !(await stub().broadcastLog()).includes('cancelled'); i++) await scheduler.wait(2);
      const broke = await t(async () => (await stub().fetch('http://x/breaks')).arrayBuffer());
      return [upper, big, length, value.byteLength, (await stub().broadcastLog()).includes('cancelled'), broke]`),
    ['ABCDEF', 5_000_000, '1000000', 1000, true, { name: 'RangeError', message: 'stream broke', remote: true }],
  );
});

both('redirects are followed to the same object', async (name) => {
  const visited = Array(21).fill('http://x/loop').join(', ');
  assert.deepEqual(
    await run(name, `const s = stub();
      const get = async (r) => { const x = await r.json(); return [r.redirected, r.url, x.method, x.body] };
      return [await get(await s.fetch('http://x/redirect?status=302&to=/landed', { method: 'POST', body: 'b' })), await get(await s.fetch('http://x/redirect?status=307&to=/l2', { method: 'POST', body: 'b' })),
        (await s.fetch('http://x/redirect?status=302&to=/x', { redirect: 'manual' })).status, await t(() => s.fetch('http://x/loop')), await t(() => s.fetch('/rel'))]`),
    [[true, 'http://x/landed', 'GET', ''], [true, 'http://x/l2', 'POST', 'b'], 302, { name: 'TypeError', message: `Too many redirects.${visited}` }, { name: 'TypeError', message: 'Invalid URL: /rel' }],
  );
});

both('a reset breaks the stub, not the next one', async (name) => {
  const broken = { name: 'Error', message: 'aborted there', durableObjectReset: true };
  assert.deepEqual(
    await run(name, `const s = stub(); await s.note('x'); const hanging = t(() => s.hang()); const first = await t(() => s.abort()); return [first, await hanging, await t(() => s.note('y')), await t(() => s.fetch('http://x/')), await t(() => stub().note('z'))]`),
    [broken, broken, broken, broken, ['ok', ['z']]],
  );
});

test('stubs look as they should', async () => {
  assert.deepEqual(
    await run('look', `const s = stub(); s.mine = 1;
      return [Object.keys(env.Subject.getByName('q')).sort(), 'anything' in s, Object.hasOwn(s, 'anything'), typeof s.then, typeof s.foo, s.mine, String(s), String(s.foo), s.constructor.name,
        await t(() => s.constructor()), (await s) === s, typeof env.OTHER.fetch, String(env.OTHER), Object.keys(env.OTHER), env.Subject instanceof Object, 'idFromName' in env.Subject, s.hasOwnProperty('x')]`),
    [['id', 'name'], true, false, 'undefined', 'function', 1, '[object DurableObject]', '[object JsRpcProperty]', 'DurableObject', { name: 'TypeError', message: 'Illegal constructor' }, true, 'function', '[object Fetcher]', [], true, true, false],
  );
});

test('namespaces and ids', async () => {
  assert.deepEqual(
    await run('ids', `const ns = env.Subject; const id = ns.idFromName('a');
      return [id.equals(ns.idFromString(id.toString().toUpperCase())), ns.idFromString(id.toString()).name ?? null, id.name, ns.newUniqueId().toString().length,
        await t(() => ns.idFromString('zz')), await t(() => ns.idFromString('0'.repeat(64))), await t(() => ns.get('x')), await t(() => ns.get(id, { routingMode: 'x' })), await t(() => ns.idFromName()),
        await t(() => id.equals('x')), await t(() => ns.get(env.Legacy.idFromName('a')))]`),
    [
      true, null, 'a', 64,
      { name: 'TypeError', message: 'Invalid Durable Object ID: must be 64 hex digits' },
      { name: 'TypeError', message: 'Durable Object ID is not valid for this namespace.' },
      { name: 'TypeError', message: "Failed to execute 'get' on 'DurableObjectNamespace': parameter 1 is not of type 'DurableObjectId'." },
      { name: 'RangeError', message: 'unknown routingMode: x' },
      { name: 'TypeError', message: "Failed to execute 'idFromName' on 'DurableObjectNamespace': parameter 1 is not of type 'string'." },
      { name: 'TypeError', message: "Failed to execute 'equals' on 'DurableObjectId': parameter 1 is not of type 'DurableObjectId'." },
      { name: 'TypeError', message: 'Durable Object ID is not valid for this namespace.' },
    ],
  );
});

test('jurisdictions', async () => {
  assert.deepEqual(
    await run('jurisdictions', `const ns = env.Subject; const eu = ns.jurisdiction('eu'); const us = ns.jurisdiction('us');
      const plain = ns.idFromName('a'); const inEu = eu.idFromName('a'); const unique = ns.newUniqueId({ jurisdiction: 'fedramp-high' });
      const inside = eu.getByName('a'); const [name, jurisdiction] = await inside.jurisdiction();
      return [plain.jurisdiction ?? null, inEu.jurisdiction, unique.jurisdiction, inEu.equals(plain), us.idFromName('a').equals(inEu), ns.jurisdiction('eu').idFromName('a').equals(inEu),
        ns.idFromString(String(inEu).toUpperCase()).jurisdiction, ns.get(inEu).id.jurisdiction, eu.newUniqueId().jurisdiction, eu.newUniqueId({ jurisdiction: 'eu' }).jurisdiction,
        eu.jurisdiction('us').idFromName('a').jurisdiction, eu.jurisdiction().idFromName('a').equals(plain), ns.newUniqueId({ jurisdiction: null }).jurisdiction ?? null, name, jurisdiction,
        await t(() => eu.get(plain)), await t(() => us.get(inEu)), await t(() => us.idFromString(String(inEu))), await t(() => eu.idFromString(String(plain))), await t(() => eu.idFromString('0'.repeat(64))),
        await t(() => eu.newUniqueId({ jurisdiction: 'us' })), await t(() => ns.jurisdiction('moon')), await t(() => ns.newUniqueId({ jurisdiction: '' }))]`),
    [
      null, 'eu', 'fedramp-high', false, false, true,
      'eu', 'eu', 'eu', 'eu',
      'us', true, null, 'a', 'eu',
      { name: 'TypeError', message: 'get called on jurisdictional subnamespace with an ID from a different jurisdiction' },
      { name: 'TypeError', message: 'get called on jurisdictional subnamespace with an ID from a different jurisdiction' },
      { name: 'TypeError', message: 'idFromString called on jurisdictional subnamespace with an ID from a different jurisdiction' },
      { name: 'TypeError', message: 'idFromString called on jurisdictional subnamespace with an ID from a different jurisdiction' },
      { name: 'TypeError', message: 'Durable Object ID is not valid for this namespace.' },
      { name: 'TypeError', message: 'newUniqueId called on jurisdictional subnamespace with another jurisdiction' },
      { name: 'TypeError', message: 'Unknown jurisdiction: moon. It is one of eu, us, fedramp, fedramp-high.' },
      { name: 'TypeError', message: 'Unknown jurisdiction: . It is one of eu, us, fedramp, fedramp-high.' },
    ],
  );
});

test('service bindings reach other scripts', async () => {
  assert.deepEqual(
    await run('svc', `return [await (await env.OTHER.fetch('http://x/', { method: 'POST', body: 'b' })).text(), await t(() => env.OTHER.fetch('http://x/throw')), await env.OTHER.simple(1),
      await t(() => env.OTHER.simple(1, 2)), await t(() => env.OTHER.wrong(1)), await t(() => env.OTHER.nope(1)), await env.NAMED.add(1, 2), await env.NAMED.whoami(), await t(() => env.NOWHERE.fetch('http://x/'))]`),
    [
      'other: b', { name: 'RangeError', message: 'service failed', remote: true }, ['simple', 1, [], 'function'],
      { name: 'TypeError', message: 'Attempted to call RPC function "simple" with the wrong number of arguments. When calling a top-level handler function that is not declared as part of a class, you must always send exactly one argument. In order to support variable numbers of arguments, the server must use class-based syntax (extending WorkerEntrypoint) instead.', remote: true },
      { name: 'TypeError', message: 'Cannot call handler function "wrong" over RPC because it has the wrong number of arguments. A simple function handler can only be called over RPC if it has exactly the arguments (arg, env, ctx), where only the first argument comes from the client. To support multi-argument RPC functions, use class-based syntax (extending WorkerEntrypoint) instead.', remote: true },
      { name: 'TypeError', message: 'The RPC receiver does not implement the method "nope".', remote: true },
      103, { plus: 100 }, { name: 'Error', message: 'Worker not found.' },
    ],
  );
});

test('a result that waits in another isolate is not seen before it is durable', async () => {
  const [, far] = isolate.group.isolates;
  far.hold();
  let seen = false;
  const result = run(places.there, `return await stub().put()`).then((value) => {
    seen = true;
    return value;
  });
  await sleep(30);
  assert.equal(seen, false);
  far.hold(false);
  assert.deepEqual(await result, { written: true });
});

test('calls that wait for an isolate that ends fail as retryable', async () => {
  const far = isolate.group.isolates[1];
  const lost = { name: 'Error', message: 'Network connection lost.', retryable: true };
  const hanging = run(places.there, `const s = stub(); return [await t(() => s.hang()), await t(() => s.note(1))]`);
  await sleep(30);
  isolate.tell({ kind: 'peerGone', address: far.config.address });
  assert.deepEqual(await hanging, [lost, lost]);
  await until(async () => (await run(places.there, `return await t(() => stub().note(1))`))[0] === 'ok', 'the next stub');
});
