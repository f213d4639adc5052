// What RPC leaves behind: nothing. Calls with callbacks, results with stubs, pipelines and streams by the ten thousand, on
// an object of this isolate and on one of another; then the tables are empty and the heap is what it was.
// HF_RPC_CALLS=1000000 makes a million of them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start, until } from './harness.mjs';

function main({ DurableObject, WorkerEntrypoint, RpcTarget, RpcStub }) {
  let disposed = 0;
  class Counter extends RpcTarget {
    n = 0;
    inc() {
      return ++this.n;
    }
    [Symbol.dispose]() {
      disposed++;
    }
  }
  class Obj extends DurableObject {
    async call(callback, x) {
      return await callback(x);
    }
    counter() {
      return new Counter();
    }
    bag() {
      return { a: new Counter(), f: () => 1, [Symbol.dispose]: () => disposed++ };
    }
    async text(stream) {
      return await new Response(stream).text();
    }
    async write(stream) {
      const writer = stream.getWriter();
      await writer.write(new Uint8Array(10));
      await writer.close();
    }
    async leak(callback) {
      callback.dup();
    }
    keep(callback) {
      this.kept = callback.dup();
    }
    async useKept() {
      return await this.kept();
    }
    abortMe() {
      this.ctx.abort('over');
    }
    disposed() {
      return disposed;
    }
  }
  class Entry extends WorkerEntrypoint {
    counter() {
      return new Counter();
    }
    keep(callback) {
      return { kept: callback.dup(), f: () => 1 };
    }
    disposed() {
      return disposed;
    }
  }
  const kinds = {
    async callback(stub, i) {
      if ((await stub.call((x) => x + 1, i)) !== i + 1) throw new Error('wrong');
    },
    async nested(stub, i) {
      const r = await stub.call((x) => ({ x, f: () => x }), i);
      if ((await r.f()) !== i) throw new Error('wrong');
      r[Symbol.dispose]();
    },
    async result(stub) {
      const c = await stub.counter();
      await c.inc();
      c[Symbol.dispose]();
      const bag = await stub.bag();
      await bag.f();
      bag[Symbol.dispose]();
    },
    async pipelined(stub) {
      const p = stub.counter();
      if ((await p.inc()) !== 1) throw new Error('wrong');
      const c = await p;
      if ((await c.inc()) !== 2) throw new Error('wrong');
      p[Symbol.dispose]();
    },
    async streams(stub) {
      await stub.text(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('x')); c.close(); } }));
      await stub.write(new WritableStream());
    },
    async failing(stub) {
      await stub.call(() => { throw new Error('no'); }).catch(() => {});
      await stub.nope(() => 1).catch(() => {});
      await stub.call(new Counter()).catch(() => {});
    },
  };
  return {
    Obj,
    Entry,
    default: {
      async fetch(request, env, ctx) {
        const url = new URL(request.url);
        const stub = env.Obj.getByName(url.searchParams.get('name'));
        const n = Number(url.searchParams.get('n'));
        switch (url.pathname) {
          case '/many': {
            const kind = kinds[url.searchParams.get('kind')];
            for (let i = 0; i < n; i++) await kind(stub, i);
            return Response.json('done');
          }
          case '/leak': {
            const leaks = [
              () => stub.counter(), () => stub.bag(), () => void stub.counter().inc(), () => stub.leak(() => 1), () => env.ENTRY.counter(), () => env.ENTRY.keep(() => 1),
              () => env.OTHER.counter(), () => env.OTHER.keep(new Counter()), () => new RpcStub(new Counter()), () => stub.counter().inc(),
            ];
            for (let i = 0; i < 5; i++) await leaks[n]();
            return Response.json(leaks.length);
          }
          case '/keep':
            await stub.keep(() => 1);
            return Response.json(await stub.useKept());
          case '/abort':
            return Response.json(await stub.abortMe().catch((e) => e.message));
        }
      },
    },
  };
}

let isolate;
const places = {};
before(async () => {
  const bindings = [{ name: 'ENTRY', kind: 'service', script: 'main', entrypoint: 'Entry', props: '' }, { name: 'OTHER', kind: 'service', script: 'other', entrypoint: 'Entry', props: '' }];
  isolate = await start(main, { classes: { Obj: true }, shards: 2, bindings, others: { other: main } });
  const { createHash, createHmac } = await import('node:crypto');
  const key = createHash('sha256').update(isolate.ns('Obj')).digest();
  for (let i = 0; Object.keys(places).length < 2; i++) {
    const base = createHmac('sha256', key).update(`p${i}`).digest().subarray(0, 16);
    places[base.readUInt32LE(0) % 2 === 0 ? 'here' : 'there'] ??= `p${i}`;
  }
});
after(() => isolate.stop());

const references = () => Promise.all(isolate.group.isolates.map((one) => one.ask('references')));
const held = async () => (await references()).map(({ exports, sent, imports }) => [exports, sent, imports]);
const nothing = () => isolate.group.isolates.map(() => [0, 0, 0]);
const settled = (what) => until(async () => JSON.stringify(await held()) === JSON.stringify(nothing()), 'empty tables').catch(async () => assert.deepEqual(await held(), nothing(), what));

const calls = Number(process.env.HF_RPC_CALLS ?? 20_000);
for (const place of ['here', 'there']) {
  for (const kind of ['callback', 'nested', 'result', 'pipelined', 'streams', 'failing']) {
    const n = kind === 'callback' ? calls : Math.ceil(calls / 20);
    test(`${n} times ${kind} (${place}): tables empty, heap flat`, { timeout: 600_000 }, async () => {
      const path = `/many?name=${places[place]}&kind=${kind}&n=`;
      await isolate.json(path + Math.min(n, 3000));
      await settled();
      const before = await references();
      await isolate.json(path + n);
      await settled();
      const after = await references();
      after.forEach(({ heap }, i) => assert.ok(heap < before[i].heap + 2_000_000, `heap of isolate ${i}: ${before[i].heap} -> ${heap}`));
    });
  }

  test(`what a request has not disposed ends with it (${place})`, async () => {
    for (let n = 0, all = 1; n < all; n++) {
      all = await isolate.json(`/leak?name=${places[place]}&n=${n}`);
      await settled(`leak ${n}`);
    }
  });

  test(`a kept callback holds nothing when its request or the object has ended (${place})`, async () => {
    assert.equal(await isolate.json(`/keep?name=${places[place]}`), 1);
    await isolate.json(`/keep?name=${places[place]}`);
    assert.equal(await isolate.json(`/abort?name=${places[place]}`), 'over');
    await settled();
  });
}

test('an isolate that ends takes its references with it', async () => {
  await isolate.json(`/keep?name=${places.there}`);
  isolate.tell({ kind: 'peerGone', address: isolate.group.isolates[1].config.address });
  await until(async () => JSON.stringify((await held())[0]) === '[0,0,0]', 'empty tables');
});
