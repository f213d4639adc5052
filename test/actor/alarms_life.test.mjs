// Alarms and what happens around them: deploys, migrations, restorations, kills, limits, clocks that are set.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Clock } from '../support/clock.mjs';
import { Holdfast } from '../support/holdfast.mjs';

const worker = (version, className = 'Sleeper') => `
import { DurableObject } from 'cloudflare:workers';
export class ${className} extends DurableObject {
  async set(ms, script) { await this.ctx.storage.put('script', script ?? null); await this.ctx.storage.setAlarm(Date.now() + ms); }
  async pending() { return await this.ctx.storage.getAlarm(); }
  async log() { return (await this.ctx.storage.get('log')) ?? []; }
  async note(what) { await this.ctx.storage.put('log', [...(await this.log()), what]); }
  async deleteAll() { await this.ctx.storage.deleteAll(); }
  async bookmark() { return await this.ctx.storage.getCurrentBookmark(); }
  async restore(to) { await this.ctx.storage.onNextSessionRestoreBookmark(to); this.ctx.abort('restore'); }
  async alarm(info) {
    const script = await this.ctx.storage.get('script');
    if (script === 'slow') { await this.note('begun by ${version}'); await this.ctx.storage.sync(); await scheduler.wait(2000); }
    if (script === 'spin' && info.retryCount < 1) { await this.note('spun'); await this.ctx.storage.sync(); for (;;); }
    await this.note(['${version}', info.retryCount, this.ctx.id.name]);
  }
}
export default { async fetch(request, env) {
  const [name, f, ...args] = await request.json();
  try { return Response.json((await env.SLEEPER.getByName(name)[f](...args)) ?? null); } catch (e) { return Response.json(String(e)); }
} };`;
const binding = (class_name, extra = {}) => [{ type: 'durable_object_namespace', name: 'SLEEPER', class_name, ...extra }];
const start = async (options) => {
  const server = await Holdfast.start({ args: ['--shards', '2'], ...options });
  await server.deploy('alarms', { 'm.mjs': worker(1) }, { bindings: binding('Sleeper'), migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Sleeper'] }] } });
  return server;
};
const caller = (server, script = 'alarms') => async (...body) => {
  const answer = await server.fetch(script, '/', { method: 'POST', body: JSON.stringify(body) });
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
};
async function until(what, f, ms = 20_000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await f();
    if (value) return value;
    assert.ok(Date.now() < end, `${what}: not in time`);
    await wait(20);
  }
}
const logged = (call, name, count, ms) => until(`${name} ran`, async () => {
  const log = await call(name, 'log');
  return log.length >= count && log;
}, ms);

test('a class that is renamed, and one that is transferred, keep their alarms; one that is deleted loses them', async () => {
  await using server = await start();
  const call = caller(server);
  await call('a', 'set', 4000);
  await server.deploy('alarms', { 'm.mjs': worker(2, 'Renamed') }, { bindings: binding('Renamed'), migrations: { old_tag: 'v1', new_tag: 'v2', steps: [{ renamed_classes: [{ from: 'Sleeper', to: 'Renamed' }] }] } });
  assert.deepEqual(await logged(call, 'a', 1), [['2', 0, 'a']]);

  await call('b', 'set', 4000);
  await server.deploy('other', { 'm.mjs': worker(3, 'Moved') }, { bindings: binding('Moved'), migrations: { new_tag: 'v1', steps: [{ transferred_classes: [{ from: 'Renamed', from_script: 'alarms', to: 'Moved' }] }] } });
  const other = caller(server, 'other');
  assert.deepEqual(await logged(other, 'b', 1), [['3', 0, 'b']]);

  await other('c', 'set', 1500);
  const noObjects = { 'm.mjs': 'export default { fetch: () => new Response("no objects") }' };
  await server.deploy('alarms', noObjects);
  const failuresBefore = server.log.length;
  await server.deploy('other', noObjects, { migrations: { old_tag: 'v1', new_tag: 'v2', steps: [{ deleted_classes: ['Moved'] }] } });
  await wait(2500);
  assert.doesNotMatch(server.log.slice(failuresBefore), /alarm/i);
  await server.restart();
  await wait(500);
  assert.doesNotMatch(server.log, /alarm.*(error|abandon)/i);
});

test('a deploy while an alarm runs: it ends in the old code, or is tried again by the new one at once', async () => {
  await using server = await start();
  const call = caller(server);
  const ran = (name) => until(`${name} ran`, async () => {
    const seen = await call(name, 'log');
    return Array.isArray(seen.at(-1)) && seen;
  });
  await call('a', 'set', 0, 'slow');
  assert.deepEqual(await logged(call, 'a', 1), ['begun by 1']);
  await server.deploy('alarms', { 'm.mjs': worker(2) }, { bindings: binding('Sleeper') });
  assert.deepEqual(await ran('a'), ['begun by 1', ['1', 0, 'a']]);
  await call('b', 'set', 0, 'slow');
  assert.deepEqual(await logged(call, 'b', 1), ['begun by 2']);
  await server.deploy('alarms', { 'm.mjs': worker(3) }, { bindings: binding('Sleeper'), code_update_strategy: { mode: 'immediate', max_delay: 0 } });
  // Not counted: the code was not at fault.
  assert.deepEqual(await ran('b'), ['begun by 2', 'begun by 3', ['3', 0, 'b']]);
});

test('restored to a bookmark: the alarm is the one of then', async () => {
  await using server = await start();
  const call = caller(server);
  await call('a', 'set', 3000);
  const withAlarm = await call('a', 'bookmark');
  await call('a', 'deleteAll');
  assert.equal(await call('a', 'pending'), null);
  const without = await call('a', 'bookmark');
  await call('a', 'restore', withAlarm);
  assert.ok((await call('a', 'pending')) > Date.now());
  assert.deepEqual(await logged(call, 'a', 1), [['1', 0, 'a']]);
  await call('a', 'set', 500);
  await call('a', 'restore', without);
  assert.equal(await call('a', 'pending'), null);
  await wait(1500);
  assert.deepEqual(await call('a', 'log'), [], 'the one that was taken back does not run');
});

test('a run that computes without end is ended and counted', async () => {
  await using server = await start();
  await server.deploy('alarms', { 'm.mjs': worker(1) }, { bindings: binding('Sleeper'), limits: { cpu_ms: 100 } });
  const call = caller(server);
  await call('a', 'set', 0, 'spin');
  const log = await until('it ran again', async () => {
    const answer = await server.fetch('alarms', '/', { method: 'POST', body: '["a","log"]' });
    return answer.status === 200 && answer.json().length === 2 && answer.json(); // 503: the Worker was restarted
  });
  assert.deepEqual(log, ['spun', ['1', 1, 'a']]);
});

test('the clock is set: an alarm is due when the wall clock says so', async () => {
  await using clock = await Clock.make();
  await using server = await start({ env: clock.env });
  const call = caller(server);
  await call('far', 'set', 3_600_000);
  await call('near', 'set', 2500);
  await clock.forward(-60_000);
  await wait(4000);
  assert.deepEqual(await call('near', 'log'), [], 'set back: its time is a minute away again');
  await clock.forward(60_000);
  const began = Date.now();
  assert.deepEqual(await logged(call, 'near', 1), [['1', 0, 'near']]);
  assert.ok(Date.now() - began < 3000, `${Date.now() - began} ms`);
  assert.deepEqual(await call('far', 'log'), []);
  await clock.forward(3_600_000);
  const jumped = Date.now();
  assert.deepEqual(await logged(call, 'far', 1), [['1', 0, 'far']]);
  assert.ok(Date.now() - jumped < 3000, `${Date.now() - jumped} ms`);
  assert.match(server.log, /the clock was set/);
});

test('kills at any moment lose no alarm', { timeout: 120_000 }, async () => {
  await using server = await start();
  const kObjects = 40;
  const set = new Map(); // name → how many alarms were acknowledged
  let call = caller(server);
  for (let round = 0; round < 6; round++) {
    const stop = Date.now() + 300 + 150 * round;
    let dead = false;
    const setting = Array.from({ length: 4 }, async (_, client) => {
      for (let n = client; !dead; n = (n + 4) % kObjects) {
        const name = `o${n}`;
        try {
          await call(name, 'set', Math.random() < 0.5 ? 0 : 200 * Math.random());
          set.set(name, (set.get(name) ?? 0) + 1);
        } catch {
          if (!dead) await wait(5);
        }
      }
    });
    await wait(stop - Date.now());
    dead = true;
    await server.kill();
    await Promise.all(setting);
    await server.startAgain();
    call = caller(server);
  }
  for (const name of set.keys()) {
    const log = await until(`${name} has run`, async () => {
      const seen = await call(name, 'log');
      return (await call(name, 'pending')) === null && seen;
    });
    assert.ok(log.length >= 1, `${name}: ${log.length} runs of ${set.get(name)} alarms`);
    assert.deepEqual([...new Set(log.map(([, , own]) => own))], [name]);
  }
  assert.ok(set.size > 10);
});
