import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './harness.mjs';

const runtime = await load();
const { errorToData, errorFromData, failure } = runtime.errors;
const across = (error, remote = true) => errorFromData(structuredClone(errorToData(error)), remote);

test('built-in classes keep class and message, with a local stack', () => {
  for (const Class of [Error, RangeError, TypeError, SyntaxError, ReferenceError, EvalError, URIError]) {
    const back = across(new Class('m'));
    assert.deepEqual([back.constructor, back.message, back.remote], [Class, 'm', true]);
    assert.match(back.stack, /errorFromData/);
  }
  assert.equal(across(new Error('m'), false).remote, undefined);
});

test('a DOMException keeps its name', () => {
  const back = across(new DOMException('no', 'DataCloneError'));
  assert.deepEqual([back instanceof DOMException, back.name, back.message, back.code], [true, 'DataCloneError', 'no', 25]);
});

test('own classes arrive as Error with their own properties, or with none of them when one cannot be copied', () => {
  class Mine extends Error {
    constructor(message) {
      super(message);
      this.name = 'Mine';
      this.code = 42;
      this.nested = { a: new Map([[1, 2]]) };
      Object.defineProperty(this, 'hidden', { value: 'hidden' });
    }
  }
  const back = across(new Mine('m', {}));
  assert.equal(back.hidden, 'hidden');
  const bare = across(Object.assign(new Mine('m', {}), { fn() {} }));
  assert.deepEqual([bare.constructor, bare.name, bare.message, bare.code, 'fn' in bare], [Error, 'Error', 'm', undefined, false]);
  assert.deepEqual([back.constructor, back.name, back.message, back.code, back.nested], [Error, 'Mine', 'm', 42, { a: new Map([[1, 2]]) }]);
  class Typed extends TypeError {}
  assert.equal(across(new Typed('m')).constructor, TypeError);
});

test('causes cross, also those that are no errors, and rings end', () => {
  const back = across(new Error('outer', { cause: new RangeError('inner', { cause: { plain: 1 } }) }));
  assert.deepEqual([back.cause.constructor, back.cause.message, back.cause.cause], [RangeError, 'inner', { plain: 1 }]);
  assert.equal(back.cause.remote, undefined);
  assert.equal(Object.keys(back).includes('cause'), true); // as in workerd
  const ring = new Error('ring');
  ring.cause = ring;
  assert.equal(across(ring).message, 'ring');
});

test('the class of a failure crosses as own properties', () => {
  const back = across(failure('gone', { retryable: true, durableObjectReset: true }));
  assert.deepEqual([back.retryable, back.durableObjectReset, 'overloaded' in back], [true, true, false]);
});

test('what is not an error becomes one', () => {
  assert.deepEqual([across('text').message, across(5).message, across(undefined).message], ['text', '5', 'undefined']);
  assert.equal(across({ toString() { throw 1; } }).message, '[object Object]'); // a method cannot be copied, and is not called
  const hostile = new Error('x');
  Object.defineProperty(hostile, 'message', { get() { throw new Error('no'); } });
  assert.equal(across(hostile).message, 'undefined');
});

test('before 2026-04-21 only class and message cross', async () => {
  const old = (await load({ date: '2026-01-01' })).errors;
  const error = Object.assign(new TypeError('m', { cause: 1 }), { code: 42, retryable: true });
  const back = old.errorFromData(structuredClone(old.errorToData(error)), true);
  assert.deepEqual([back.constructor, back.message, back.code, back.cause, back.retryable], [TypeError, 'm', undefined, undefined, true]);
});

test('flags follow dates, names and each other', () => {
  const on = (date, ...names) => runtime.compatTable.resolveFlags(date, names);
  assert.equal(on('2026-04-06').has('web_socket_auto_reply_to_close'), false);
  assert.equal(on('2026-04-07').has('web_socket_auto_reply_to_close'), true);
  assert.equal(on('2026-04-07', 'web_socket_manual_reply_to_close').has('web_socket_auto_reply_to_close'), false);
  assert.equal(on('2024-01-01', 'web_socket_auto_reply_to_close').has('web_socket_auto_reply_to_close'), true);
  assert.equal(on('2024-04-03').has('rpc'), true);
  assert.equal(on('').has('rpc'), false);
  assert.equal(on('2024-09-22', 'nodejs_compat').has('nodejs_compat_v2'), false);
  assert.equal(on('2024-09-23', 'nodejs_compat').has('nodejs_compat_v2'), true);
  assert.equal(on('2026-08-03').has('nodejs_compat'), false);
  assert.deepEqual([on('2026-08-04').has('nodejs_compat'), on('2026-08-04').has('nodejs_compat_v2')], [true, true]);
  assert.equal(on('2026-08-04', 'no_nodejs_compat').has('nodejs_compat_populate_process_env'), false);
  assert.equal(on('2025-04-01', 'nodejs_compat').has('nodejs_compat_populate_process_env'), true);
});

test('wrong flags are named', async () => {
  const { checkFlags } = runtime.compatTable;
  assert.deepEqual(checkFlags('2026-01-01', ['nodejs_compat', 'streams_enable_constructors']), []);
  assert.deepEqual(checkFlags('yesterday', ['no_such_flag', 'experimental', 'rpc', 'no_rpc']), [
    'Invalid compatibility date: yesterday',
    'No such compatibility flag: no_such_flag',
    'The compatibility flag experimental is experimental and is not supported here.',
    'Compatibility flags are mutually contradictory: rpc vs no_rpc',
  ]);
  const wrong = await load({ flags: ['no_such_flag'] });
  assert.throws(() => wrong.globals.installGlobals(), { message: 'No such compatibility flag: no_such_flag' });
});

test('stacks are mapped to the sources, without the runtime\'s own frames', () => {
  const { setSourceMaps, mappedStack, describeException } = runtime.sourceMaps;
  // One mapping: generated 1:1 (0-based 0:0) is src/app.ts 5:3 (0-based 4:2).
  const map = JSON.stringify({ version: 3, sources: ['src/app.ts'], names: [], mappings: 'AAIE' });
  setSourceMaps({ 'index.js': map, 'broken.js': 'not json' });
  const error = new Error('boo');
  error.stack = 'Error: boo\n    at handler (index.js:1:1)\n    at broken.js:2:3\n    at node:internal/x:1:1\n    at async f (node:y:1:1)\n    at other (holdfast:runtime:9:9)';
  assert.equal(mappedStack(error.stack), 'Error: boo\n    at handler (src/app.ts:5:3)\n    at broken.js:2:3');
  assert.equal(describeException(error), 'Uncaught Error: boo\n  at src/app.ts:5:3 in handler\n  at broken.js:2:3');
  assert.equal(describeException('text'), 'Uncaught text');
});
