// The command line as a user meets it: help, errors, the lock, the token, draining, the plain SQLite files.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Holdfast, launcher } from '../support/holdfast.mjs';

const run = (args, env = {}) =>
  promisify(execFile)(launcher, args, { env: { ...process.env, ...env } }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  );

const worker = `
import { DurableObject } from 'cloudflare:workers';
export class Box extends DurableObject {
  async put(key, value) { await this.ctx.storage.put(key, value); this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS notes(text TEXT)'); this.ctx.storage.sql.exec('INSERT INTO notes VALUES (?)', value); }
  async slow(ms) { await new Promise((resolve) => setTimeout(resolve, ms)); return 'done'; }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const box = env.BOX.getByName('one');
    if (url.pathname === '/slow') return new Response(await box.slow(1000));
    await box.put('key', 'value of the note');
    return new Response('stored');
  },
};`;
const deploy = (server) =>
  server.deploy('box', { 'worker.mjs': worker }, {
    bindings: [{ type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' }],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'] }] },
  });

test('help and version leave with 0, what is not understood with 2', async () => {
  const help = await run(['--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /serve/);
  assert.match((await run(['serve', '--help'])).stdout, /--listen/);
  assert.match((await run(['--version'])).stdout, /^holdfast \d+\.\d+\.\d+\n$/);
  for (const wrong of [['serve', '--nonsense'], ['fly'], [], ['serve', '--listen', 'x']]) {
    const answer = await run(wrong);
    assert.equal(answer.code, 2, wrong.join(' '));
    assert.match(answer.stderr, /holdfast: /);
  }
});

test('the token is made once with mode 0600, and env prints what clients need', async () => {
  await using server = await Holdfast.start();
  assert.equal((await stat(join(server.dir, 'token'))).mode & 0o777, 0o600);
  const { stdout } = await run(['env', '--dir', server.dir]);
  assert.equal(stdout, `export CLOUDFLARE_API_BASE_URL=${server.api}\nexport CLOUDFLARE_API_TOKEN=${server.token}\nexport CLOUDFLARE_ACCOUNT_ID=${server.account}\nexport CLOUDFLARE_BASE_URL=${server.api}\n`);
  const { token } = server;
  await server.restart();
  assert.equal(server.token, token);
});

test('a second server on the same directory is refused and told who holds it', async () => {
  await using server = await Holdfast.start();
  const second = await run(['serve', '--dir', server.dir, '--listen', '127.0.0.1:0', '--api', '127.0.0.1:0']);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /another Holdfast \(process \d+\) is using the directory/);
});

test('a port that is taken is named', async () => {
  await using server = await Holdfast.start();
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
  const second = await run(['serve', '--dir', dir, '--listen', `127.0.0.1:${server.port}`, '--api', '127.0.0.1:0']);
  assert.equal(second.code, 1);
  assert.match(second.stderr, new RegExp(String(server.port)));
  await rm(dir, { recursive: true });
});

test('SIGTERM finishes what runs and leaves with 0', async () => {
  await using server = await Holdfast.start();
  await deploy(server);
  assert.equal((await server.fetch('box')).text, 'stored');
  const slow = server.fetch('box', '/slow');
  await new Promise((resolve) => setTimeout(resolve, 200));
  const stopped = server.stop();
  assert.equal((await slow).text, 'done');
  assert.deepEqual(await stopped, { code: 0, signal: null });
});

test('after a clean stop an object is a plain SQLite file', async () => {
  await using server = await Holdfast.start();
  await deploy(server);
  await server.fetch('box');
  assert.equal((await server.stop()).code, 0);
  const files = (await readdir(join(server.dir, 'objects'), { recursive: true })).filter((name) => name.endsWith('.sqlite'));
  assert.equal(files.length, 1);
  assert.match(files[0], /^[0-9a-f]{32}\/[0-9a-f]{2}\/[0-9a-f]{64}\.sqlite$/);
  const { stdout } = await promisify(execFile)('sqlite3', [join(server.dir, 'objects', files[0]), '.dump']);
  assert.match(stdout, /INSERT INTO notes VALUES\('value of the note'\)/);
  assert.match(stdout, /_cf_KV/);
  const check = await promisify(execFile)('sqlite3', [join(server.dir, 'objects', files[0]), 'PRAGMA integrity_check']);
  assert.equal(check.stdout, 'ok\n');
  await server.startAgain();
  assert.equal((await server.fetch('box')).text, 'stored');
});
