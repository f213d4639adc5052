// A full disk (architecture.md 7): writes are refused with SQLITE_FULL, reads go on, a deploy fails whole, /healthz
// says why, and when space is back all goes on without a restart. Once with injected errors, once on a real small file
// system, which needs the right to mount.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Holdfast } from '../support/holdfast.mjs';

const worker = `
import { DurableObject } from 'cloudflare:workers';
export class Box extends DurableObject {
  async add() { const n = ((await this.ctx.storage.get('n')) ?? 0) + 1; await this.ctx.storage.put('n', n); return n; }
  async read() { return (await this.ctx.storage.get('n')) ?? 0; }
  // A megabyte that does not compress, and its number, in one transaction.
  async fill() {
    const bytes = new Uint8Array(1_000_000);
    for (let i = 0; i < bytes.length; i += 65_536) crypto.getRandomValues(bytes.subarray(i, i + 65_536));
    const n = ((await this.ctx.storage.get('filled')) ?? 0) + 1;
    await this.ctx.storage.put({ filled: n, ['b' + n]: bytes });
    return n;
  }
  async filled() {
    const n = (await this.ctx.storage.get('filled')) ?? 0;
    const { size } = await this.ctx.storage.list({ prefix: 'b' });
    return size === n ? n : 'half a transaction: ' + size + ' of ' + n;
  }
  async arm(ms) { await this.ctx.storage.setAlarm(Date.now() + ms); return 'armed'; }
  async alarm({ retryCount }) { await this.ctx.storage.put({ fired: retryCount, weight: new Uint8Array(2_000_000).map((_, i) => (i * 2654435761) >>> 13) }); }
  async fired() { return (await this.ctx.storage.get('fired')) ?? 'no'; }
}
export default {
  async fetch(request, env) {
    const [, method, name, x] = new URL(request.url).pathname.split('/');
    try {
      return new Response(String(await env.BOX.getByName(name)[method](Number(x))));
    } catch (error) {
      return Response.json({ message: error.message, reset: error.durableObjectReset ?? false }, { status: 500 });
    }
  },
};`;
const box = {
  bindings: [{ type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' }],
  migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'] }] },
};
const full = { message: 'database or disk is full: SQLITE_FULL', reset: true };
const health = async (server) => await fetch(server.api.replace('/client/v4', '/healthz')).then(async (r) => ({ code: r.status, ...(await r.json()) }));

// Fills objects until each of them is refused; returns what was acknowledged of each.
async function fill(server) {
  const acknowledged = { f0: 0, f1: 0, f2: 0 };
  for (const open = new Set(Object.keys(acknowledged)); open.size > 0; ) {
    for (const name of open) {
      const { status, text, json } = await server.fetch('box', `/fill/${name}`);
      if (status === 200) acknowledged[name] = Number(text);
      else {
        assert.deepEqual(json(), full);
        open.delete(name);
      }
      assert.ok(acknowledged[name] < 400, 'the disk is never full');
    }
  }
  return acknowledged;
}

async function check(server, acknowledged) {
  for (const [name, n] of Object.entries(acknowledged)) assert.equal((await server.fetch('box', `/filled/${name}`)).text, String(n), name);
}

async function eventually(what, wanted) {
  for (const deadline = Date.now() + 30_000; ; await wait(50)) {
    const got = await what();
    if (got === wanted) return;
    assert.ok(Date.now() < deadline, `${got} never became ${wanted}`);
  }
}

test('a full disk, injected: writes are refused, reads and other objects go on, no alarm is lost', { timeout: 60_000 }, async (t) => {
  const control = await mkdtemp(join(tmpdir(), 'holdfast-disk-'));
  t.after(() => rm(control, { recursive: true, force: true }));
  await using server = await Holdfast.start({ env: { HOLDFAST_TEST_DISK: control }, args: ['--log-level', 'error'] });
  await server.deploy('box', { 'worker.mjs': worker }, box);
  assert.equal((await server.fetch('box', '/add/a')).text, '1');
  assert.equal((await server.fetch('box', '/arm/late/5000')).text, 'armed');
  await writeFile(join(control, 'enospc'), '');
  const acknowledged = await fill(server);
  await check(server, acknowledged);
  assert.equal((await server.fetch('box', '/read/a')).text, '1');
  const sick = await health(server);
  assert.equal(sick.code, 503);
  assert.match(sick.reason, /the ledger needs \d+ bytes in .*\/ledger, 0 are free/);
  // Nobody else writes now: what is refused is the alarm's.
  const refusals = () => server.log.split('storage: the ledger needs').length;
  const before = refusals();
  await eventually(async () => refusals() > before, true);
  assert.equal((await server.fetch('box', '/fired/late')).text, 'no');

  await rm(join(control, 'enospc'));
  assert.equal((await health(server)).code, 200);
  assert.equal((await server.fetch('box', '/add/a')).text, '2');
  await check(server, acknowledged);
  // What failed because of the disk does not count as one of the alarm's retries.
  await eventually(async () => (await server.fetch('box', '/fired/late')).text, '0');
});

test('a file system that is full', { timeout: 120_000 }, async (t) => {
  const mount = await mkdtemp(join(tmpdir(), 'holdfast-full-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160m', 'holdfast-test', mount], { stdio: 'pipe' });
  } catch (error) {
    await rm(mount, { recursive: true });
    return t.skip(`cannot mount a tmpfs here (not root?): ${String(error.stderr ?? error.message).trim()}`);
  }
  t.after(async () => {
    execFileSync('umount', ['--lazy', mount]);
    await rm(mount, { recursive: true });
  });
  const dir = join(mount, 'data');
  await using server = await Holdfast.start({ dir, args: ['--log-level', 'error'] });
  await server.deploy('box', { 'worker.mjs': worker }, box);
  assert.equal((await server.fetch('box', '/add/a')).text, '1');
  const acknowledged = await fill(server);
  const ballast = join(mount, 'ballast');
  assert.throws(() => execFileSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=64k'], { stdio: 'pipe' }), /No space left/);
  await check(server, acknowledged);
  assert.equal((await server.fetch('box', '/read/a')).text, '1');
  assert.equal((await health(server)).code, 503);

  const second = { 'worker.mjs': `${worker.replace('String(await', "'second ' + String(await")}\n//${'x'.repeat(2_000_000)}` };
  const failed = await server.deploy('box', second, { bindings: box.bindings }).then(() => null, ({ answer }) => answer);
  assert.equal(failed?.status, 507);
  assert.match(failed.errors[0].message, /the disk is full/);
  assert.equal((await server.fetch('box', '/read/a')).text, '1', 'the old version goes on');

  await server.kill();
  await assert.rejects(server.startAgain(), (error) => {
    assert.match(error.message, /ended \(1\)/);
    assert.match(error.message, /holdfast: .*full-.*(is full|No space left on device)/);
    return true;
  });

  await rm(ballast);
  execFileSync('mount', ['-o', 'remount,size=600m', mount]);
  await server.startAgain();
  await check(server, acknowledged);
  assert.equal((await server.fetch('box', '/add/a')).text, '2');
  await server.deploy('box', second, { bindings: box.bindings });
  await eventually(async () => (await server.fetch('box', '/read/a')).text, 'second 2');
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});
