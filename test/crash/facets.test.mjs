// kill -9 while parents and facets write: what they wrote in one round is there together or not at all; facets that are
// made, erased and cloned are what their parent says.
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Holdfast } from '../support/holdfast.mjs';

const kObjects = 40;
const kKills = Number(process.env.HF_KILLS ?? 20);
const seed = Number(process.env.HF_SEED ?? Math.floor(Math.random() * 2 ** 31));

// mulberry32: small, and the same everywhere.
function generator(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const worker = `
import { DurableObject } from 'cloudflare:workers';
export class Kid extends DurableObject {
  set(v, filler) { this.ctx.storage.put('v', v); this.ctx.storage.put('filler', filler); }
  get() { return this.ctx.storage.get('v'); }
}
export class Parent extends DurableObject {
  kid(name) { return this.ctx.facets.get(name, () => ({ class: this.ctx.exports.Kid })); }
  // The parent's and two facets' writes: one round, one commit. The parent may write first or last.
  async step(v, way) {
    const { storage, facets } = this.ctx;
    const filler = 'x'.repeat((v * 7919) % 9000);
    if (way % 2 === 0) storage.put('v', v);
    await Promise.all([this.kid('a').set(v, filler), this.kid('b').set(v, filler)]);
    if (way % 2 === 1) storage.put('v', v);
    return v;
  }
  // A facet that only some values have.
  async turn(v) {
    const { storage, facets } = this.ctx;
    if ((await storage.get('has')) === undefined) {
      storage.put('has', v);
      await this.kid('t').set(v, '');
    } else {
      facets.delete('t');
      storage.delete('has');
    }
    return v;
  }
  async copy(v) {
    this.ctx.facets.clone('a', 'c');
    return v;
  }
  async state() {
    const { storage } = this.ctx;
    return { v: await storage.get('v'), a: await this.kid('a').get(), b: await this.kid('b').get(), has: await storage.get('has'), t: await this.kid('t').get(), c: await this.kid('c').get() };
  }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const [, method, name] = url.pathname.split('/');
    return Response.json(await env.PARENT.getByName(name)[method](Number(url.searchParams.get('v')), Number(url.searchParams.get('way'))));
  },
};`;

test(`parents and facets agree after ${kKills} kills`, { timeout: 600_000 }, async (t) => {
  t.diagnostic(`HF_SEED=${seed}`);
  const random = generator(seed);
  await using server = await Holdfast.start({ args: ['--log-level', 'warn', '--shards', '2'] });
  await server.deploy('crash', { 'worker.mjs': worker }, {
    bindings: [{ type: 'durable_object_namespace', name: 'PARENT', class_name: 'Parent' }],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Parent'] }] },
  });
  let next = 1;
  const acknowledged = Array(kObjects).fill(0);
  let steps = 0;
  for (let kill = 0; kill < kKills; kill++) {
    const agent = new Agent({ keepAlive: true, maxSockets: 24 });
    let running = true;
    // One call of an object at a time, so that what was acknowledged last is known.
    const busy = new Set();
    const clients = Array.from({ length: 24 }, async () => {
      while (running) {
        const i = Math.floor(random() * kObjects);
        if (busy.has(i)) {
          await null;
          continue;
        }
        busy.add(i);
        const v = next++;
        const dice = random();
        const method = dice < 0.7 ? 'step' : dice < 0.9 ? 'turn' : 'copy';
        try {
          const { status } = await server.fetch('crash', `/${method}/o${i}?v=${v}&way=${v}`, { agent });
          if (status === 200 && method === 'step') {
            acknowledged[i] = v;
            steps++;
          }
        } catch {
          running = false; // the server was killed
        }
        busy.delete(i);
      }
    });
    await wait(30 + random() * 250);
    await server.kill();
    running = false;
    await Promise.all(clients);
    agent.destroy();
    await server.startAgain();
    const checking = new Agent({ keepAlive: true, maxSockets: 16 });
    await Promise.all(
      Array.from({ length: kObjects }, async (_, i) => {
        const response = await server.fetch('crash', `/state/o${i}`, { agent: checking });
        assert.equal(response.status, 200, response.text);
        const { v, a, b, has, t: turned, c } = response.json();
        const text = `object ${i}: ${response.text}`;
        assert.equal(a, v, text);
        assert.equal(b, v, text);
        assert.equal(turned, has, text);
        assert.ok((v ?? 0) >= acknowledged[i], `${text}, acknowledged ${acknowledged[i]}`);
        if (c !== undefined) assert.ok(c <= v, text);
      }),
    );
    checking.destroy();
  }
  assert.ok(steps > kKills * 5, `${steps} steps: the load was real`);
});
