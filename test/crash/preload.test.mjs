// System calls that fail in a real server, below our own Disk (preload/fault_preload.c): whatever fails, nothing that was
// acknowledged is lost, the server never hangs, and it says by its exit code that it could not go on.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Holdfast } from '../support/holdfast.mjs';

const library = fileURLToPath(new URL('../../build/release/fault_preload.so', import.meta.url));
const kIoFailure = 74; // EX_IOERR
const kPatienceMs = 20_000;

const worker = `
import { DurableObject } from 'cloudflare:workers';
// The ledger compresses: to fill it takes what cannot be.
const noise = (bytes) => {
  let text = '';
  while (text.length < bytes) text += Array.from(crypto.getRandomValues(new Uint32Array(8192)), (v) => v.toString(36)).join('');
  return text.slice(0, bytes);
};
export class Box extends DurableObject {
  async add(bytes) {
    const n = ((await this.ctx.storage.get('n')) ?? 0) + 1;
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x TEXT)');
    this.ctx.storage.sql.exec('INSERT INTO t VALUES (?, ?)', n, bytes > 100_000 ? noise(bytes) : 'x'.repeat(bytes));
    await this.ctx.storage.put('n', n);
    return n;
  }
  async read() {
    const n = (await this.ctx.storage.get('n')) ?? 0;
    if (n === 0) return [0, 0];
    return [n, this.ctx.storage.sql.exec('SELECT count(*) AS c FROM t').one().c];
  }
}
export default {
  async fetch(request, env) {
    const [, method, name, bytes] = new URL(request.url).pathname.split('/');
    try {
      return Response.json(await env.BOX.getByName(name)[method](Number(bytes)));
    } catch (error) {
      return new Response(error.message, { status: 500 });
    }
  },
};`;

// Which calls fail on which files, and whether the server must end by it: then all calls from that one on fail, since
// the first may be one of the thread that prepares segments, which nobody depends on. Small limits, so that checkpoints
// run; few objects, so that their files are synced one by one.
const cases = [
  { call: 'fdatasync', path: '/ledger/', error: 'eio', ends: true },
  { call: 'fdatasync', path: '/ledger/', error: 'eio', at: 5, ends: true },
  { call: 'pwritev', path: '/ledger/segment', error: 'eio', at: 3, ends: true },
  { call: 'pwritev', path: '/ledger/segment', error: 'enospc', at: 2, ends: true },
  { call: 'pwritev', path: '/ledger/segment', error: 'short', at: 2, ends: false },
  { call: 'pwritev', path: '/objects/', error: 'eio', ends: false },
  { call: 'pwritev', path: '/objects/', error: 'enospc', at: 2, ends: false },
  { call: 'pwritev', path: '/objects/', error: 'short', ends: false },
  { call: 'fdatasync', path: '/objects/', error: 'eio', ends: false, objects: 3 },
  { call: 'syncfs', path: '/holdfast-test-', error: 'eio', ends: false },
  { call: 'rename', path: '/ledger/mark', error: 'eio', ends: false },
  { call: 'fallocate', path: '/ledger/', error: 'enospc', ends: false, bytes: 1_500_000, memory: '64MiB' },
];

for (const { call, path, error, at = 1, ends, objects = 10, bytes = 20_000, memory = '1MiB' } of cases) {
  test(`${call} number ${at} on ${path} fails with ${error}`, { timeout: 120_000 }, async (t) => {
    const control = await mkdtemp(join(tmpdir(), 'holdfast-preload-'));
    t.after(() => rm(control, { recursive: true, force: true }));
    const arm = join(control, 'armed');
    const hit = join(control, 'hit');
    const server = await Holdfast.start({
      args: ['--log-level', 'error', '--dirty-memory', memory, '--shards', '2'],
      env: { LD_PRELOAD: library, HF_FAULT_CALL: call, HF_FAULT_PATH: path, HF_FAULT_AT: String(at), HF_FAULT_ERROR: error, HF_FAULT_STAYS: ends ? '1' : '0', HF_FAULT_ARM: arm, HF_FAULT_HIT: hit },
    });
    await using _ = server;
    await server.deploy('box', { 'worker.mjs': worker }, {
      bindings: [{ type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' }],
      migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'] }] },
    });
    const acknowledged = new Map();
    const tried = new Map();
    let isOver = false;
    void server.exited.then(() => { isOver = true; });
    const add = async (name) => {
      tried.set(name, (tried.get(name) ?? 0) + 1);
      try {
        const { status, text } = await server.fetch('box', `/add/${name}/${bytes}`);
        if (status === 200) acknowledged.set(name, Number(text));
      } catch {
        // Only a server that ended gives no answer; checked below.
      }
    };
    for (let i = 0; i < objects; i++) await add(`o${i}`);
    await writeFile(arm, '');
    // Until it has happened and a little longer: what comes after a fault is what it is about.
    const deadline = Date.now() + kPatienceMs;
    for (let after = 0; after < 20 && !isOver; after += existsSync(hit) ? 1 : 0) {
      assert.ok(Date.now() < deadline, `the call never came, or the server hangs:\n${server.log}`);
      await Promise.race([Promise.all(Array.from({ length: objects }, (_, i) => add(`o${i}`))), server.exited]);
    }
    assert.ok(existsSync(hit));
    if (ends) {
      const { code } = await Promise.race([server.exited, wait(kPatienceMs, { code: 'it hangs' }, { ref: false })]);
      assert.equal(code, kIoFailure, server.log);
    } else {
      assert.equal(isOver, false, `the server ended:\n${server.log}`);
      // Writes may be refused while what waits for the files is too much, and checkpoints are tried again.
      const before = acknowledged.get('o0');
      while (acknowledged.get('o0') === before) {
        assert.ok(Date.now() < deadline + kPatienceMs, `it does not go on:\n${server.log}`);
        await add('o0');
      }
      await server.kill();
    }
    server.env = {};
    await server.startAgain();
    for (const [name, count] of acknowledged) {
      const [n, rows] = (await server.fetch('box', `/read/${name}`)).json();
      assert.equal(n, rows, `${name} shows half a transaction`);
      assert.ok(n >= count, `${name}: ${count} writes were acknowledged, ${n} are there`);
      assert.ok(n <= tried.get(name), `${name}: ${tried.get(name)} writes were tried, ${n} are there`);
    }
    assert.equal((await server.fetch('box', '/add/o0/1')).status, 200);
  });
}
