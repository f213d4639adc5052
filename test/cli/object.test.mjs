// holdfast object list, export, sql, import: on a running server and on what a kill has left.
import assert from 'node:assert/strict';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';
import { call, contentsOf, deploy, rowsOf, run } from './tools_support.mjs';

async function scratch() {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

test('objects of a running server: listed, exported while they are written, queried', async () => {
  await using server = await Holdfast.start();
  await using dir = await scratch();
  await deploy(server);
  for (let i = 0; i < 20; i++) await call(server, 'add', `box ${i}`, 'a');
  await call(server, 'alarmIn', 'box 3', '3600000');

  const listed = await run(['object', 'list', '--dir', server.dir, '--json', 'Box']);
  assert.equal(listed.code, 0, listed.stderr);
  const objects = listed.stdout.trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(objects.length, 20);
  assert.deepEqual(objects.map((o) => o.id), objects.map((o) => o.id).sort());
  assert.ok(objects.every((o) => o.bytes >= 8192));
  assert.deepEqual(objects.filter((o) => o.name !== null).map((o) => o.name), ['box 3']);
  const page = await run(['object', 'list', '--dir', server.dir, '--json', '--limit', '5', '--after', objects[4].id, 'notes/Box']);
  assert.deepEqual(page.stdout.trim().split('\n').map((line) => JSON.parse(line).id), objects.slice(5, 10).map((o) => o.id));

  // Each export holds a prefix of what was written, and everything that was acknowledged before it began.
  let written = 0;
  let go = true;
  const writing = (async () => {
    while (go) written = await call(server, 'add', 'busy', `n${written}`);
  })();
  for (let i = 0; i < 5; i++) {
    const before = written;
    const file = join(dir.path, `busy-${i}.sqlite`);
    const done = await run(['object', 'export', '--dir', server.dir, 'notes/Box', 'busy', file]);
    assert.equal(done.code, 0, done.stderr);
    const texts = rowsOf(file, 'SELECT text FROM notes ORDER BY id').map((row) => row.text);
    assert.ok(texts.length >= before, `${texts.length} of ${before}`);
    assert.deepEqual(texts, texts.map((_, n) => `n${n}`));
  }
  go = false;
  await writing;

  const again = await run(['object', 'export', '--dir', server.dir, 'Box', 'busy', join(dir.path, 'busy-0.sqlite')]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /is there already.*--force/);
  assert.equal((await run(['object', 'export', '--force', '--dir', server.dir, 'Box', 'busy', join(dir.path, 'busy-0.sqlite')])).code, 0);

  // By address, with a token, by id.
  const url = server.api.replace('/client/v4', '');
  const sql = await run(['object', 'sql', '--url', url, '--json', 'Box', objects[7].id, 'SELECT text, 1.5 AS f, NULL AS n, x\'ab\' AS b FROM notes'], { HOLDFAST_TOKEN: server.token });
  assert.equal(sql.stdout, '{"text":"a","f":1.5,"n":null,"b":"x\'ab\'"}\n', sql.stderr);
  const csv = await run(['object', 'sql', '--dir', server.dir, '--csv', 'Box', 'box 3', `SELECT text, 'a "b", c' AS odd FROM notes`]);
  assert.equal(csv.stdout, 'text,odd\r\na,"a ""b"", c"\r\n');
  const table = await run(['object', 'sql', '--dir', server.dir, 'Box', 'box 3', 'SELECT text, id FROM notes; SELECT 2 AS two']);
  assert.equal(table.stdout, 'text  id\na     1\ntwo\n2\n');
  const refused = await run(['object', 'sql', '--dir', server.dir, 'Box', 'box 3', 'DELETE FROM notes']);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /only reads.*object export.*object import/);
  assert.equal((await run(['object', 'sql', '--url', url, '--token', 'wrong', 'Box', 'x', 'SELECT 1'])).code, 1);
});

test('what a kill has left is shown without a change on disk', async () => {
  await using server = await Holdfast.start();
  await using dir = await scratch();
  await deploy(server);
  await call(server, 'add', 'one', 'first');
  await server.restart();  // now it is in its file
  await call(server, 'add', 'one', 'second');
  await call(server, 'add', 'two', 'only in the ledger');
  await server.kill();
  const before = await contentsOf(server.dir);

  const listed = await run(['object', 'list', '--dir', server.dir, 'Box']);
  assert.equal(listed.stdout.trim().split('\n').length, 3, listed.stderr);
  const file = join(dir.path, 'one.sqlite');
  assert.equal((await run(['object', 'export', '--dir', server.dir, 'Box', 'one', file])).code, 0);
  assert.deepEqual(rowsOf(file, 'SELECT text FROM notes'), [{ text: 'first' }, { text: 'second' }]);
  assert.equal((await run(['object', 'sql', '--dir', server.dir, '--csv', 'Box', 'two', 'SELECT text FROM notes'])).stdout, 'text\r\nonly in the ledger\r\n');
  const verified = await run(['ledger', 'verify', server.dir]);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  const dump = await run(['ledger', 'dump', '--json', server.dir]);
  assert.equal(dump.code, 0, dump.stderr);
  const lines = dump.stdout.trim().split('\n').map((line) => JSON.parse(line));
  const totals = lines.at(-1);
  assert.equal(totals.kind, 'totals');
  const commits = lines.filter((line) => line.kind === 'commit');
  assert.equal(totals.commits, commits.length);
  assert.equal(totals.average_commit_bytes, Math.floor(commits.reduce((sum, c) => sum + c.bytes, 0) / commits.length));
  assert.ok(lines.some((line) => line.kind === 'batch' && line.disk_bytes > line.payload_bytes));
  const one = await run(['ledger', 'dump', '--records', '--object', commits[0].object.slice(0, 8), server.dir]);
  assert.match(one.stdout, new RegExp(`^commit .*${commits[0].object}`, 'm'));
  assert.doesNotMatch(one.stdout, /^batch/m);

  assert.deepEqual(await contentsOf(server.dir), before);
  await server.startAgain();
  assert.deepEqual((await call(server, 'all', 'one')).notes, ['first', 'second']);
});

test('an import replaces a live object, its alarm and nothing else', async () => {
  await using server = await Holdfast.start();
  await using dir = await scratch();
  await deploy(server);
  for (let i = 0; i < 3; i++) await call(server, 'add', 'one', `old ${i}`);
  await call(server, 'add', 'other', 'untouched');
  const { born } = await call(server, 'all', 'one');
  const file = join(dir.path, 'one.sqlite');
  assert.equal((await run(['object', 'export', '--dir', server.dir, 'Box', 'one', file])).code, 0);
  const db = new DatabaseSync(file);
  db.exec("UPDATE notes SET text = 'edited' WHERE id = 2; CREATE TABLE more(x); INSERT INTO more VALUES (randomblob(100000))");
  db.exec('CREATE TABLE IF NOT EXISTS _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB)');
  db.prepare('INSERT INTO _cf_METADATA VALUES (1, ?)').run(BigInt(Date.now() + 400) * 1_000_000n);
  db.close();

  const done = await run(['object', 'import', '--dir', server.dir, '--json', 'Box', 'one', file]);
  assert.equal(done.code, 0, done.stderr);
  assert.ok(JSON.parse(done.stdout).alarm_ms > Date.now() - 60_000);
  const now = await call(server, 'all', 'one');
  assert.notEqual(now.born, born);
  assert.deepEqual(now.notes.slice(0, 3), ['old 0', 'edited', 'old 2']);
  assert.equal(now.last, 'old 2');
  assert.deepEqual((await call(server, 'all', 'other')).notes, ['untouched']);
  while (!(await call(server, 'all', 'one')).notes.includes('alarm ran'));  // the imported alarm fires

  // Under load: the object answers with the old, an error, or the new; afterwards with the new only.
  let go = true;
  const failures = [];
  const load = (async () => {
    while (go) await call(server, 'add', 'busy', 'written').catch((error) => failures.push(error.message));
  })();
  for (let i = 0; i < 3; i++) {
    const imported = await run(['object', 'import', '--dir', server.dir, 'Box', 'busy', file]);
    assert.equal(imported.code, 0, imported.stderr);
  }
  go = false;
  await load;
  assert.deepEqual((await call(server, 'all', 'busy')).notes.slice(0, 3), ['old 0', 'edited', 'old 2']);
  for (const text of failures) assert.match(text, /storage was replaced|storage of this Durable Object/);

  // It is durable, and so on a stopped server.
  await server.kill();
  const offline = await run(['object', 'import', '--dir', server.dir, 'notes/Box', 'offline', file]);
  assert.equal(offline.code, 0, offline.stderr);
  await server.startAgain();
  assert.deepEqual((await call(server, 'all', 'one')).notes.slice(0, 3), ['old 0', 'edited', 'old 2']);
  while (!(await call(server, 'all', 'offline')).notes.includes('alarm ran'));
});

test('what cannot be done is refused with a reason', async () => {
  await using server = await Holdfast.start();
  await using dir = await scratch();
  await deploy(server);
  await deploy(server, 'second');
  await call(server, 'add', 'one', 'a');
  const at = (name) => join(dir.path, name);
  const make = (name, sql) => {
    const db = new DatabaseSync(at(name));
    db.exec(sql);
    db.close();
    return at(name);
  };
  await writeFile(at('text'), 'no database at all, but long enough to look at '.repeat(50));
  const good = make('good.sqlite', 'CREATE TABLE t(a)');
  const cases = [
    [['export', 'Box', 'one', at('out')], /several namespaces are called 'Box': say which, .*notes\/Box/],
    [['export', 'notes/Nothing', 'one', at('out')], /no Durable Object namespace 'notes\/Nothing'/],
    [['export', 'notes/Box', 'never', at('out')], /stores nothing/],
    [['export', '--id', 'notes/Box', 'one', at('out')], /64 hexadecimal digits/],
    [['export', 'notes/Box', 'a'.repeat(64), at('out')], /not the id of an object of this namespace/],
    [['export', 'notes/Box', 'one', join(dir.path, 'no', 'such', 'folder')], /No such file/],
    [['import', 'notes/Box', 'one', at('text')], /not a SQLite database/],
    [['import', 'notes/Box', 'one', at('missing')], /cannot be opened/],
    [['import', 'notes/Box', 'one', make('kv.sqlite', 'CREATE TABLE _cf_KV(a, b)')], /foreign shape/],
    [['import', 'notes/Box', 'one', make('own.sqlite', 'CREATE TABLE _cf_mine(a)')], /Holdfast's own/],
    [['sql', 'notes/Box', 'one', 'SELECT nonsense'], /no such column/],
    [['sql', 'notes/Box', 'one', "ATTACH '/tmp/x' AS x"], /not authorized/],
    [['sql', 'notes/Box', 'one', ' -- nothing'], /no statement/],
  ];
  for (const [args, named] of cases) {
    const answer = await run(['object', args[0], '--dir', server.dir, ...args.slice(1)]);
    assert.equal(answer.code, 1, `${args.join(' ')}: ${answer.stdout}`);
    assert.match(answer.stderr, /^holdfast: /);
    assert.match(answer.stderr, named);
  }
  await assert.rejects(access(at('out')));
  await assert.rejects(access(at('out.partial')));
  assert.deepEqual((await call(server, 'all', 'one')).notes, ['a']);

  const wrongTargets = [
    ['https://example.com', /only http:/],
    ['http://127.0.0.1', /expected http:\/\/HOST:PORT/],
    ['http://127.0.0.1:1', /a token is needed/],
    [dir.path, /not a directory that a Holdfast server has used/],
  ];
  for (const [where, named] of wrongTargets) {
    const answer = await run(['object', 'list', '--dir', where, 'Box']);
    assert.equal(answer.code, 1);
    assert.match(answer.stderr, named);
  }
  assert.match((await run(['object', 'list', '--dir', 'http://127.0.0.1:1', '--token', 'x', 'Box'])).stderr, /cannot reach the server/);
  assert.equal((await run(['object', 'list', '--after', 'x', 'Box'])).code, 2);
  assert.equal((await run(['object', 'export', 'Box', 'one'])).code, 2);
  assert.equal((await run(['object', 'export', '--id', '--name', 'Box', 'one', good])).code, 2);

  // A body sent past the command is checked as well.
  const info = await server.call('GET', '/holdfast/namespaces/notes%2FBox');
  const objects = await server.call('GET', `/holdfast/namespaces/${info.result.id}/objects`);
  const path = `/accounts/${server.account}/holdfast/namespaces/${info.result.id}/objects/${objects.result[0].id}/database`;
  const put = (body, headers = {}) => fetch(server.api + path, { method: 'PUT', body, headers: { authorization: `Bearer ${server.token}`, ...headers } });
  const answer = await put('x'.repeat(5000));
  assert.equal(answer.status, 400);
  assert.match((await answer.json()).errors[0].message, /^the database is not a SQLite database/);
  assert.equal((await put('x', { authorization: 'Bearer wrong' })).status, 403);
  assert.deepEqual((await call(server, 'all', 'one')).notes, ['a']);
});
