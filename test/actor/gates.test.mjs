// Input gate, critical sections, output gate, reset (spec 3). Each request names an action; the object keeps a log.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sleep, start, until } from './harness.mjs';

function main({ DurableObject }) {
  const describe = (error) => ({
    name: error.name, message: error.message,
    ...Object.fromEntries(['remote', 'retryable', 'overloaded', 'durableObjectReset'].filter((k) => error[k] !== undefined).map((k) => [k, error[k]])),
  });
  const attempt = (promise) => promise.then((value) => ({ value }), (error) => ({ error: describe(error) }));

  class Subject extends DurableObject {
    log = ['constructed'];
    constructor(ctx, env) {
      super(ctx, env);
      const name = ctx.id.name ?? '';
      if (name.startsWith('slow')) {
        ctx.blockConcurrencyWhile(async () => {
          this.log.push('section');
          await scheduler.wait(20);
          this.log.push('section end');
        });
      }
      if (name.startsWith('bad') && !globalThis.mended) throw new RangeError('constructor');
      if (name.startsWith('rejects') && !globalThis.mended) ctx.blockConcurrencyWhile(() => Promise.reject(new TypeError('in section')));
    }
    note(text) {
      this.log.push(text);
      return this.log;
    }
    mend() {
      globalThis.mended = true;
    }
    // Two events that interleave at I/O and not at storage.
    async readModifyWrite(io) {
      const value = (await this.ctx.storage.get('n')) ?? 0;
      if (io) await scheduler.wait(5);
      await this.ctx.storage.put('n', value + 1);
      return value + 1;
    }
    async block(ms) {
      this.log.push('call');
      await this.ctx.blockConcurrencyWhile(async () => {
        this.log.push('in');
        await scheduler.wait(ms);
        this.log.push('out');
      });
      this.log.push('after');
      return this.log;
    }
    async nested() {
      const order = [];
      await this.ctx.blockConcurrencyWhile(async () => {
        order.push('outer');
        await this.ctx.blockConcurrencyWhile(async () => {
          order.push('inner');
          await scheduler.wait(5);
          order.push('inner end');
        });
        await scheduler.wait(1);
        order.push('outer end');
      });
      return order;
    }
    // A section that ends while one it started goes on.
    async abandonsInner() {
      this.log.length = 0;
      await this.ctx.blockConcurrencyWhile(async () => {
        this.ctx.blockConcurrencyWhile(async () => {
          await scheduler.wait(20);
          this.log.push('inner end');
        });
        this.log.push('outer end');
      });
      this.log.push('after');
    }
    async straggler() {
      this.log.length = 0;
      let late;
      await this.ctx.blockConcurrencyWhile(async () => {
        late = scheduler.wait(10).then(() => this.log.push('straggler'));
      });
      this.log.push('after');
      await late;
      return this.log;
    }
    async depth() {
      let depth = 0;
      const deeper = () => {
        depth++;
        return this.ctx.blockConcurrencyWhile(async () => {
          try {
            return await deeper();
          } catch (error) {
            return error.message;
          }
        });
      };
      return [await deeper(), depth];
    }
    async blockThrows() {
      await this.ctx.blockConcurrencyWhile(async () => {
        throw Object.assign(new RangeError('section failed'), { code: 7 });
      });
    }
    hang() {
      return new Promise(() => {});
    }
    async deadlock() {
      await this.ctx.blockConcurrencyWhile(() => new Promise(() => {}));
    }
    async blockForever() {
      await this.ctx.blockConcurrencyWhile(() => new Promise((resolve) => (this.keep = resolve)));
    }
    put(key, value, options) {
      this.ctx.storage.put(key, value, options);
      return 'written';
    }
    async putThenThrow() {
      this.ctx.storage.put('kept', 1);
      throw new Error('after put');
    }
    async putAndSync(options) {
      await this.ctx.storage.put('s', 1, options);
      await this.ctx.storage.sync();
      return this.log;
    }
    abort(reason, ...rest) {
      this.ctx.storage.put('lost', 1);
      this.ctx.abort(reason, ...rest);
    }
    async abortAndGoOn() {
      this.ctx.storage.put('before', 1);
      try {
        this.ctx.abort('x');
      } catch {}
      let storage;
      try {
        await this.ctx.storage.put('afterwards', 1);
        storage = 'worked';
      } catch (error) {
        storage = error.message;
      }
      globalThis.wentOn = storage;
      return 'must not be seen';
    }
    wentOn() {
      return globalThis.wentOn;
    }
    read(key) {
      return this.ctx.storage.get(key);
    }
    timer() {
      return new Promise((resolve) => setTimeout(() => resolve(this.note('timer')), 5));
    }
    async putThenCall(other) {
      this.ctx.storage.put('x', 1);
      await this.env.Subject.getByName(other).note('called');
    }
    streaming() {}
    async fetch(request) {
      if (new URL(request.url).pathname === '/stream') {
        const { readable, writable } = new TransformStream();
        const writer = writable.getWriter();
        (async () => {
          await writer.write(new TextEncoder().encode('one'));
          this.ctx.storage.put('x', Math.random());
          await writer.write(new TextEncoder().encode('two'));
          await writer.close();
        })();
        return new Response(readable);
      }
      this.ctx.storage.put('x', Math.random());
      return new Response('gated');
    }
  }
  const kept = new Map();
  return {
    Subject,
    default: {
      async fetch(request, env) {
        const url = new URL(request.url);
        const name = url.searchParams.get('name');
        const calls = JSON.parse(url.searchParams.get('calls') ?? '[]');
        if (url.pathname === '/fetch' || url.pathname === '/stream') return env.Subject.getByName(name).fetch(request);
        // All through one stub, not awaited one by one.
        if (url.pathname === '/one') {
          const stub = env.Subject.getByName(name);
          return Response.json(await Promise.all(calls.map(([method, ...args]) => attempt(stub[method](...args)))));
        }
        if (url.pathname === '/kept') {
          if (!kept.has(name)) kept.set(name, env.Subject.getByName(name));
          const stub = kept.get(name);
          const out = [];
          for (const [method, ...args] of calls) out.push(await attempt(stub[method](...args)));
          return Response.json(out);
        }
        const out = [];
        for (const [method, ...args] of calls) out.push(await attempt(env.Subject.getByName(name)[method](...args)));
        return Response.json(out);
      },
    },
  };
}

let isolate;
before(async () => {
  isolate = await start(main, { classes: { Subject: true } });
});
after(() => isolate.stop());

const query = (name, calls) => `?name=${name}&calls=${encodeURIComponent(JSON.stringify(calls))}`;
const each = (name, ...calls) => isolate.json(`/${query(name, calls)}`);
const atOnce = (name, ...calls) => isolate.json(`/one${query(name, calls)}`);
const values = (results) => results.map((r) => ('value' in r ? r.value : r.error ?? null));
const reset = (name, message, more = {}) => ({ error: { name, message, durableObjectReset: true, ...more } });

test('concurrent get and put never lose an update', async () => {
  const results = values(await atOnce('rmw', ...Array.from({ length: 20 }, () => ['readModifyWrite', false])));
  assert.deepEqual(results, Array.from({ length: 20 }, (_, i) => i + 1));
});

test('other I/O between get and put does interleave', async () => {
  assert.deepEqual(values(await atOnce('rmw-io', ...Array.from({ length: 5 }, () => ['readModifyWrite', true]))), [1, 1, 1, 1, 1]);
});

test('calls through one stub arrive in order', async () => {
  const results = await atOnce('order', ...Array.from({ length: 30 }, (_, i) => ['note', i]));
  assert.deepEqual(results.at(-1).value, ['constructed', ...Array.from({ length: 30 }, (_, i) => i)]);
});

test("a section of the constructor delays the first event, not the section's own timers", async () => {
  assert.deepEqual(values(await atOnce('slow1', ['note', 'a'], ['note', 'b'])).at(-1), ['constructed', 'section', 'section end', 'a', 'b']);
});

test('blockConcurrencyWhile keeps other events out; its continuation goes before them', async () => {
  const results = values(await atOnce('block', ['block', 15], ['note', 'other'], ['timer']));
  assert.deepEqual(results[2], ['constructed', 'call', 'in', 'out', 'after', 'other', 'timer']);
});

test('sections nest, also when the outer ends first; stragglers enter the parent', async () => {
  assert.deepEqual(values(await each('nest', ['nested'])), [['outer', 'inner', 'inner end', 'outer end']]);
  const [, log] = values(await atOnce('nest2', ['abandonsInner'], ['note', 'event']));
  assert.deepEqual(log, ['outer end', 'after', 'inner end', 'event']);
  assert.deepEqual(values(await each('nest3', ['straggler'])), [['after', 'straggler']]);
});

test('sections that wait for each other keep their order', async () => {
  const results = values(await atOnce('blocks', ['block', 10], ['block', 1], ['note', 'x']));
  assert.deepEqual(results[2], ['constructed', 'call', 'in', 'out', 'after', 'call', 'in', 'out', 'after', 'x']);
});

test('nesting deeper than 64 is an error', async () => {
  assert.deepEqual(values(await each('depth', ['depth'])), [['blockConcurrencyWhile() calls are nested too deeply.', 65]]);
});

test('a constructor that throws fails its callers and is tried again', async () => {
  const failed = reset('RangeError', 'constructor');
  assert.deepEqual(await atOnce('bad1', ['note', 1], ['note', 2]), [failed, failed]);
  assert.deepEqual(await each('rejects1', ['note', 1]), [reset('TypeError', 'in section')]);
  await each('any', ['mend']);
  assert.deepEqual(values(await each('bad1', ['note', 1])), [['constructed', 1]]);
});

test('a section that fails resets the object: waiting and running calls fail, the next stub gets a new instance', async () => {
  const failed = reset('RangeError', 'section failed');
  assert.deepEqual(await atOnce('fails', ['hang'], ['blockThrows'], ['note', 'waits']), [failed, failed, failed]);
  assert.deepEqual(values(await each('fails', ['note', 'again'])), [['constructed', 'again']]);
});

test('a broken stub stays broken', async () => {
  const calls = query('kept', [['note', 1], ['blockThrows'], ['note', 2]]);
  assert.deepEqual(values(await isolate.json(`/kept${calls}`)).map((v) => v.message ?? v), [['constructed', 1], 'section failed', 'section failed']);
  assert.deepEqual(await isolate.json(`/kept${query('kept', [['note', 3]])}`), [reset('RangeError', 'section failed')]);
});

test('abort() drops what is not committed, and everything fails with its reason', async () => {
  await each('ab', ['put', 'kept', 1]);
  assert.deepEqual(await atOnce('ab', ['hang'], ['abort', 'why'], ['note', 1]), [reset('Error', 'why'), reset('Error', 'why'), reset('Error', 'why')]);
  assert.deepEqual(await each('ab', ['abort']), [reset('Error', 'Application called abort() to reset Durable Object.')]);
  assert.deepEqual(values(await each('ab', ['read', 'kept'], ['read', 'lost'])), [1, null]);
});

test('code that goes on after abort() has no effect', async () => {
  assert.deepEqual(await each('ab2', ['abortAndGoOn']), [reset('Error', 'x')]);
  assert.deepEqual(values(await each('ab2', ['read', 'before'], ['read', 'afterwards'], ['wentOn'])), [null, null, 'x']);
});

test('an exception does not undo writes', async () => {
  const [failed, kept] = await each('throws', ['putThenThrow'], ['read', 'kept']);
  assert.deepEqual(failed, { error: { name: 'Error', message: 'after put', remote: true } });
  assert.equal(kept.value, 1);
});

test('nothing leaves before it is durable: results, responses, chunks, calls', async () => {
  isolate.hold();
  let left = [];
  const done = (what) => () => left.push(what);
  const pending = [
    each('out1', ['put', 'x', 1]).then(done('result')),
    isolate.fetch('/fetch?name=out2').then(done('response')),
    each('out3', ['putThenCall', 'out4']).then(done('call')),
    each('out5', ['putThenThrow']).then(done('error')),
    each('out6', ['putAndSync', { allowUnconfirmed: true }]).then(done('sync')),
    isolate.fetch('/stream?name=out7').then(done('stream')),
  ];
  const free = each('out8', ['put', 'x', 1, { allowUnconfirmed: true }]).then(done('unconfirmed'));
  await free;
  await sleep(30);
  assert.deepEqual(left, ['unconfirmed']);
  assert.deepEqual(values(await each('out4', ['note', 'direct'])), [['constructed', 'direct']]);
  isolate.hold(false);
  await Promise.all(pending);
  assert.equal(left.length, 7);
  assert.deepEqual(values(await each('out4', ['note', 'x'])), [['constructed', 'direct', 'called', 'x']]);
});

test('while sync() waits other events are delivered', async () => {
  isolate.hold();
  const results = atOnce('sync', ['putAndSync'], ['note', 'other']);
  await sleep(20);
  isolate.hold(false);
  assert.deepEqual(values(await results), [['constructed', 'other'], ['constructed', 'other']]);
});

test('a commit that fails resets the object; its answer is never seen', async () => {
  isolate.tell({ kind: 'failCommits', on: true });
  assert.deepEqual(await each('fire', ['put', 'x', 1]), [reset('Error', 'the disk is on fire')]);
  assert.equal((await isolate.fetch('/fetch?name=fire2')).error, true);
  isolate.tell({ kind: 'failCommits', on: false });
  assert.deepEqual(values(await each('fire', ['read', 'x'])), [null]);
});

test('a section whose promise can never settle is noticed', async () => {
  const call = each('deadlock', ['deadlock']);
  let seen;
  call.then((value) => (seen = value));
  await until(async () => {
    isolate.tell({ kind: 'collect' });
    await each('other', ['note', 1]);
    return seen !== undefined;
  }, 'the deadlock');
  assert.match(seen[0].error.message, /^A critical section within this Durable Object awaited a Promise that apparently will never complete\./);
});

test('a section that takes longer than its limit resets the object as overloaded', async () => {
  const fast = await start(main, { classes: { Subject: true }, seconds: 0.001 });
  try {
    const calls = query('long', [['blockForever']]);
    assert.deepEqual(await fast.json(`/${calls}`), [
      reset('Error', 'A call to blockConcurrencyWhile() in a Durable Object waited for too long. The call was canceled and the Durable Object was reset.', { overloaded: true }),
    ]);
  } finally {
    await fast.stop();
  }
});

test('an idle object is evicted, a busy one is not', async () => {
  const fast = await start(main, { classes: { Subject: true }, seconds: 0.01 });
  try {
    const busy = fast.json(`/${query('busy', [['hang']])}`);
    assert.deepEqual(values(await fast.json(`/${query('idle', [['note', 1], ['note', 2]])}`)).at(-1), ['constructed', 1, 2]);
    await until(() => fast.released.length === 1, 'eviction');
    assert.deepEqual(values(await fast.json(`/${query('idle', [['note', 3]])}`)), [['constructed', 3]]);
    await sleep(200);
    void busy;
    assert.equal(fast.released.length, 2);
    // A kept stub reaches the next instance: an eviction does not break it.
    assert.deepEqual(values(await fast.json(`/kept${query('k', [['note', 1]])}`)), [['constructed', 1]]);
    await until(() => fast.released.length === 3, 'eviction');
    assert.deepEqual(values(await fast.json(`/kept${query('k', [['note', 2]])}`)), [['constructed', 2]]);
  } finally {
    await fast.stop();
  }
});
