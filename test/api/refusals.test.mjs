// What a deploy is refused for: the reason names what is wrong, nothing changes, and the server lives on.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';

const plain = (text) => `export default { fetch() { return new Response(${JSON.stringify(text)}); } };`;

let server;
before(async () => {
  server = await Holdfast.start();
  await server.deploy('app', { 'index.js': plain('runs') });
});
after(() => server[Symbol.asyncDispose]());

async function refused(modules, options, code, pattern) {
  const error = await server.deploy('app', modules, options).then(() => assert.fail('accepted'), (thrown) => thrown);
  assert.ok(error.answer, error.message);
  assert.equal(error.answer.status, 400);
  assert.equal(error.answer.errors[0].code, code);
  assert.match(error.answer.errors[0].message, pattern);
  assert.equal((await server.fetch('app')).text, 'runs');
}

test('a binding to a namespace id that is none', async () => {
  for (const id of ['zz', 'f'.repeat(32)]) {
    await refused({ 'index.js': plain('x') }, { bindings: [{ type: 'durable_object_namespace', name: 'N', namespace_id: id }] }, 10061, new RegExp(`no Durable Object namespace with the id '${id}'`));
  }
});

test('compatibility flags and dates that there are not', async () => {
  await refused({ 'index.js': plain('x') }, { flags: ['nonsense'] }, 10021, /^No such compatibility flag: nonsense$/);
  await refused({ 'index.js': plain('x') }, { flags: ['nodejs_compat', 'no_nodejs_compat'] }, 10021, /contradictory/);
  await refused({ 'index.js': plain('x') }, { date: '2026-02-30' }, 10021, /compatibility_date/);
  await refused({ 'index.js': plain('x') }, { date: '2999-01-01' }, 10021, /^Can.t set compatibility date in the future: "2999-01-01"/);
});

test('code that cannot start, with the place', async () => {
  await refused({ 'index.js': 'let x = 1;\nlet y = ;' }, {}, 10021, /^Uncaught SyntaxError: Unexpected token ';'\n {2}at index\.js:2:9/);
  await refused({ 'index.js': 'import "./lib/b.js"; export default {};', 'lib/b.js': 'let y = ;' }, {}, 10021, /\n {2}at lib\/b\.js:1:9/);
  await refused({ 'index.js': 'import { q } from "./b.js"; export default { fetch() {} };', 'b.js': 'export const a = 1;' }, {}, 10021, /export named 'q'\n {2}at index\.js:1:/);
  await refused({ 'index.js': '\nthrow new Error("at start");' }, {}, 10021, /^Uncaught Error: at start\n {2}at index\.js:2:7/);
  await refused({ 'index.js': 'import "./b.js"; export default {};' }, {}, 10021, /No such module "b\.js"/);
  await refused({ 'index.js': 'for (;;);' }, { limits: { cpu_ms: 100 } }, 10021, /startup exceeded CPU time limit/);
  await refused({ 'index.js': 'const kept = []; for (;;) kept.push(new Array(1e6).fill(1.5));' }, {}, 10021, /startup exceeded memory limit/);
});

test('code that never ends at its start is given up long before a turn would be', async () => {
  const from = performance.now();
  await refused({ 'index.js': 'for (;;);' }, {}, 10021, /startup exceeded CPU time limit/);
  assert.ok(performance.now() - from < 20_000, 'a turn may take 30 seconds');
});

test('JSON and wasm modules that cannot be read are named', async () => {
  await refused({ 'index.js': 'import j from "./a.json"; export default { fetch() { return Response.json(j); } };', 'a.json': '{' }, {}, 10021, /module "a\.json" cannot be read/);
  await refused({ 'index.js': 'import w from "./a.wasm"; export default { fetch() { return new Response(String(w)); } };', 'a.wasm': 'not wasm' }, {}, 10021, /module "a\.wasm" cannot be read/);
});

test('code without handlers', async () => {
  for (const source of ['export const x = 1;', 'export default 3;', 'export default {};']) {
    await refused({ 'index.js': source }, {}, 10068, /no registered event handlers/);
  }
});

test('a module of 50 MiB is stored and read; one above the limit is refused', async () => {
  const source = 'import data from "./big.bin"; export default { fetch() { return new Response(String(data.byteLength)); } };';
  await server.deploy('big', { 'index.js': source, 'big.bin': new Uint8Array(50 * 1024 * 1024).fill(7) });
  assert.equal((await server.fetch('big')).text, String(50 * 1024 * 1024));
  await server.restart();
  assert.equal((await server.fetch('big')).text, String(50 * 1024 * 1024));
  const error = await server.deploy('big', { 'index.js': source, 'big.bin': new Uint8Array(65 * 1024 * 1024) }).then(() => assert.fail('accepted'), (thrown) => thrown);
  assert.equal(error.answer.status, 413);
  assert.equal(error.answer.errors[0].code, 10027);
});

test('bindings that are too large are refused before they reach the catalog', async () => {
  for (const megabytes of [5, 20]) {
    const error = await server.deploy('app', { 'index.js': plain('x') }, { bindings: [{ type: 'plain_text', name: 'T', text: 'x'.repeat(megabytes * 1024 * 1024) }] }).then(() => assert.fail('accepted'), (thrown) => thrown);
    assert.equal(error.answer.errors[0].code, 10027);
  }
  assert.equal((await server.fetch('app')).text, 'runs');
});
