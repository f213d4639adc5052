// The global object and the `node:` modules as user code finds them. Replaces this process's own globals.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { load, sleep } from './harness.mjs';

const bindings = [
  { name: 'TEXT', kind: 'plain_text', text: 'hello' },
  { name: 'SECRET', kind: 'secret_text', text: 'hush' },
  { name: 'DATA', kind: 'json', json: '{"a":1}' },
  { name: 'ROOM', kind: 'durable_object', ns: 'x', className: 'Room', script: 'test' },
];
const realProcess = globalThis.process;
const runtime = await load({ install: true, bindings });
const [rejectionHandler] = realProcess.listeners('unhandledRejection');
const { native, context, nodeModules, TestContext } = runtime;
const inTurn = (name, body) => test(name, { timeout: 10_000 }, () => context.run(body));

test('what Workers have is there', () => {
  const names = [
    'AbortController', 'Blob', 'Body', 'ByteLengthQueuingStrategy', 'Cache', 'CacheStorage', 'CloseEvent', 'Cloudflare',
    'CompressionStream', 'Crypto', 'CryptoKey', 'CustomEvent', 'DOMException', 'DecompressionStream', 'ErrorEvent',
    'Event', 'EventTarget', 'File', 'FixedLengthStream', 'FormData', 'Headers', 'HTMLRewriter',
    'IdentityTransformStream', 'MessageChannel', 'MessageEvent', 'MessagePort', 'Navigator', 'PromiseRejectionEvent',
    'ReadableStream', 'Request', 'Response', 'SubtleCrypto', 'TextDecoder', 'TextDecoderStream', 'TextEncoder',
    'TransformStream', 'URL', 'URLPattern', 'URLSearchParams', 'WebAssembly', 'WebSocket', 'WebSocketPair',
    'WebSocketRequestResponsePair', 'WritableStream', 'addEventListener', 'atob', 'btoa', 'caches', 'clearTimeout',
    'console', 'crypto', 'fetch', 'navigator', 'origin', 'performance', 'queueMicrotask', 'reportError', 'scheduler',
    'self', 'setInterval', 'setTimeout', 'structuredClone', 'WeakRef', 'FinalizationRegistry',
  ];
  assert.deepEqual(names.filter((name) => globalThis[name] === undefined), []);
  assert.equal(self, globalThis);
  assert.equal(navigator.userAgent, 'Cloudflare-Workers');
  assert.equal(Object.prototype.toString.call(globalThis), '[object ServiceWorkerGlobalScope]');
  assert.equal(Cloudflare.compatibilityFlags.web_socket_auto_reply_to_close, true);
  assert.equal(Cloudflare.compatibilityFlags.experimental, false);
});

test('what is only Node is not', () => {
  for (const name of ['require', 'module', 'BroadcastChannel', 'Worker', 'localStorage', 'sessionStorage', 'Storage', 'gc']) {
    assert.equal(name in globalThis, false, name);
  }
  assert.notEqual(globalThis.process, realProcess);
  assert.throws(() => new HTMLRewriter(), /HTMLRewriter is not supported by Holdfast yet/);
});

test('process is a facade', () => {
  assert.deepEqual({ ...process.env }, { TEXT: 'hello', SECRET: 'hush', DATA: '{"a":1}' });
  assert.deepEqual([process.cwd(), process.platform, process.pid, process.argv.length], ['/', 'linux', 1, 1]);
  assert.throws(() => process.exit(3), /process\.exit\(3\) API was called/);
  for (const name of ['binding', 'dlopen', 'kill', 'abort', 'chdir']) assert.throws(() => process[name](), /not available in Workers/);
  assert.equal(typeof process.hrtime.bigint(), 'bigint');
  assert.equal(process.getBuiltinModule('node:fs').readFileSync === undefined, false);
  assert.throws(() => process.getBuiltinModule('node:fs').readFileSync('/etc/passwd'), /node:fs\.readFileSync is not supported/);
  assert.equal(process.mainModule, undefined);
});

inTurn('nextTick, queueMicrotask and promises run in the same turn', async () => {
  const order = [];
  await new Promise((resolve) => {
    process.nextTick((x) => order.push(x), 'tick');
    queueMicrotask(() => order.push('microtask'));
    setTimeout(resolve, 1);
  });
  assert.deepEqual(order.sort(), ['microtask', 'tick']);
});

test('without nodejs_compat neither process nor Buffer nor node: modules exist', async () => {
  const plain = await load({ date: '2024-01-01' });
  assert.equal(plain.nodeModules.nodeModule('node:buffer'), undefined);
  assert.equal(plain.compat.flag('nodejs_compat'), false);
  const als = await load({ date: '2024-01-01', flags: ['nodejs_als'] });
  assert.equal(typeof als.nodeModules.nodeModule('node:async_hooks').AsyncLocalStorage, 'function');
  assert.equal(als.nodeModules.nodeModule('node:buffer'), undefined);
  const v1 = await load({ date: '2024-01-01', flags: ['nodejs_compat'] });
  assert.equal(typeof v1.nodeModules.nodeModule('node:buffer').Buffer, 'function');
  assert.equal(v1.nodeModules.nodeModule('buffer'), undefined);
});

test('modules that compute are Node\'s own, with names and default', () => {
  for (const name of [
    'assert', 'async_hooks', 'buffer', 'console', 'crypto', 'diagnostics_channel', 'events', 'module', 'os', 'path',
    'path/posix', 'perf_hooks', 'process', 'punycode', 'querystring', 'stream', 'stream/promises', 'stream/web',
    'string_decoder', 'timers', 'timers/promises', 'url', 'util', 'util/types', 'zlib',
  ]) {
    const prefixed = nodeModules.nodeModule(`node:${name}`);
    assert.equal(typeof prefixed?.default, name === 'events' || name === 'assert' || name === 'stream' ? 'function' : 'object', name);
    assert.equal(nodeModules.nodeModule(name), prefixed, name);
  }
  assert.equal(nodeModules.nodeModule('node:events').EventEmitter.name, 'EventEmitter');
  assert.equal(nodeModules.nodeModule('node:timers').setTimeout, setTimeout);
  assert.equal(nodeModules.nodeModule('node:stream/web').CompressionStream, CompressionStream);
  assert.equal(nodeModules.nodeModule('node:nothing'), undefined);
  assert.equal(nodeModules.nodeModule('node:test'), undefined);
  assert.equal(nodeModules.nodeModule('left-pad'), undefined);
});

test('modules that need files, sockets, processes or threads can be imported and refuse to be used', () => {
  const uses = {
    fs: ['readFileSync', 'createReadStream'], net: ['connect', 'Socket'], http: ['request'], https: ['get'], tls: ['connect'],
    dns: ['lookup'], child_process: ['spawn'], worker_threads: ['Worker'], vm: ['runInThisContext', 'Script'], v8: ['setFlagsFromString'],
    inspector: ['open'], cluster: ['fork'], repl: ['start'],
  };
  for (const [name, members] of Object.entries(uses)) {
    for (const member of members) {
      const value = nodeModules.nodeModule(`node:${name}`)[member];
      assert.throws(() => value(), new RegExp(`node:${name}\\.${member} is not supported by Holdfast`));
      assert.throws(() => new value());
    }
  }
  const { createRequire } = nodeModules.nodeModule('node:module');
  const require = createRequire('/x.js');
  assert.equal(require('node:path'), nodeModules.nodeModule('node:path').default);
  assert.throws(() => require('./x.js'), /No such module "\.\/x\.js"/);
  assert.throws(() => nodeModules.nodeModule('node:zlib').createGzip(), /node:zlib\.createGzip .* is not supported/);
});

test('callbacks of crypto and zlib come back in a turn of their context', { timeout: 10_000 }, async () => {
  const object = new TestContext('object');
  const crypto = nodeModules.nodeModule('node:crypto');
  const zlib = nodeModules.nodeModule('node:zlib');
  await object.run(async () => {
    const where = (call) => new Promise((resolve, reject) => {
      call((error, value) => (error ? reject(error) : resolve([runtime.io.currentFrame().context, value])));
    });
    for (const call of [
      (done) => crypto.randomBytes(8, done),
      (done) => crypto.pbkdf2('a', 'b', 1, 8, 'sha256', done),
      (done) => crypto.scrypt('a', 'b', 8, done),
      (done) => zlib.gzip('text', done),
    ]) {
      const [seen, value] = await where(call);
      assert.equal(seen, object);
      assert.equal(value.length >= 8, true);
    }
    const { privateKey } = await promisify(crypto.generateKeyPair)('ed25519', {});
    assert.equal(privateKey.type, 'private');
    assert.equal(runtime.io.currentFrame().context, object);
  });
  assert.equal(object.io, 0);
});

inTurn('timers/promises are ours', async () => {
  const timers = nodeModules.nodeModule('node:timers/promises');
  assert.equal(await timers.setTimeout(1, 'v'), 'v');
  let count = 0;
  for await (const value of timers.setInterval(1, 'i')) {
    assert.equal(value, 'i');
    if (++count === 2) break;
  }
  assert.equal(await promisify(setTimeout)(1, 'p'), 'p');
  assert.equal(context.io, 0);
});

inTurn('AsyncLocalStorage of user code passes through timers and fetch-like I/O', async () => {
  const { AsyncLocalStorage } = nodeModules.nodeModule('node:async_hooks');
  const storage = new AsyncLocalStorage();
  await storage.run('mine', async () => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(storage.getStore(), 'mine');
    await new Blob(['x']).text();
    assert.equal(storage.getStore(), 'mine');
  });
  const kept = await new Promise((resolve) => storage.run('kept', () => setTimeout(() => resolve(storage.getStore()), 1)));
  assert.equal(kept, 'kept');
});

inTurn('Blob, AbortSignal.timeout and MessageChannel come back in a turn', async () => {
  assert.equal(await new Blob(['ab', 'c']).text(), 'abc');
  assert.equal((await new Blob(['ab']).bytes()).length, 2);
  assert.equal(runtime.io.currentFrame().context, context);
  const signal = AbortSignal.timeout(5);
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  assert.deepEqual([signal.reason.name, signal.reason.message], ['TimeoutError', 'The operation was aborted due to timeout']);
  assert.equal(runtime.io.currentFrame().context, context);
  const { port1, port2 } = new MessageChannel();
  const got = new Promise((resolve) => (port2.onmessage = (e) => resolve([e.data, runtime.io.currentFrame().context])));
  port1.postMessage({ a: 1 });
  assert.deepEqual(await got, [{ a: 1 }, context]);
});

inTurn('caches miss, put consumes', async () => {
  assert.equal(await caches.default.match('http://x/'), undefined);
  const response = new Response('x');
  await caches.default.put('http://x/', response);
  assert.equal(response.bodyUsed, true);
  assert.equal(await (await caches.open('a')).delete('http://x/'), false);
  assert.equal(await caches.open('a'), await caches.open('a'));
});

test('console goes to the log, with who speaks', async () => {
  const object = new TestContext('the-object');
  native.logs.length = 0;
  console.log('%s is %d', 'a', 5, { z: 1 });
  await object.run(() => {
    console.error(new Map([[1, 2]]));
    console.group('g');
    console.warn('in\nside');
    console.groupEnd();
    console.debug();
    console.table([{ a: 1 }]);
    console.count();
    console.assert(false, 'why');
  });
  assert.deepEqual(native.logs.slice(0, 5), [
    { level: 'log', text: 'a is 5 { z: 1 }', where: '' },
    { level: 'error', text: 'Map(1) { 1 => 2 }', where: 'the-object' },
    { level: 'log', text: 'g', where: 'the-object' },
    { level: 'warn', text: '  in\n  side', where: 'the-object' },
    { level: 'debug', text: '', where: 'the-object' },
  ]);
  assert.match(native.logs[5].text, /│ 0 +│ 1 │/);
  assert.deepEqual(native.logs.slice(6).map((x) => x.text), ['default: 1', 'Assertion failed: why']);
});

test('reportError and unhandled rejections reach listeners, then the log', async () => {
  // Only the runtime's handler: the test runner's would fail this test.
  const others = realProcess.listeners('unhandledRejection').filter((listener) => listener !== rejectionHandler);
  for (const listener of others) realProcess.off('unhandledRejection', listener);
  native.exceptions.length = 0;
  reportError(new TypeError('reported'));
  let heard;
  addEventListener('unhandledrejection', (event) => {
    heard = event.reason;
    if (event.reason.message === 'mine') event.preventDefault();
  });
  await context.run(() => void Promise.reject(new Error('nobody')));
  await sleep(5);
  await context.run(() => void Promise.reject(new Error('mine')));
  await sleep(5);
  for (const listener of others) realProcess.on('unhandledRejection', listener);
  assert.equal(heard.message, 'mine');
  assert.deepEqual(native.exceptions.map((x) => [x.event, x.message]), [['reportError', 'reported'], ['unhandled rejection', 'nobody']]);
});

inTurn('fetch works although the global timers are ours', async () => {
  // Node's client uses the global timers: it must find Node's.
  await assert.rejects(fetch('http://127.0.0.1:1/'), { message: 'Network connection lost.' });
});

// In a process of its own: the test runner does not survive it.
const patched = `
import { writeSync } from 'node:fs';
import { load } from './harness.mjs';
const { context, native } = await load({ install: true });
const broken = () => { throw new Error('patched'); };
native.done = (text) => writeSync(1, text);
context.enter(null, async () => {
  for (const [type, names] of [
    [Promise, ['then', 'catch', 'finally']], [Map, ['get', 'set', 'has', 'delete']], [Set, ['add', 'has', 'delete']],
    [Array, ['slice', 'map', 'push', 'splice']], [ReadableStream, ['getReader', 'tee', 'cancel']],
    [String, ['toLowerCase', 'trim', 'slice']], [WeakMap, ['get', 'set']],
  ]) for (const name of names) type.prototype[name] = broken;
  Object.keys = Object.assign = Promise.resolve = JSON.stringify = JSON.parse = broken;
  const step = (name) => console.log(name);
  try {
    const response = new Response(new Response('x', { headers: { a: 'b' } }).body, { status: 201 });
    step(await response.text());
    const [a, b] = new WebSocketPair();
    a.accept();
    b.accept();
    const got = new Promise((resolve) => { b.onmessage = (e) => resolve(e.data); });
    a.send('y');
    step(await got);
    step((await new Request('http://h/', { method: 'POST', body: new ReadableStream({ start(c) { c.enqueue(new Uint8Array([33])); c.close(); } }) }).clone().text()));
    await new Promise((resolve) => setTimeout(resolve, 1));
    step(Response.json({ a: 1 }).headers.get('content-type'));
    step((await crypto.subtle.digest('SHA-1', new Uint8Array(1))).byteLength);
  } catch (error) {
    step(error.stack);
  }
  native.finish();
});
native.finish = () => {
  let text = '';
  for (let i = 0; i < native.logs.length; i++) text += native.logs[i].text + '|';
  native.done(text);
};
`;

test('the runtime survives patched prototypes', () => {
  const source = patched.replace("'./harness.mjs'", JSON.stringify(new URL('./harness.mjs', import.meta.url).href));
  const { stdout, stderr } = spawnSync(realProcess.execPath, ['--input-type=module', '-e', source], { timeout: 20_000 });
  assert.equal(stdout.toString(), 'x|y|!|application/json|20|', stderr.toString());
});
