// The ledger's sync held back, a full disk and I/O errors, on the real server (HOLDFAST_TEST_DISK, base/fault_disk.h).
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import WebSocket from 'ws';
import { Holdfast } from '../support/holdfast.mjs';

const worker = `
import { DurableObject } from 'cloudflare:workers';
export class Box extends DurableObject {
  async add() { const n = ((await this.ctx.storage.get('n')) ?? 0) + 1; await this.ctx.storage.put('n', n); return n; }
  async fill() { await this.ctx.storage.put('bytes', new Uint8Array(100_000).map((_, i) => (i * 2654435761) >>> 13)); return 'filled'; }
  async read() { return (await this.ctx.storage.get('n')) ?? 0; }
  async unconfirmed() { this.ctx.storage.put('u', 1, { allowUnconfirmed: true }); return 'sent'; }
  async throwAfterPut() { await this.ctx.storage.put('t', 1); throw new Error('after put'); }
  async fetchAfterPut(url) { await this.ctx.storage.put('f', 1); await fetch(url); return 'fetched'; }
  fetch(request) {
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }
  async webSocketMessage(ws, text) { if (text === 'put') await this.ctx.storage.put('w', 1); ws.send('did ' + text); }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const box = env.BOX.getByName(url.pathname.split('/')[2] ?? 'one');
    if (request.headers.get('upgrade')) return box.fetch(request);
    try {
      return new Response(String(await box[url.pathname.split('/')[1]](url.searchParams.get('url'))));
    } catch (error) {
      return Response.json({ message: error.message, reset: error.durableObjectReset ?? false }, { status: 500 });
    }
  },
};`;

async function start(t, args = []) {
  const control = await mkdtemp(join(tmpdir(), 'holdfast-disk-'));
  t.after(() => rm(control, { recursive: true, force: true }));
  const server = await Holdfast.start({ env: { HOLDFAST_TEST_DISK: control }, args: ['--log-level', 'error', ...args] });
  await server.deploy('box', { 'worker.mjs': worker }, {
    bindings: [{ type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' }],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'] }] },
  });
  return {
    server,
    set: (flag, text = '/ledger/') => writeFile(join(control, flag), text),
    clear: (flag) => rm(join(control, flag), { force: true }),
  };
}

// True when `promise` settles within the time in which everything that is not held back would long have left.
const leaves = (promise) => Promise.race([promise.then(() => true, () => true), wait(400).then(() => false)]);

test('nothing leaves an object before its writes are durable', { timeout: 60_000 }, async (t) => {
  const { server, set, clear } = await start(t);
  await using _ = server;
  assert.equal((await server.fetch('box', '/add')).text, '1');
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/socket`, { headers: { host: `box.test:${server.port}` } });
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  const message = (text) => new Promise((resolve) => { socket.once('message', (data) => resolve(String(data))); socket.send(text); });
  assert.equal(await message('hello'), 'did hello');

  await set('hold-sync');
  const response = server.fetch('box', '/add');
  assert.equal(await leaves(response), false, 'a response left before its write was durable');
  const thrown = server.fetch('box', '/throwAfterPut/two');
  assert.equal(await leaves(thrown), false, 'an exception left');
  const sent = message('put');
  assert.equal(await leaves(sent), false, 'a WebSocket message left');
  let fetched = false;
  const { createServer } = await import('node:http');
  const target = createServer((request, answer) => { fetched = true; answer.end('ok'); }).listen(0, '127.0.0.1');
  await new Promise((resolve) => target.on('listening', resolve));
  t.after(() => target.close());
  const outgoing = server.fetch('box', `/fetchAfterPut/three?url=${encodeURIComponent(`http://127.0.0.1:${target.address().port}/`)}`);
  assert.equal(await leaves(outgoing), false);
  assert.equal(fetched, false, 'an outgoing fetch left');
  assert.equal((await server.fetch('box', '/unconfirmed/four')).text, 'sent', 'allowUnconfirmed does not wait');
  assert.equal((await server.fetch('box', '/read/five')).text, '0', 'an object that wrote nothing does not wait');

  await clear('hold-sync');
  assert.equal((await response).text, '2');
  assert.equal((await thrown).json().message, 'after put');
  assert.equal(await sent, 'did put');
  assert.equal((await outgoing).text, 'fetched');
  socket.terminate();
});

test('writers wait while the objects\' files do not keep up, and go on', { timeout: 60_000 }, async (t) => {
  const { server, set, clear } = await start(t, ['--dirty-memory', '1MiB']);
  await using _ = server;
  assert.equal((await server.fetch('box', '/fill/first')).status, 200);
  await set('eio-write', '/objects/');
  let answered = 0;
  const writes = [];
  for (let n = 0; n < 24; n++) {
    writes.push(server.fetch('box', `/fill/w${n}`).then((answer) => {
      answered++;
      return answer;
    }));
  }
  await server.logged(/checkpoint failed, to be tried again/);
  for (const end = Date.now() + 1000; Date.now() < end; ) assert.equal((await server.fetch('box', '/read/other')).status, 200, 'others read on');
  assert.ok(answered < 24, 'all were answered though nothing could be written to the files');
  await clear('eio-write');
  for (const write of writes) assert.equal((await write).status, 200);
});

test('a failed sync acknowledges nothing more, and a restart recovers', { timeout: 60_000 }, async (t) => {
  const { server, set, clear } = await start(t);
  await using _ = server;
  for (let n = 1; n <= 5; n++) assert.equal((await server.fetch('box', '/add')).text, String(n));
  await set('eio-sync');
  const answer = await server.fetch('box', '/add').catch((error) => ({ status: 0, error }));
  assert.notEqual(answer.status, 200, 'a write was acknowledged though its sync failed');
  assert.deepEqual(await server.exited, { code: 74, signal: null });
  await clear('eio-sync');
  await server.startAgain();
  const n = Number((await server.fetch('box', '/read')).text);
  assert.ok(n >= 5 && n <= 6, `five writes were acknowledged, ${n} are there`);
});
