// Everything that Node completes by itself comes back in a turn of the context that asked for it.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { load, sleep } from './harness.mjs';

const runtime = await load();
const { native, context, TestContext, timers, io } = runtime;
const { Request } = runtime.request;
const { Response } = runtime.response;
const { webTimers, scheduler } = timers;
const inTurn = (name, body) => test(name, { timeout: 10_000 }, () => context.run(body));

// Counts turns of a context, so that a test can tell by which turn its code runs.
class CountingContext extends TestContext {
  turns = 0;
  enter(section, run) {
    super.enter(section, () => {
      this.turns++;
      run();
    });
  }
}

test('timers fire as turns of their context, under its section', { timeout: 5000 }, async () => {
  const object = new CountingContext('object');
  const section = { depth: 1 };
  const seen = await new Promise((resolve) => {
    io.enqueueTurn({ context: object, section }, () => {
      webTimers.setTimeout((...args) => resolve([args, io.currentFrame().section, io.currentFrame().context]), 1, 'a', 2);
    });
  });
  assert.deepEqual(seen[0], ['a', 2]);
  assert.equal(seen[1], section);
  assert.equal(seen[2], object);
  assert.equal(object.io, 0);
});

test('at global scope timers, fetch and random values are refused', async () => {
  const text = /^Error: Disallowed operation called within global scope\./;
  const fresh = await load();
  assert.throws(() => fresh.timers.webTimers.setTimeout(() => {}, 1), text);
  assert.throws(() => runtime.crypto.cryptoGlobals().crypto.randomUUID(), text);
  await assert.rejects(fresh.fetch.fetch('http://x/'), text);
});

inTurn('intervals repeat until cleared, cleared timers do not fire', async () => {
  let ticks = 0;
  let never = false;
  const cleared = webTimers.setTimeout(() => (never = true), 1);
  webTimers.clearTimeout(cleared);
  await new Promise((resolve) => {
    const interval = webTimers.setInterval(() => {
      if (++ticks < 3) return;
      webTimers.clearInterval(interval);
      resolve();
    }, 1);
  });
  await scheduler.wait(10);
  assert.deepEqual([ticks, never, context.io], [3, false, 0]);
  webTimers.clearTimeout('abc');
  webTimers.clearTimeout();
  assert.throws(() => webTimers.setTimeout('x', 1), /Failed to execute 'setTimeout' on 'ServiceWorkerGlobalScope': parameter 1 is not of type 'function'/);
});

inTurn('timers that are late fire by their time, then as they were set', async () => {
  const fired = [];
  const wanted = [];
  const handles = [];
  // Far enough from each other for the time that setting them takes.
  for (let i = 0; i < 300; i++) {
    const delay = 10 * ((i * 7919) % 13);
    handles.push(webTimers.setTimeout(() => fired.push([delay, i]), delay));
    wanted.push([delay, i]);
  }
  for (let i = 0; i < 300; i += 3) webTimers.clearTimeout(handles[i]);
  for (const end = Date.now() + 140; Date.now() < end; );
  await scheduler.wait(20);
  assert.deepEqual(fired, wanted.filter(([, i]) => i % 3 !== 0).sort((a, b) => a[0] - b[0] || a[1] - b[1]));
});

inTurn('an exception in a timer is logged', async () => {
  webTimers.setTimeout(() => {
    throw new RangeError('in timer');
  }, 1);
  await scheduler.wait(5);
  const { event, name, message } = native.exceptions.at(-1);
  assert.deepEqual([event, name, message], ['setTimeout', 'RangeError', 'in timer']);
});

test('timers die with their context', async () => {
  const object = new TestContext('object');
  let fired = false;
  await object.run(() => {
    webTimers.setTimeout(() => (fired = true), 5);
    webTimers.setInterval(() => (fired = true), 5);
  });
  object.end();
  await sleep(20);
  assert.equal(fired, false);
  assert.equal(timers.timerCount(), 0);
});

test('what setTimeout returns follows enable_nodejs_global_timers', async () => {
  const old = await load({ date: '2024-01-01' });
  await old.context.run(() => assert.equal(typeof old.timers.webTimers.setTimeout(() => {}, 1), 'number'));
  await context.run(() => {
    const handle = webTimers.setTimeout(() => {}, 1);
    assert.equal(typeof handle, 'object');
    assert.equal(Number(handle) > 0, true);
    assert.equal(handle.unref().ref().hasRef(), true);
    webTimers.clearTimeout(Number(handle));
    assert.equal(handle.hasRef(), false);
  });
});

inTurn('scheduler.wait can be aborted', async () => {
  await assert.rejects(scheduler.wait(1000, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  const controller = new AbortController();
  webTimers.setTimeout(() => controller.abort(new Error('foo')), 1);
  await assert.rejects(scheduler.wait(1000, { signal: controller.signal }), { message: 'foo' });
  assert.equal(context.io, 0);
});

test('a result that comes after its context ended is dropped', async () => {
  const object = new TestContext('object');
  let resumed = false;
  await object.run(() => {
    void io.awaitIo(sleep(5)).then(() => (resumed = true));
  });
  object.end();
  await sleep(20);
  assert.equal(resumed, false);
});

test('crypto.subtle comes back in a turn', async () => {
  const { crypto } = runtime.crypto.cryptoGlobals();
  const object = new CountingContext('object');
  await object.run(async () => {
    const key = await crypto.subtle.importKey('raw', new Uint8Array(16), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
    const before = object.turns;
    const mac = await crypto.subtle.sign('HMAC', key, new Uint8Array(4));
    assert.equal(object.turns, before + 1);
    assert.equal(mac.byteLength, 32);
    const big = await crypto.subtle.digest('SHA-256', new Uint8Array(100_000));
    assert.equal(object.turns, before + 2);
    assert.equal(big.byteLength, 32);
  });
});

inTurn('what Workers add to crypto', async () => {
  const { crypto } = runtime.crypto.cryptoGlobals();
  const hex = (bytes) => Buffer.from(bytes).toString('hex');
  const abc = new TextEncoder().encode('abc');
  assert.equal(hex(await crypto.subtle.digest('sha-1', abc)), 'a9993e364706816aba3e25717850c26c9cd0d89d');
  assert.equal(hex(await crypto.subtle.digest({ name: 'MD5' }, abc)), '900150983cd24fb0d6963f7d28e17f72');
  await assert.rejects(crypto.subtle.digest('foo', abc), {
    name: 'NotSupportedError',
    message: 'Unrecognized or unimplemented digest algorithm requested.',
  });
  assert.equal(crypto.subtle.timingSafeEqual(abc, abc.slice()), true);
  assert.throws(() => crypto.subtle.timingSafeEqual(abc, abc.slice(1)), /Input buffers must have the same byte length/);
  assert.throws(() => crypto.getRandomValues(new Float32Array(1)), { name: 'TypeMismatchError' });
  assert.throws(() => crypto.getRandomValues(new Uint8Array(70_000)), {
    name: 'QuotaExceededError',
    message: 'getRandomValues() only accepts buffers of size <= 64K but provided 70000 bytes.',
  });
  assert.equal(crypto.getRandomValues(new Uint32Array(4)).length, 4);
  const stream = new crypto.DigestStream('SHA-256');
  const writer = stream.getWriter();
  await writer.write(abc.slice(0, 1));
  await writer.write('bc');
  await writer.close();
  assert.equal(hex(await stream.digest), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  assert.equal(stream.bytesWritten, 3n);
});

inTurn('compression round trip through streams', async () => {
  const { CompressionStream, DecompressionStream } = runtime.streams.streamClasses();
  const text = 'hello '.repeat(10_000);
  const packed = await new Response(new Response(text).body.pipeThrough(new CompressionStream('gzip'))).bytes();
  assert.equal(packed.byteLength < 1000, true);
  const back = new Response(new Response(packed).body.pipeThrough(new DecompressionStream('gzip')));
  assert.equal(await back.text(), text);
  assert.throws(() => new CompressionStream('foo'), {
    message: "The compression format must be either 'deflate', 'deflate-raw' or 'gzip'.",
  });
  await assert.rejects(new Response(new Response('no gzip').body.pipeThrough(new DecompressionStream('gzip'))).bytes());
});

inTurn('identity and fixed-length streams', async () => {
  const { IdentityTransformStream, FixedLengthStream } = runtime.streams.streamClasses();
  const identity = new IdentityTransformStream();
  assert.equal(identity instanceof TransformStream, true);
  const writer = identity.writable.getWriter();
  const reading = new Response(identity.readable).text();
  await writer.write('abc');
  await writer.write(new Uint8Array([100]));
  await writer.close();
  assert.equal(await reading, 'abcd');
  const tooMuch = new FixedLengthStream(3);
  tooMuch.writable.getWriter().write(new Uint8Array(5)).catch(() => {});
  await assert.rejects(new Response(tooMuch.readable).text(), {
    message: 'Attempt to write too many bytes through a FixedLengthStream.',
  });
  const tooLittle = new FixedLengthStream(3);
  const short = tooLittle.writable.getWriter();
  short.write(new Uint8Array(2)).catch(() => {});
  const read = new Response(tooLittle.readable).text();
  read.catch(() => {});
  await assert.rejects(short.close());
  await assert.rejects(read, { message: 'FixedLengthStream did not see all expected bytes before close().' });
});

test('a fixed-length body is sent with its length', async () => {
  native.sent.length = 0;
  await context.run(() => {
    const fixed = new (runtime.streams.streamClasses().FixedLengthStream)(2);
    const writer = fixed.writable.getWriter();
    void writer.write(new Uint8Array([104, 105]));
    void writer.close();
    runtime.exchange.sendResponse(40, new Response(fixed.readable), false, context, () => {});
  });
  await sleep(10);
  assert.deepEqual(native.sent, [['start', 40, 200, '', [], 2], ['write', 40, 'hi'], ['end', 40]]);
});

// ------------------------------------------------------------------------------------------------ fetch

async function origin(t) {
  const seen = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    seen.push({ method: request.method, headers: request.headers, body: Buffer.concat(chunks).toString() });
    switch (request.url) {
      case '/redirect':
        return response.writeHead(302, { location: '/end' }).end('moved');
      case '/gzip':
        return response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('unpacked'));
      case '/cookies':
        return response.writeHead(200, { 'set-cookie': ['a=1', 'b=2'] }).end();
      case '/hang':
        return undefined;
      case '/break':
        response.writeHead(200, { 'content-length': '10' });
        response.write('half', () => response.destroy());
        return undefined;
      default:
        return response.writeHead(201, 'Made', { 'x-a': '1' }).end(`you sent ${chunks.join('')}`);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { seen, at: (path) => `http://127.0.0.1:${server.address().port}${path}` };
}

test('fetch', { timeout: 20_000 }, async (t) => {
  const { seen, at } = await origin(t);
  const { fetch } = runtime.fetch;
  const object = new CountingContext('object');

  await object.run(async () => {
    const response = await fetch(at('/x'), { method: 'POST', body: 'abc', headers: { 'X-B': '2', Host: 'evil', Connection: 'close' } });
    assert.deepEqual([response.status, response.statusText, response.headers.get('x-a')], [201, 'Made', '1']);
    assert.throws(() => response.headers.set('a', 'b'), { message: "Can't modify immutable headers." });
    assert.equal(io.currentFrame().context, object);
    const turns = object.turns;
    assert.equal(await response.text(), 'you sent abc');
    assert.equal(object.turns > turns, true);
    assert.equal(io.currentFrame().context, object);
    assert.deepEqual([seen[0].headers['x-b'], seen[0].headers.host.startsWith('127.0.0.1'), seen[0].body], ['2', true, 'abc']);
  });

  await object.run(async () => {
    const stream = new ReadableStream({
      start: (c) => c.enqueue(new Uint8Array([49])),
      pull: (c) => {
        assert.equal(io.currentFrame().context, object);
        c.enqueue(new Uint8Array([50]));
        c.close();
      },
    });
    const response = await fetch(new Request(at('/x'), { method: 'PUT', body: stream }));
    assert.equal(await response.text(), 'you sent 12');
  });

  await object.run(async () => {
    const followed = await fetch(at('/redirect'));
    assert.deepEqual([followed.status, followed.redirected, followed.url], [201, true, at('/end')]);
    const manual = await fetch(at('/redirect'), { redirect: 'manual' });
    assert.deepEqual([manual.status, manual.headers.get('location'), await manual.text()], [302, '/end', 'moved']);
    const unpacked = await fetch(at('/gzip'));
    assert.deepEqual([unpacked.headers.get('content-encoding'), await unpacked.text()], [null, 'unpacked']);
    assert.deepEqual((await fetch(at('/cookies'))).headers.getSetCookie(), ['a=1', 'b=2']);
  });

  await object.run(async () => {
    await assert.rejects(fetch('/foo'), { name: 'TypeError', message: 'Invalid URL: /foo' });
    await assert.rejects(fetch('ftp://foo'), { name: 'TypeError', message: 'Fetch API cannot load: ftp://foo/' });
    await assert.rejects(fetch('file:///etc/passwd'), { message: 'Fetch API cannot load: file:///etc/passwd' });
    await assert.rejects(fetch(), { message: /parameter 1 is not of type 'Request or string'/ });
    await assert.rejects(fetch('http://127.0.0.1:1/'), { message: 'Network connection lost.', retryable: true });
    const broken = await fetch(at('/break'));
    await assert.rejects(broken.text(), { message: 'Network connection lost.' });
    const controller = new AbortController();
    webTimers.setTimeout(() => controller.abort(), 5);
    await assert.rejects(fetch(at('/hang'), { signal: controller.signal }), { name: 'AbortError' });
  });
  assert.equal(object.io, 0);
  assert.equal(object.resources.size, 2, 'two bodies that nobody read');
});

test('fetch waits for the output gate, and is not sent when that breaks', { timeout: 10_000 }, async (t) => {
  const { seen, at } = await origin(t);
  const object = new TestContext('object');
  const gate = Promise.withResolvers();
  object.gate = gate.promise;
  const fetched = object.run(() => runtime.fetch.fetch(at('/x')).then((response) => response.status));
  await sleep(20);
  assert.equal(seen.length, 0);
  object.gate = undefined;
  gate.resolve();
  assert.equal(await fetched, 201);
  const broken = Promise.withResolvers();
  object.gate = broken.promise;
  const refused = assert.rejects(object.run(() => runtime.fetch.fetch(at('/x'))));
  await sleep(5);
  broken.reject(new Error('commit failed'));
  await refused;
  assert.equal(seen.length, 1);
});
