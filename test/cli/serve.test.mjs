// The command line as a user meets it: help, errors, the lock, the token, draining, the plain SQLite files.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
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
  const wrong = [
    [['serve', '--nonsense'], /--nonsense/],
    [['fly'], /no command 'fly'/],
    [[], /subcommand is required/],
    [['serve', '--listen', 'x'], /expected HOST:PORT, got 'x'/],
    [['serve', '--log', 'xml'], /expected text or json, got 'xml'/],
    [['serve', '--token', 'a b'], /--token/],
    [['serve', '--domain', ''], /--domain/],
  ];
  for (const [args, named] of wrong) {
    const answer = await run(args);
    assert.equal(answer.code, 2, args.join(' '));
    assert.match(answer.stderr, /^holdfast: /);
    assert.match(answer.stderr, named);
  }
  const variable = await run(['serve'], { HOLDFAST_LOG_LEVEL: 'loud' });
  assert.equal(variable.code, 2);
  assert.match(variable.stderr, /expected debug, info, warn or error, got 'loud'/);
});

test('env without a server says so, and an empty token file is refused', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
  const env = await run(['env', '--dir', dir]);
  assert.equal(env.code, 1);
  assert.match(env.stderr, /no server has run with --dir/);
  await writeFile(join(dir, 'token'), '');
  const serve = await run(['serve', '--dir', dir, '--listen', '127.0.0.1:0', '--api', '127.0.0.1:0']);
  assert.equal(serve.code, 1);
  assert.match(serve.stderr, /token is empty: delete it/);
  await rm(dir, { recursive: true });
});

test('every log line is JSON with --log json, and a second signal ends a drain at once', async () => {
  await using server = await Holdfast.start({ args: ['--log', 'json', '--log-level', 'debug'] });
  const source = `export default { async fetch(request) {
    console.log('a line\\nbreak "quoted" \\u0000\\ud800', { a: 1 });
    if (request.url.endsWith('/wait')) await new Promise((resolve) => setTimeout(resolve, 60_000));
    throw new Error('two\\nlines');
  } };`;
  await server.deploy('noisy', { 'index.js': source });
  assert.equal((await server.fetch('noisy')).status, 500);
  const waiting = server.fetch('noisy', '/wait').catch((error) => error);
  await server.logged(/a line[^]*a line/);
  server.child.kill('SIGINT');
  await server.logged(/draining/);
  server.child.kill('SIGINT');
  assert.deepEqual(await server.exited, { code: 130, signal: null });
  assert.ok((await waiting) instanceof Error);
  const lines = server.log.trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(lines.some((line) => line.level === 'error' && line.script === 'noisy'));
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
