// V8 cannot stop every loop. When a turn ignores its limit the process starts anew in its own place: same process id, same
// port, nothing lost that was acknowledged. Other ends of the process are no reason to start again.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';

const worker = `
import { DurableObject } from 'cloudflare:workers';
export class Box extends DurableObject {
  async put(key, value) { await this.ctx.storage.put(key, value); }
  async later(ms) { await this.ctx.storage.setAlarm(Date.now() + ms); }
  async all() { return Object.fromEntries(await this.ctx.storage.list()); }
  async alarm() { await this.ctx.storage.put('alarm', 'fired'); }
}
export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const box = env.BOX.getByName('one');
    if (pathname === '/put') { await box.put(searchParams.get('key'), 'kept'); return new Response('stored'); }
    if (pathname === '/later') { await box.later(Number(searchParams.get('ms'))); return new Response('set'); }
    // Optimised, and calling built-ins only: V8 looks nowhere whether it has been told to end.
    if (pathname === '/loop') { const a = []; for (;;) { a.push(new Array(1000).fill({})); if (a.length > 100) a.length = 0; } }
    return Response.json(await box.all());
  },
};`;

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

const start = async (args = []) => {
  const server = await Holdfast.start({ args: ['--shards', '2', '--listen', `127.0.0.1:${await freePort()}`, ...args] });
  await server.deploy('box', { 'worker.mjs': worker }, {
    bindings: [{ type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' }],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'] }] },
    limits: { cpu_ms: 100 },
  });
  return server;
};

const answered = async (server, path) => {
  for (;;) {
    const answer = await server.fetch('box', path).catch(() => undefined);
    if (answer?.status === 200) return answer.json();
  }
};

test('a loop that V8 cannot stop costs a restart in place, and nothing that was acknowledged', { timeout: 180_000 }, async () => {
  await using server = await start();
  const { pid } = server.child;
  await server.fetch('box', '/put?key=first');
  await server.fetch('box', '/later?ms=7000'); // due while nobody can run it
  const writes = (async () => {
    const kept = [];
    for (let i = 0; ; i++) {
      const answer = await server.fetch('box', `/put?key=k${i}`).catch(() => undefined);
      if (answer?.status !== 200) return kept;
      kept.push(`k${i}`);
    }
  })();
  await assert.rejects(server.fetch('box', '/loop'), /socket hang up|ECONNRESET/);
  const kept = await writes;
  await server.logged(/started again in place[^\n]*times=1/);
  const found = await answered(server, '/');
  for (const key of ['first', ...kept]) assert.equal(found[key], 'kept', key);
  while ((await answered(server, '/')).alarm !== 'fired');
  assert.equal(server.child.pid, pid);
  assert.equal(server.child.exitCode, null);
  // SIGTERM reaches the server that is there now.
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('with --on-failure exit the code says why, and nobody starts it again', { timeout: 180_000 }, async () => {
  await using server = await start(['--on-failure', 'exit']);
  await server.fetch('box', '/loop').catch(() => undefined);
  assert.deepEqual(await server.exited, { code: 75, signal: null });
});
