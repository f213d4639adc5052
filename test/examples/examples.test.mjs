// examples/counter and examples/scheduler, deployed with wrangler as the README says.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setTimeout as wait } from 'node:timers/promises';
import { Holdfast } from '../support/holdfast.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const wrangler = (server, example, ...args) =>
  promisify(execFile)(process.execPath, [`${root}/node_modules/wrangler/bin/wrangler.js`, ...args], {
    cwd: `${root}/examples/${example}`,
    env: { ...process.env, ...server.clientEnv },
  });

describe('examples', () => {
  let server;
  before(async () => {
    server = await Holdfast.start();
  });
  after(() => server[Symbol.asyncDispose]());

  test('counter counts in KV and SQL, by RPC and by fetch, and across a restart', async () => {
    await wrangler(server, 'counter', 'deploy');
    const get = async (path, init) => (await server.fetch('counter', path, init)).text.trim();
    for (const kind of ['kv', 'sql']) {
      assert.equal(await get(`/${kind}/a`), '1');
      assert.equal(await get(`/${kind}/a?by=5`), '6');
      assert.equal(await get(`/${kind}/a?via=fetch`), '7');
      assert.equal(await get(`/${kind}/b`), '1');
    }
    assert.equal(await get('/kv/%ff'), '1', 'a name is what stands in the path');
    assert.equal((await server.fetch('counter', '/kv/a?by=x')).status, 400);
    await server.restart();
    for (const kind of ['kv', 'sql']) {
      assert.equal(await get(`/${kind}/a?read`), '7');
      await get(`/${kind}/a`, { method: 'DELETE' });
      assert.equal(await get(`/${kind}/a`), '1');
    }
  });

  test('scheduler fires what is due, also after a restart', async () => {
    await wrangler(server, 'scheduler', 'deploy');
    const list = async () => (await server.fetch('scheduler', '/alice')).json();
    for (const delay of ['x', '-1', '1e300', 'Infinity']) {
      assert.equal((await server.fetch('scheduler', `/alice?in=${delay}`, { method: 'POST', body: 'never' })).status, 400);
    }
    assert.equal((await server.fetch('scheduler', '/alice?in=50', { method: 'POST', body: 'soon' })).status, 201);
    await server.fetch('scheduler', '/alice?in=1500', { method: 'POST', body: 'after the restart' });
    const until = async (condition) => {
      for (let i = 0; i < 400; i++) {
        const reminders = await list();
        if (condition(reminders)) return reminders;
        await wait(25);
      }
      assert.fail(`not within ten seconds: ${JSON.stringify(await list())}`);
    };
    await until((reminders) => reminders[0].fired_at !== null);
    await server.restart();
    const done = await until((reminders) => reminders.every((reminder) => reminder.fired_at !== null));
    assert.deepEqual(done.map((reminder) => reminder.text), ['soon', 'after the restart']);
    for (const reminder of done) assert.ok(reminder.fired_at >= reminder.at, 'never early');
  });
});
