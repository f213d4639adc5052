// Compatibility dates and flags: resolved as workerd resolves them; each that we say we honour makes the same difference on
// both; the table in the documents is that of the code.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { honoured } from '../../src/web/compat_status.ts';
import { allFlags, checkFlags, resolveFlags } from '../../src/web/compat_table.ts';
import { document, problems } from '../../tools/compat-table.mjs';
import { Holdfast } from '../support/holdfast.mjs';
import { Workerd } from '../support/workerd.mjs';
import { probes, resolve } from './flag_probes.mjs';

test('every flag has one status, and the documents say which', async () => {
  assert.deepEqual(problems(), []);
  const { now, wanted } = await document();
  assert.equal(now, wanted, 'run tools/compat-table');
});

test('honoured is what the code asks for', async () => {
  const source = fileURLToPath(new URL('../../src', import.meta.url));
  const asked = new Set();
  for (const file of await readdir(source, { recursive: true })) {
    if (!file.endsWith('.ts') || file.endsWith('compat_table.ts') || file.endsWith('compat_status.ts')) continue;
    const text = await readFile(`${source}/${file}`, 'utf8');
    for (const [, name] of text.matchAll(/\b(?:flag|hasFlag)\('([^']+)'\)/g)) asked.add(name);
    if (file.endsWith('legacy.ts')) for (const [, name] of text.matchAll(/^ {2,4}\[?'([a-z_]+)',(?: \[|$)/gm)) asked.add(name);
  }
  assert.deepEqual([...asked].sort(), Object.keys(honoured).sort(), 'say so in src/web/compat_status.ts, and run tools/compat-table');
});

const reporter = { 'm.mjs': 'export default { fetch: () => Response.json(Cloudflare.compatibilityFlags) };' };

test('dates and flags come to what they do in workerd', async () => {
  const cases = [
    ...['2021-11-02', '2021-11-10', '2022-11-30', '2023-08-01', '2024-03-26', '2024-09-23', '2025-04-01', '2025-09-15', '2026-01-20', '2026-04-21', '2026-09-15', '2026-11-24'].map((date) => [date, []]),
    ...['2024-09-22', '2024-09-23', '2025-08-15', '2025-09-01', '2026-03-17'].map((date) => [date, ['nodejs_compat']]),
    ['2026-08-10', ['no_nodejs_compat']],
    ['2026-08-10', ['no_nodejs_compat_v2']],
    ['2026-05-01', ['no_rpc', 'nodejs_als', 'disallow_importable_env']],
    ['2025-01-01', ['nodejs_compat', 'enable_nodejs_http_modules', 'enable_request_signal']],
  ];
  for (const [date, flags] of cases) {
    await using workerd = await Workerd.start({ modules: reporter, date, flags });
    const reported = await (await workerd.fetch('/')).json();
    assert.deepEqual(allFlags.map((flag) => flag.enable).sort(), Object.keys(reported).sort());
    const expected = Object.keys(reported).filter((name) => reported[name]);
    assert.deepEqual([...resolveFlags(date, flags)].sort(), expected.sort(), `${date} ${flags}`);
  }
});

test('what cannot be is refused with the text of workerd', async () => {
  await using holdfast = await Holdfast.start({ args: ['--shards', '1'] });
  const deploy = (date, flags) => holdfast.deploy('refused', reporter, { date, flags }).then(
    () => 'deployed',
    ({ answer }) => {
      assert.equal(answer.status, 400);
      assert.deepEqual(answer.errors.map((e) => e.code), [10021]);
      return answer.errors[0].message;
    },
  );
  for (const [date, flags] of [['2026-05-01', ['nonsense']], ['2026-05-01', ['nodejs_compat', 'nodejs_compat']], ['2026-05-01', ['nodejs_compat', 'no_nodejs_compat']]]) {
    const said = await Workerd.start({ modules: reporter, date, flags }).catch((error) => error.message);
    const text = /service main: (.*)/.exec(said)[1];
    assert.equal(await deploy(date, flags), text);
    assert.deepEqual(checkFlags(date, flags), [text]);
  }
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  const today = new Date().toISOString().slice(0, 10);
  assert.equal(await deploy(tomorrow, []), `Can't set compatibility date in the future: "${tomorrow}". Today's date (UTC) is "${today}".`);
  assert.equal(await deploy(today, []), 'deployed');
  assert.match(await deploy('2026-05-01', ['webgpu']), /webgpu is experimental/);
});

test('each honoured flag makes the difference that it makes in workerd', async (t) => {
  await using holdfast = await Holdfast.start({ args: ['--shards', '1'] });
  const texts = { A_TEXT: 'seen' };
  const binding = { bindings: [{ type: 'durable_object_namespace', name: 'OBJ', class_name: 'Obj' }, { type: 'plain_text', name: 'A_TEXT', text: 'seen' }], migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Obj'] }] } };
  const tested = new Set(probes.map((probe) => probe.flag));
  // Told apart by a client that goes away: test/web/http.test.mjs.
  tested.add('enable_request_signal');
  tested.add('durable_object_io_tasks_prevent_eviction'); // test/actor/life.test.mjs
  tested.add('web_socket_compression'); // test/web/websocket.test.mjs
  assert.deepEqual(Object.keys(honoured).filter((name) => !tested.has(name)), []);
  for (const [i, probe] of probes.entries()) {
    await t.test(probe.flag, async () => {
      const answers = {};
      for (const state of ['on', 'off']) {
        const { date, flags, modules } = resolve(probe, state);
        assert.equal(resolveFlags(date, flags).has(probe.flag), state === 'on', `${date} ${flags}`);
        await using workerd = await Workerd.start({ modules, date, flags, texts, classes: { Obj: { binding: 'OBJ' } } });
        const expected = await (await workerd.fetch('/')).text();
        await holdfast.deploy(`f${i}${state}`, modules, { date, flags, ...binding });
        assert.equal((await holdfast.fetch(`f${i}${state}`)).text, expected, state);
        answers[state] = expected;
      }
      assert.notEqual(answers.on, answers.off, 'the probe sees the flag');
    });
  }
});
