// holdfast backup, restore, ledger verify: under load, killed in the middle, on a full disk, with damage.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Holdfast, launcher } from '../support/holdfast.mjs';
import { call, contentsOf, deploy, flipByte, run } from './tools_support.mjs';

async function scratch() {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
const exists = (path) => access(path).then(() => true, () => false);

// Writers of `count` boxes, one after another each; `acknowledged[i]` is what box i has answered last.
function load(server, count) {
  const acknowledged = Array.from({ length: count }, () => 0);
  let go = true;
  const writers = acknowledged.map(async (_, i) => {
    while (go) {
      try {
        acknowledged[i] = await call(server, 'add', `box ${i}`, `n${acknowledged[i]}`);
      } catch (error) {
        if (go) throw error;
      }
    }
  });
  return { acknowledged, async stop() { go = false; await Promise.all(writers); } };
}

// Every box is a prefix of what was written, with at least what had been acknowledged.
async function check(server, acknowledged) {
  for (let i = 0; i < acknowledged.length; i++) {
    const { notes, last } = await call(server, 'all', `box ${i}`);
    assert.ok(notes.length >= acknowledged[i], `box ${i}: ${notes.length} of ${acknowledged[i]}`);
    assert.deepEqual(notes, notes.map((_, n) => `n${n}`));
    assert.equal(last, notes.at(-1));
  }
}

test('a backup under load holds all that was acknowledged before it, and serves', async () => {
  await using server = await Holdfast.start();
  await using dir = await scratch();
  await deploy(server);
  // Checkpoints and new segments come between.
  const filling = Promise.all([0, 1, 2].map((i) => call(server, 'fill', `large ${i}`, '50')));
  for (let i = 0; i < 300; i++) await call(server, 'add', `idle ${i}`, 'idle');
  await call(server, 'alarmIn', 'sleeper', '3600000');
  const writing = load(server, 16);
  const backups = [];
  for (let i = 0; i < 4; i++) {
    const before = [...writing.acknowledged];
    const dest = join(dir.path, `backup-${i}`);
    const url = i % 2 === 0 ? server.dir : server.api.replace('/client/v4', '');
    const done = await run(['backup', '--json', url, dest], { CLOUDFLARE_API_TOKEN: server.token });
    assert.equal(done.code, 0, done.stderr);
    const manifest = JSON.parse(done.stdout);
    assert.ok(manifest.ledger.end >= manifest.ledger.retired);
    backups.push({ dest, before });
    assert.ok(!(await exists(join(dest, 'token'))));
    assert.ok(!(await exists(join(dest, 'node.json'))));
  }
  await filling;
  await writing.stop();
  for (const { dest, before } of backups) {
    const verified = await run(['ledger', 'verify', dest]);
    assert.equal(verified.code, 0, verified.stdout);
    const restored = join(dir.path, 'restored');
    const done = await run(['restore', dest, restored]);
    assert.equal(done.code, 0, done.stderr);
    await using copy = await Holdfast.start({ dir: restored });
    await check(copy, before);
    assert.deepEqual((await call(copy, 'all', 'idle 7')).notes, ['idle']);
    assert.ok((await call(copy, 'alarmAt', 'sleeper')) > Date.now());
    await copy.stop();
    assert.equal((await run(['ledger', 'verify', restored])).code, 0);
    await rm(restored, { recursive: true });
  }
  // The server itself is none the worse.
  assert.deepEqual(await readdir(join(server.dir, 'tmp')), []);
  await server.restart();
  await check(server, writing.acknowledged);
});

test('a backup of a directory that was killed, with the token', async () => {
  await using server = await Holdfast.start();
  await using dir = await scratch();
  await deploy(server);
  const writing = load(server, 4);
  while (Math.min(...writing.acknowledged) < 10) await new Promise(setImmediate);
  writing.stop();
  await server.kill();
  const before = await contentsOf(server.dir);
  const dest = join(dir.path, 'backup');
  const done = await run(['backup', '--with-token', server.dir, dest]);
  assert.equal(done.code, 0, done.stderr);
  assert.deepEqual(await contentsOf(server.dir), before);
  assert.equal(await readFile(join(dest, 'token'), 'utf8'), `${server.token}\n`);
  assert.equal((await stat(join(dest, 'token'))).mode & 0o777, 0o600);
  assert.equal((await run(['restore', dest, join(dir.path, 'restored')])).code, 0);
  await using copy = await Holdfast.start({ dir: join(dir.path, 'restored') });
  assert.equal(copy.token, server.token);
  await check(copy, writing.acknowledged);
});

test('killed in the middle, on either side, no backup appears', async () => {
  await using server = await Holdfast.start();
  await using dir = await scratch();
  await deploy(server);
  // Large enough that a kill comes in the middle.
  for (let i = 0; i < 4; i++) await call(server, 'fill', `large ${i}`, '25');
  const dest = join(dir.path, 'backup');
  for (const victim of ['client', 'server', 'client']) {
    const client = spawn(launcher, ['backup', server.dir, dest], { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    client.stderr.on('data', (data) => (stderr += data));
    const exited = once(client, 'exit');
    while (!(await exists(`${dest}.partial`))) await new Promise(setImmediate);
    if (victim === 'client') {
      client.kill('SIGKILL');
      await exited;
    } else {
      await server.kill();
      const [code] = await exited;
      if (code === 0) {  // it was through already
        assert.equal((await run(['ledger', 'verify', dest])).code, 0);
        await rm(dest, { recursive: true });
      } else {
        assert.match(stderr, /holdfast: /);
        assert.ok(!(await exists(`${dest}.partial`)));
      }
      await server.startAgain();
    }
    assert.ok(!(await exists(dest)), victim);
  }
  // What the kill has left is no obstacle.
  assert.equal((await run(['backup', server.dir, dest])).code, 0);
  assert.ok(!(await exists(`${dest}.partial`)));
  // A drain does not wait for a client that takes its time.
  const slow = await fetch(`${server.api}/accounts/${server.account}/holdfast/backup`, { method: 'POST', headers: { authorization: `Bearer ${server.token}` } });
  assert.equal(slow.status, 200);
  const started = Date.now();
  assert.equal((await server.stop()).code, 0);
  assert.ok(Date.now() - started < 20_000);
  await assert.rejects(slow.arrayBuffer());
});

test('a full disk and wrong destinations leave nothing that looks like a backup', async () => {
  await using server = await Holdfast.start();
  await using dir = await scratch();
  await deploy(server);
  await call(server, 'add', 'one', 'a');
  const dest = join(dir.path, 'backup');
  await mkdir(join(dir.path, 'control'));
  await writeFile(join(dir.path, 'control', 'enospc'), 'ledger/segment');
  const full = await run(['backup', server.dir, dest], { HOLDFAST_TEST_DISK: join(dir.path, 'control') });
  assert.equal(full.code, 1);
  assert.match(full.stderr, /No space left|no space|full/i);
  assert.ok(!(await exists(dest)));
  assert.ok(!(await exists(`${dest}.partial`)));

  await mkdir(dest);
  await writeFile(join(dest, 'mine'), '');
  assert.match((await run(['backup', server.dir, dest])).stderr, /there already and not empty/);
  await rm(join(dest, 'mine'));
  assert.equal((await run(['backup', server.dir, dest])).code, 0);  // an empty one will do
  assert.match((await run(['backup', server.dir, dest])).stderr, /not empty/);
  assert.match((await run(['restore', server.dir, join(dir.path, 'r')])).stderr, /is not a backup/);
  assert.match((await run(['restore', dest, server.dir])).stderr, /not empty/);
  assert.ok(!(await exists(join(dir.path, 'r'))));

  // A backup that lost a file, or has one byte too many, is not restored.
  const short = join(dir.path, 'short');
  await cp(dest, short, { recursive: true });
  const objects = (await readdir(join(short, 'ledger'))).filter((name) => name.startsWith('segment'));
  await rm(join(short, 'ledger', objects[0]));
  const refused = await run(['restore', short, join(dir.path, 'r')]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /not what the backup has made/);
  assert.ok(!(await exists(join(dir.path, 'r'))));
});

test('verify finds damage in every kind of file, with file and offset', async () => {
  await using server = await Holdfast.start();
  await using dir = await scratch();
  await deploy(server);
  await call(server, 'alarmIn', 'sleeper', '3600000');
  for (let i = 0; i < 30; i++) await call(server, 'add', 'one', `n${i}`);
  await server.restart();
  for (let i = 0; i < 30; i++) await call(server, 'add', 'two', `n${i}`);
  const refused = await run(['ledger', 'verify', server.dir]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, new RegExp(`another Holdfast \\(process ${server.child.pid}\\)`));
  await server.kill();
  assert.equal((await run(['ledger', 'verify', server.dir])).code, 0);

  const dump = (await run(['ledger', 'dump', '--batches', '--json', server.dir])).stdout.trim().split('\n').map((line) => JSON.parse(line));
  const batches = dump.filter((line) => line.kind === 'batch');
  const batch = batches[Math.floor(batches.length / 2)];
  const object = (await readdir(join(server.dir, 'objects'), { recursive: true })).find((name) => name.endsWith('.sqlite'));
  const catalogBytes = (await stat(join(server.dir, 'catalog.sqlite'))).size;
  const within = (path) => path.slice(server.dir.length + 1);
  const damages = [
    { file: 'ledger/mark', at: 20, offset: /at offset 0/ },
    { file: within(batch.file), at: batch.offset + 70, offset: new RegExp(`at offset ${batch.offset}:`) },
    { file: within(batch.file), at: 5, offset: /at offset 0: this copy/ },
    { file: join('objects', object), at: 2, offset: /at offset 0: not a SQLite database/ },
    { file: join('objects', object), at: 20, offset: /at offset 20:/ },
    { file: 'alarms', at: 12, offset: /at offset 0: .*checksum/ },
    ...(catalogBytes > 4096 ? [{ file: 'catalog.sqlite', at: 4096, offset: /page 2|offset 4096/ }] : []),
  ];
  for (const { file, at, offset } of damages) {
    const copy = join(dir.path, 'copy');
    await cp(server.dir, copy, { recursive: true });
    await flipByte(join(copy, file), at);
    const found = await run(['ledger', 'verify', copy]);
    assert.equal(found.code, 1, `${file}: ${found.stdout}${found.stderr}`);
    const line = found.stdout.split('\n').find((text) => text.includes(join(copy, file)));
    assert.ok(line, `${file} is not named:\n${found.stdout}`);
    assert.match(line, offset);
    assert.match(found.stdout, /DAMAGE FOUND/);
    const json = JSON.parse((await run(['ledger', 'verify', '--json', copy])).stdout);
    assert.equal(json.ok, false);
    assert.ok(json.findings.length > 0);
    await rm(copy, { recursive: true });
  }
});

test('every command has a manual', async () => {
  for (const command of ['ledger verify', 'ledger dump', 'object list', 'object export', 'object import', 'object sql', 'backup', 'restore', 'history']) {
    const { code, stdout } = await run([...command.split(' '), '--help']);
    assert.equal(code, 0);
    for (const head of ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'OPTIONS', 'EXIT CODES', 'EXAMPLES']) assert.match(stdout, new RegExp(`^${head}$`, 'm'), `${command}: ${head}`);
    assert.match(stdout, new RegExp(`holdfast ${command} `));
    assert.ok(stdout.split('\n').every((line) => line.length <= 132), `${command}: a long line`);
  }
  for (const args of [['ledger'], ['ledger', 'fly'], ['object'], ['backup'], ['backup', 'x'], ['restore'], ['ledger', 'dump', '--records', '--batches', 'x'], ['ledger', 'dump', '--object', 'zz', 'x']]) {
    const wrong = await run(args);
    assert.equal(wrong.code, 2, args.join(' '));
    assert.match(wrong.stderr, /^holdfast: /);
  }
});

test('history says what it costs', async () => {
  await using server = await Holdfast.start();
  const online = await run(['history', '--json', server.dir]);
  assert.equal(online.code, 0, online.stderr);
  assert.ok(Number.isInteger(JSON.parse(online.stdout).bytes));
  await server.stop();
  const offline = await run(['history', server.dir]);
  assert.match(offline.stdout, /^history: \d+ files, \d+ bytes/);
});
