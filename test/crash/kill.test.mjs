// kill -9 at random moments under load (issue: acknowledged writes survive, no half transaction, alarms still fire).
// HF_SEED replays the schedule of kills; HF_KILLS sets how many (default 25).
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Holdfast } from '../support/holdfast.mjs';

const kObjects = 100;
const kKills = Number(process.env.HF_KILLS ?? 25);
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
export class Ledger extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS entries(id INTEGER PRIMARY KEY, amount INTEGER); CREATE TABLE IF NOT EXISTS totals(id INTEGER PRIMARY KEY, total INTEGER)');
  }
  // One turn, three places: all of it or none of it.
  async add(amount) {
    const { sql } = this.ctx.storage;
    sql.exec('INSERT INTO entries(amount) VALUES (?)', amount);
    sql.exec('INSERT INTO totals VALUES (1, ?) ON CONFLICT(id) DO UPDATE SET total = total + excluded.total', amount);
    const count = ((await this.ctx.storage.get('count')) ?? 0) + 1;
    await this.ctx.storage.put('count', count);
    return count;
  }
  async arm(at) {
    await this.ctx.storage.put('armed', at);
    await this.ctx.storage.setAlarm(at);
    return 0;
  }
  async alarm() {
    await this.ctx.storage.put('fired', (await this.ctx.storage.get('armed')));
  }
  async state() {
    const { sql } = this.ctx.storage;
    const { n, s } = sql.exec('SELECT count(*) AS n, coalesce(sum(amount), 0) AS s FROM entries').one();
    const { t } = sql.exec('SELECT coalesce(sum(total), 0) AS t FROM totals').one();
    return { entries: n, sum: s, total: t, count: (await this.ctx.storage.get('count')) ?? 0, armed: await this.ctx.storage.get('armed'), fired: await this.ctx.storage.get('fired') };
  }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const [, method, name] = url.pathname.split('/');
    const stub = env.LEDGER.getByName(name);
    return Response.json(await stub[method](Number(url.searchParams.get('x'))));
  },
};`;

test(`every acknowledged write survives ${kKills} kills`, { timeout: 600_000 }, async (t) => {
  t.diagnostic(`HF_SEED=${seed}`);
  const random = generator(seed);
  await using server = await Holdfast.start({ args: ['--log-level', 'warn'] });
  await server.deploy('crash', { 'worker.mjs': worker }, {
    bindings: [{ type: 'durable_object_namespace', name: 'LEDGER', class_name: 'Ledger' }],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Ledger'] }] },
  });
  const acknowledged = Array(kObjects).fill(0); // calls of add() that were answered
  const attempted = Array(kObjects).fill(0);
  const armed = Array(kObjects).fill(0); // alarms that were acknowledged
  const tried = Array.from({ length: kObjects }, () => new Set());

  const check = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    await Promise.all(
      Array.from({ length: kObjects }, async (_, i) => {
        const response = await server.fetch('crash', `/state/o${i}`, { agent });
        assert.equal(response.status, 200, response.text);
        const state = response.json();
        assert.ok(state.entries >= acknowledged[i], `object ${i}: ${acknowledged[i]} writes were acknowledged, ${state.entries} are there`);
        assert.ok(state.entries <= attempted[i], `object ${i}: ${state.entries} writes are there, only ${attempted[i]} were tried`);
        assert.equal(state.sum, state.total, `object ${i} shows half a transaction`);
        assert.equal(state.entries, state.count, `object ${i} shows half a transaction`);
        // Which of several that were set at once came last, only the object knows.
        if (armed[i] > 0) assert.ok(tried[i].has(state.armed), `object ${i} lost its alarm: ${state.armed}`);
        acknowledged[i] = state.entries;
      }),
    );
    agent.destroy();
  };

  for (let kill = 0; kill < kKills; kill++) {
    const agent = new Agent({ keepAlive: true, maxSockets: 32 });
    let running = true;
    const clients = Array.from({ length: 32 }, async () => {
      while (running) {
        const i = Math.floor(random() * kObjects);
        try {
          if (random() < 0.05) {
            const at = Date.now() + Math.floor(random() * 300);
            tried[i].add(at);
            const { status } = await server.fetch('crash', `/arm/o${i}?x=${at}`, { agent });
            if (status === 200) armed[i]++;
          } else {
            attempted[i]++;
            const { status } = await server.fetch('crash', `/add/o${i}?x=${1 + Math.floor(random() * 100)}`, { agent });
            if (status === 200) acknowledged[i]++;
          }
        } catch {
          running = false; // the server was killed
        }
      }
    });
    await wait(30 + random() * 250);
    await server.kill();
    running = false;
    await Promise.all(clients);
    agent.destroy();
    await server.startAgain();
    await check();
  }

  // Every alarm that was acknowledged fires, late rather than never.
  const deadline = Date.now() + 60_000;
  for (let i = 0; i < kObjects; i++) {
    if (armed[i] === 0) continue;
    for (;;) {
      const state = (await server.fetch('crash', `/state/o${i}`)).json();
      if (state.fired === state.armed) break;
      assert.ok(Date.now() < deadline, `the alarm of object ${i} did not fire: ${JSON.stringify(state)}`);
      await wait(50);
    }
  }
  assert.ok(acknowledged.reduce((a, b) => a + b) > kKills, 'the load was real');
});
