// HTTP from the client's socket to the Worker and back, through the real server: what a client may send, what it gets,
// and what bounds the memory in between.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Project } from '../api/support.mjs';
import { Holdfast } from '../support/holdfast.mjs';
import { RawClient } from './raw_client.mjs';

// What has happened is kept per isolate: by the Worker on a server with one shard, by the object otherwise.
const worker = `
import { DurableObject } from 'cloudflare:workers';
const seen = { pulled: 0, read: 0, events: [] };
let waiting = [];
let released = false;
const gate = () => released ? undefined : new Promise((resolve) => waiting.push(resolve));
const flood = (mb) => {
  let left = mb * 16;
  return new ReadableStream({
    type: 'bytes',
    pull(controller) {
      if (left-- > 0) { seen.pulled += 65536; controller.enqueue(new Uint8Array(65536).fill(left)); }
      else controller.close();
    },
    cancel(reason) { seen.events.push('cancel ' + reason.message); },
  }, { highWaterMark: 0 });
};
async function handle(request) {
  const url = new URL(request.url);
  switch (url.pathname) {
    case '/seen': return Response.json(seen);
    case '/reset': waiting.splice(0).forEach((resolve) => resolve()); released = false; Object.assign(seen, { pulled: 0, read: 0, events: [] }); return new Response('');
    case '/release': released = true; waiting.splice(0).forEach((resolve) => resolve()); return new Response('');
    case '/echo': return Response.json({ method: request.method, url: request.url, headers: [...request.headers], body: await request.text() });
    case '/mirror': return new Response(request.body);
    case '/ignore': return new Response('ignored');
    case '/flood': return new Response(flood(Number(url.searchParams.get('mb'))));
    case '/events':
      return new Response(new ReadableStream({
        start(controller) { controller.enqueue(new TextEncoder().encode('first')); },
        cancel(reason) { seen.events.push('cancel ' + reason.message); },
      }));
    case '/known': return new Response(flood(1).pipeThrough(new FixedLengthStream(1048576)));
    case '/drink': {
      let bytes = 0;
      for await (const chunk of request.body) { bytes += chunk.byteLength; seen.read += chunk.byteLength; await gate(); }
      return Response.json({ bytes });
    }
    case '/wait':
      request.signal.addEventListener('abort', () => seen.events.push('abort ' + request.signal.reason.name));
      seen.events.push('waits');
      await gate();
      return new Response(url.searchParams.has('flood') ? flood(Number(url.searchParams.get('flood'))) : 'waited');
    case '/read':
      seen.events.push('reads');
      try { await request.text(); } catch (error) { seen.events.push('threw ' + error.message); }
      return new Response('read');
    case '/status': return new Response(null, { status: Number(url.searchParams.get('code')) });
    case '/headers': return new Response('x', { headers: [['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['content-length', '7'], ['transfer-encoding', 'gzip'], ['keep-alive', 'timeout=1']] });
    case '/throw': throw new TypeError('thrown on purpose');
    case '/nothing': return 'not a response';
    case '/broken': return new Response(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('first')); }, pull(c) { c.error(new Error('half way')); } }, { highWaterMark: 0 }));
  }
  return new Response('at ' + url.pathname + url.search);
}
export class Store extends DurableObject {
  fetch(request) { return handle(request); }
}
export default {
  fetch(request, env) {
    return new URL(request.url).searchParams.has('object') ? env.STORE.getByName('a').fetch(request) : handle(request);
  },
};`;

const bindings = [{ type: 'durable_object_namespace', name: 'STORE', class_name: 'Store' }];
const migrations = { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Store'] }] };
const options = { flags: ['enable_request_signal'], bindings, migrations };

let server;
before(async () => {
  server = await Holdfast.start({ args: ['--shards', '1', '--default-script', 'web'] });
  await server.deploy('web', { 'w.mjs': worker }, options);
});
after(() => server[Symbol.asyncDispose]());

const get = (path, init) => server.fetch('web', path, init);
const head = (line, ...headers) => [`${line} HTTP/1.1`, 'Host: web.test', ...headers, '', ''].join('\r\n');
const raw = () => RawClient.connect(server.port);
async function alive() {
  assert.equal((await get('/alive')).text, 'at /alive');
  assert.equal(server.child.exitCode, null);
}
// Resolves when the Worker has seen what is asked for. Each look is a round trip through the server.
async function until(predicate, path = '/seen', from = server) {
  for (;;) {
    const seen = (await from.fetch('web', path)).json();
    if (predicate(seen)) return seen;
    await delay(5);
  }
}

describe('connections', { timeout: 30_000 }, () => {
  test('one connection serves many requests, and closes when asked to', async () => {
    const client = await raw();
    for (let i = 0; i < 3; i++) {
      const { status, headers, body } = await client.send(head(`GET /${i}`)).response();
      assert.deepEqual([status, headers.connection, body], [200, undefined, `at /${i}`]);
    }
    const last = await client.send(head('GET /last', 'Connection: close')).response();
    assert.deepEqual([last.headers.connection, last.body], ['close', 'at /last']);
    assert.equal((await client.closed()).length, 0);
  });

  test('HTTP/1.0 closes unless it asks for keep-alive, and gets no chunks', async () => {
    const kept = await raw();
    const first = await kept.send('GET /a HTTP/1.0\r\nHost: web.test\r\nConnection: keep-alive\r\n\r\n').response();
    assert.deepEqual([first.headers.connection, first.body], ['keep-alive', 'at /a']);
    const second = await kept.send('GET /flood?mb=1 HTTP/1.0\r\nHost: web.test\r\n\r\n').response();
    assert.deepEqual([second.headers['transfer-encoding'], second.headers.connection, second.body.length >= 1048576], [undefined, 'close', true]);
  });

  test('pipelined requests, with and without bodies, are answered in order', async () => {
    const client = await raw();
    client.send(
      head('GET /1') +
        head('POST /mirror', 'Content-Length: 5') + 'hello' +
        head('POST /mirror', 'Transfer-Encoding: chunked') + '3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n' +
        head('POST /ignore', 'Content-Length: 6') + 'unread' +
        head('HEAD /known') +
        head('GET /flood?mb=1') +
        head('GET /7'),
    );
    assert.equal((await client.response()).body, 'at /1');
    assert.equal((await client.response()).body, 'hello');
    assert.equal((await client.response()).body, 'abcdefg');
    assert.equal((await client.response()).body, 'ignored');
    assert.equal((await client.response({ head: true })).headers['content-length'], '1048576');
    assert.equal((await client.response()).headers['transfer-encoding'], 'chunked');
    assert.equal((await client.response()).body, 'at /7');
    client.destroy();
  });

  test('five hundred pipelined requests in one packet', async () => {
    const client = await raw();
    client.send(Array.from({ length: 500 }, (_, i) => head(`GET /${i}`)).join(''));
    for (let i = 0; i < 500; i++) assert.equal((await client.response()).body, `at /${i}`);
    client.destroy();
  });

  test('a request that comes byte by byte is the same request', async () => {
    const client = await raw();
    client.socket.setNoDelay(true);
    for (const byte of head('POST /mirror', 'Transfer-Encoding: chunked') + '3\r\nabc\r\n0\r\n\r\n') {
      client.send(byte);
      await new Promise(setImmediate);
    }
    assert.equal((await client.response()).body, 'abc');
    client.destroy();
  });

  test('many connections of an agent at once', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 64 });
    const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => get(`/${i}`, { agent })));
    answers.forEach(({ text }, i) => assert.equal(text, `at /${i}`));
    agent.destroy();
  });
});

describe('messages', { timeout: 30_000 }, () => {
  test('fetch: bodies with a length and streamed, both ways', async () => {
    const url = `http://127.0.0.1:${server.port}`;
    const text = 'ä'.repeat(100_000);
    assert.ok((await (await fetch(`${url}/mirror`, { method: 'POST', body: text })).text()) === text);
    const parts = new ReadableStream({ start(c) { for (const part of ['a', 'b', 'c']) c.enqueue(new TextEncoder().encode(part)); c.close(); } });
    assert.equal(await (await fetch(`${url}/mirror`, { method: 'POST', body: parts, duplex: 'half' })).text(), 'abc');
    const known = await fetch(`${url}/known`);
    assert.equal(known.headers.get('content-length'), '1048576');
    assert.equal((await known.arrayBuffer()).byteLength, 1048576);
  });

  test('HEAD and statuses without a body', async () => {
    const client = await raw();
    const known = await client.send(head('HEAD /known')).response({ head: true });
    assert.deepEqual([known.status, known.headers['content-length']], [200, '1048576']);
    for (const code of [204, 205, 304]) {
      const answer = await client.send(head(`GET /status?code=${code}`)).response();
      assert.deepEqual([answer.status, answer.headers['transfer-encoding'], answer.body], [code, undefined, '']);
    }
    assert.equal((await client.send(head('GET /after')).response()).body, 'at /after');
    client.destroy();
  });

  test('the framing is the server\'s, whatever headers the Worker sets', async () => {
    const client = await raw();
    const { headers, body } = await client.send(head('GET /headers')).response();
    assert.deepEqual([headers['content-length'], headers['transfer-encoding'], headers['keep-alive'], body], ['1', undefined, undefined, 'x']);
    client.destroy();
    assert.deepEqual((await get('/headers')).headers['set-cookie'], ['a=1', 'b=2']);
  });

  test('Expect: 100-continue is answered when the Worker reads, and only then', async () => {
    const client = await raw();
    client.send(head('POST /mirror', 'Content-Length: 5', 'Expect: 100-continue'));
    assert.equal((await client.response()).status, 100);
    assert.equal((await client.send('hello').response()).body, 'hello');
    const refused = await client.send(head('POST /ignore', 'Content-Length: 5', 'Expect: 100-continue')).response();
    // Nobody can tell whether the body comes after all: the connection is not used again.
    assert.deepEqual([refused.status, refused.headers.connection], [200, 'close']);
    await client.closed();
    const other = await raw();
    assert.equal((await other.send(head('POST /mirror', 'Content-Length: 5', 'Expect: miracles')).response()).status, 417);
  });

  test('curl', async () => {
    const curl = (input, ...args) =>
      new Promise((resolve, reject) => {
        const child = spawn('curl', ['-s', '--noproxy', '*', '--max-time', '20', '-H', 'Host: web.test', ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
        const chunks = [];
        child.stdout.on('data', (chunk) => chunks.push(chunk));
        child.on('error', reject);
        child.on('close', (code) => resolve({ code, out: Buffer.concat(chunks) }));
        child.stdin.end(input);
      });
    const url = `http://127.0.0.1:${server.port}`;
    const large = Buffer.alloc(3_000_000, 'z');
    // Above a megabyte curl sends Expect: 100-continue by itself.
    assert.ok((await curl(large, '--data-binary', '@-', `${url}/mirror`)).out.equals(large));
    assert.ok((await curl(large, '-T', '-', `${url}/mirror`)).out.equals(large));
    assert.equal((await curl('', `${url}/flood?mb=5`)).out.length, 5 * 1048576);
    assert.match((await curl('', '-I', `${url}/known`)).out.toString(), /^HTTP\/1\.1 200 OK\r\n[^]*content-length: 1048576\r\n/);
    assert.equal((await curl('', `${url}/broken`)).code, 18, 'curl sees that the body is incomplete');
  });
});

describe('what is refused', { timeout: 30_000 }, () => {
  const cases = {
    'no request at all': ['hello there\r\n\r\n', 400],
    'an empty request line': ['\r\n\r\n\r\n', 400],
    'a method with blanks': [head('GE T /'), 400],
    'a header without a colon': [head('GET /', 'nonsense'), 400],
    'a blank before the colon': [head('GET /', 'X-A : 1'), 400],
    'a header that is folded': [head('GET /', 'X-A: 1\r\n  2'), 400],
    'a line that ends with LF only': ['GET / HTTP/1.1\nHost: web.test\n\n', 400],
    'a control character in a value': [head('GET /', 'X-A: a\0b'), 400],
    'no Host': ['GET / HTTP/1.1\r\n\r\n', 400],
    'two Hosts': [head('GET /', 'Host: other.test'), 400],
    'Content-Length and Transfer-Encoding': [head('POST /mirror', 'Content-Length: 3', 'Transfer-Encoding: chunked') + '0\r\n\r\n', 400],
    'Transfer-Encoding and Content-Length': [head('POST /mirror', 'Transfer-Encoding: chunked', 'Content-Length: 3') + '0\r\n\r\n', 400],
    'two different Content-Lengths': [head('POST /mirror', 'Content-Length: 3', 'Content-Length: 4') + 'abcd', 400],
    'two equal Content-Lengths': [head('POST /mirror', 'Content-Length: 3', 'Content-Length: 3') + 'abc', 400],
    'a list of Content-Lengths': [head('POST /mirror', 'Content-Length: 3, 3') + 'abc', 400],
    'a signed Content-Length': [head('POST /mirror', 'Content-Length: +3') + 'abc', 400],
    'a negative Content-Length': [head('POST /mirror', 'Content-Length: -1'), 400],
    'a Content-Length beyond all bounds': [head('POST /mirror', 'Content-Length: 99999999999999999999999'), 400],
    'two Transfer-Encodings': [head('POST /mirror', 'Transfer-Encoding: chunked', 'Transfer-Encoding: identity') + '0\r\n\r\n', 400],
    'a list of codings': [head('POST /mirror', 'Transfer-Encoding: gzip, chunked') + '0\r\n\r\n', 501],
    'a coding that looks like chunked': [head('POST /mirror', 'Transfer-Encoding: xchunked') + '0\r\n\r\n', 501],
    'chunks over HTTP/1.0': ['POST /mirror HTTP/1.0\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
    'a chunk size that is no number': [head('POST /mirror', 'Transfer-Encoding: chunked') + 'xyz\r\nabc\r\n', undefined],
    'a chunk that is longer than it says': [head('POST /mirror', 'Transfer-Encoding: chunked') + '3\r\nabcdef\r\n0\r\n\r\n', undefined],
    'another version of HTTP': ['GET / HTTP/2.0\r\nHost: web.test\r\n\r\n', 505],
    'the preface of HTTP/2': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    'a TLS handshake': ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400],
    'headers that are too large': [head('GET /', ...Array.from({ length: 200 }, (_, i) => `X-${i}: ${'a'.repeat(700)}`)), 431],
    'one header that never ends': [`GET / HTTP/1.1\r\nHost: web.test\r\nX-A: ${'a'.repeat(140_000)}`, 431],
    'too many headers': [head('GET /', ...Array.from({ length: 300 }, (_, i) => `X-${i}: 1`)), 431],
    'a target that is too long': [head(`GET /${'a'.repeat(40_000)}`), 414],
  };
  for (const [name, [bytes, expected]] of Object.entries(cases)) {
    test(name, async () => {
      const client = await raw();
      // What follows on the same connection must never be taken for a request.
      client.send(bytes + head('GET /smuggled'));
      if (expected === undefined) {
        // The Worker may have begun to answer: then the connection is cut, otherwise it is told.
        const rest = (await client.closed()).toString('latin1');
        assert.doesNotMatch(rest, /smuggled/);
        assert.doesNotMatch(rest, /\r\n0\r\n\r\n/, 'no complete answer');
      } else {
        const { status, headers } = await client.response();
        assert.deepEqual([status, headers.connection], [expected, 'close']);
        assert.equal((await client.closed()).length, 0);
      }
      client.destroy();
      await alive();
    });
  }

  test('as much as is allowed is served', async () => {
    const client = await raw();
    const answer = await client.send(head('GET /echo', ...Array.from({ length: 250 }, (_, i) => `X-${i}: ${'b'.repeat(450)}`))).response();
    assert.equal(JSON.parse(answer.body).headers.filter(([name]) => name.startsWith('x-') && name.length < 6).length, 250);
    client.destroy();
  });

  test('noise of every kind, and the server lives', async () => {
    for (let seed = 1, round = 0; round < 100; round++) {
      const noise = Buffer.from(Array.from({ length: 200 }, () => (seed = (seed * 48271) % 2147483647) & 255));
      const client = await raw();
      client.socket.end(round % 2 ? noise : Buffer.concat([Buffer.from(head('POST /mirror', 'Transfer-Encoding: chunked')), noise]));
      await client.closed();
    }
    await alive();
  });
});

describe('clients that go away', { timeout: 30_000 }, () => {
  test('while the Worker works: the request\'s signal fires', async () => {
    for (const goAway of [(socket) => socket.destroy(), (socket) => socket.resetAndDestroy()]) {
      await get('/reset');
      const client = await raw();
      client.send(head('GET /wait'));
      await until((seen) => seen.events.includes('waits'));
      goAway(client.socket);
      await until((seen) => seen.events.includes('abort AbortError'));
    }
    await get('/release');
  });

  test('while a response streams: its source is cancelled', async () => {
    await get('/reset');
    const client = await raw();
    client.send(head('GET /flood?mb=100'));
    await client.take(1_000_000);
    client.destroy();
    const seen = await until(({ events }) => events.length > 0);
    assert.deepEqual(seen.events, ['cancel The client disconnected']);
    assert.ok(seen.pulled < 60 * 1048576, `${seen.pulled} bytes were pulled`);
  });

  test('while a response pauses: its source is cancelled too', async () => {
    await get('/reset');
    const client = await raw();
    client.send(head('GET /events'));
    await client.until('first');
    client.socket.end();
    assert.deepEqual((await until(({ events }) => events.length > 0)).events, ['cancel The client disconnected']);
    client.destroy();
  });

  test('while a body is read: the read fails', async () => {
    await get('/reset');
    const client = await raw();
    client.send(head('POST /read', 'Content-Length: 1000') + 'a part of it');
    await until(({ events }) => events.includes('reads'));
    client.destroy();
    const seen = await until(({ events }) => events.length > 1);
    assert.equal(seen.events[1], 'threw Network connection lost.');
  });

  test('while the Worker works and nobody reads the body: the signal fires all the same', async () => {
    await get('/reset');
    const client = await raw();
    client.send(head('POST /wait', 'Content-Length: 5') + 'hello');
    await until((seen) => seen.events.includes('waits'));
    client.destroy();
    await until((seen) => seen.events.includes('abort AbortError'));
    await get('/release');
  });

  test('a client that has only finished sending still gets its answer, also a late one and a stream', async () => {
    for (let i = 0; i < 30; i++) {
      for (const [request, answer] of [[head('GET /half'), 'at /half'], [head('POST /mirror', 'Content-Length: 5') + 'hello', 'hello']]) {
        const client = await raw();
        client.socket.end(request);
        assert.equal((await client.response()).body, answer);
        await client.closed();
      }
    }
    await get('/reset');
    const late = await raw();
    late.socket.end(head('GET /wait'));
    await until((seen) => seen.events.includes('abort AbortError'));
    await get('/release');
    assert.equal((await late.response()).body, 'waited');
    await late.closed();
  });

  test('a stream that begins when the client has gone is cancelled', async () => {
    await get('/reset');
    const client = await raw();
    client.send(head('GET /wait?flood=100'));
    await until((seen) => seen.events.includes('waits'));
    client.destroy();
    await until((seen) => seen.events.includes('abort AbortError'));
    await get('/release');
    await until((seen) => seen.events.some((event) => event.startsWith('cancel')));
  });
});

// Resident memory of the server in megabytes, looked at until stop() is called.
function watchMemory(of) {
  const resident = async () => Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${of.child.pid}/status`, 'utf8'))[1]) / 1024;
  let stopped = false;
  const watch = (async () => {
    const first = await resident();
    let most = first;
    while (!stopped) {
      most = Math.max(most, await resident());
      await delay(10);
    }
    return most - first;
  })();
  return {
    stop() {
      stopped = true;
      return watch;
    },
  };
}

describe('200 megabytes pass through without being held', { timeout: 60_000 }, () => {
  const kBytes = 200 * 1048576;
  // What the kernel may buffer for a connection on this machine, and what the server and the streams may hold.
  const kernelMax = (which) => Number(readFileSync(`/proc/sys/net/ipv4/tcp_${which}`, 'utf8').trim().split(/\s+/)[2]);
  const kAheadMax = kernelMax('rmem') + kernelMax('wmem') + 8 * 1048576;
  const kGrowthMax = 80;
  let shards;
  before(async () => {
    shards = await Holdfast.start({ args: ['--shards', '4'] });
    await shards.deploy('web', { 'w.mjs': worker }, options);
  });
  after(() => shards[Symbol.asyncDispose]());

  // The heaps of the isolates have their size before anything is measured.
  const warmUp = async (on, query) => assert.equal((await on.fetch('web', `/flood${query || '?'}&mb=100`)).body.length, 100 * 1048576);

  // Resolves when a number has stopped to change.
  async function settled(look) {
    for (let last = -1, same = 0; same < 10; ) {
      const now = await look();
      same = now === last && now > 0 ? same + 1 : 0;
      last = now;
      await delay(20);
    }
  }

  for (const [name, query, on] of [['the Worker', '', () => server], ['an object on another shard', '?object', () => shards]]) {
    const seen = async () => (await on().fetch('web', `/seen${query}`)).json();

    test(`from ${name} to a slow reader`, async () => {
      await warmUp(on(), query);
      await on().fetch('web', `/reset${query}`);
      const memory = watchMemory(on());
      const request = httpRequest({ host: '127.0.0.1', port: on().port, path: `/flood${query || '?'}&mb=200`, headers: { host: 'web.test' } }).end();
      const [response] = await once(request, 'response');
      await settled(async () => (await seen()).pulled);
      assert.ok((await seen()).pulled < kAheadMax, `${(await seen()).pulled} bytes were pulled that nobody reads`);
      let bytes = 0;
      for await (const chunk of response) bytes += chunk.length;
      assert.equal(bytes, kBytes);
      const growth = await memory.stop();
      assert.ok(growth < kGrowthMax, `memory grew by ${growth} MB`);
    });

    test(`from a client to ${name}, which is slow`, async () => {
      await warmUp(on(), query);
      await on().fetch('web', `/reset${query}`);
      const memory = watchMemory(on());
      const request = httpRequest({ host: '127.0.0.1', port: on().port, path: `/drink${query}`, method: 'POST', headers: { host: 'web.test', 'content-length': kBytes } });
      const chunk = Buffer.alloc(65536, 7);
      let sent = 0;
      const feed = (async () => {
        for (; sent < kBytes; sent += chunk.length) if (!request.write(chunk)) await once(request, 'drain');
        request.end();
      })();
      await settled(() => sent);
      assert.ok(sent < kAheadMax, `${sent} bytes were taken that nobody reads`);
      assert.ok((await seen()).read <= 1048576, 'the Worker reads no further');
      await on().fetch('web', `/release${query}`);
      await feed;
      const [response] = await once(request, 'response');
      assert.deepEqual(JSON.parse(Buffer.concat(await response.toArray())), { bytes: kBytes });
      const growth = await memory.stop();
      assert.ok(growth < kGrowthMax, `memory grew by ${growth} MB`);
    });
  }
});

describe('the front door', { timeout: 60_000 }, () => {
  let door;
  before(async () => {
    door = await Holdfast.start({ args: ['--shards', '2', '--log', 'json'] });
    await door.deploy('web', { 'w.mjs': worker }, options);
  });
  after(() => door[Symbol.asyncDispose]());
  const ask = async (to, text) => {
    const client = await RawClient.connect(to.port);
    const answer = await client.send(text).response();
    client.destroy();
    return answer;
  };
  const at = (to, host, target = '/x') => ask(to, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);

  test('SCRIPT.DOMAIN leads to the script, whatever the case and with or without a port', async () => {
    for (const host of ['web.test', 'WEB.Test', 'web.test:80', `web.test:${door.port}`, 'web.test.']) {
      assert.equal((await at(door, host)).body, 'at /x', host);
    }
    const echo = JSON.parse((await at(door, 'web.test:1234', '/echo?a=b%20c&d')).body);
    assert.equal(echo.url, 'http://web.test:1234/echo?a=b%20c&d');
  });

  test('a host that names no script gets a short 404 that says so', async () => {
    for (const host of ['other.test', 'a.web.test', 'example.com', 'webtest', 'xtest', '.test', '']) {
      const { status, body } = await at(door, host);
      assert.deepEqual([host, status], [host, 404]);
      assert.match(body, /no Worker here/);
      assert.ok(body.length < 300);
    }
  });

  test('a bare address and the domain itself: a page that lists nothing', async () => {
    for (const host of ['127.0.0.1', '[::1]:8787', 'test', 'TEST:80', '10.0.0.1:99']) {
      const { status, body } = await at(door, host);
      assert.equal(status, 200);
      assert.match(body, /^Holdfast is running/);
      assert.doesNotMatch(body, /web/);
    }
  });

  test('--default-script answers there', async () => {
    for (const host of ['127.0.0.1:1', 'test', '[::1]']) assert.equal((await at(server, host)).body, 'at /x');
    assert.equal((await at(server, 'other.test')).status, 404);
  });

  test('a target in absolute form counts, not the Host header beside it', async () => {
    const { body } = await at(door, 'other.test', 'http://web.test/echo?q');
    assert.equal(JSON.parse(body).url, 'http://web.test/echo?q');
    assert.equal((await at(door, 'web.test', 'http://other.test/')).status, 404);
    assert.equal((await at(door, 'web.test', '*')).status, 400);
  });

  test('what a Worker may trust about its client is set, and what the client claims is dropped', async () => {
    const lies = ['CF-Connecting-IP: 6.6.6.6', 'cf-connecting-ip: 7.7.7.7', 'CF-Ray: lie', 'X-Forwarded-Proto: https', 'X-Real-IP: 6.6.6.6', 'X-Forwarded-For: 6.6.6.6'];
    const headers = () => ask(door, head('GET /echo', ...lies)).then(({ body }) => JSON.parse(body).headers);
    const first = Object.fromEntries(await headers());
    assert.equal(first['cf-connecting-ip'], '127.0.0.1');
    assert.equal(first['x-real-ip'], '127.0.0.1');
    assert.equal(first['x-forwarded-proto'], 'http');
    assert.match(first['cf-ray'], /^[0-9a-f]{16}-[A-Z]{3}$/);
    const second = Object.fromEntries(await headers());
    assert.notEqual(second['cf-ray'], first['cf-ray']);
  });

  test('an exception: the page of error 1101, and a log line with script, exception and stack', async () => {
    for (const path of ['/throw', '/nothing']) {
      const { status, body } = await at(door, 'web.test', path);
      assert.equal(status, 500);
      assert.match(body, /1101/);
      assert.doesNotMatch(body, /on purpose|TypeError/, 'nothing of the exception');
    }
    await door.logged(/thrown on purpose.*\n/);
    const line = JSON.parse(door.log.split('\n').find((text) => text.includes('thrown on purpose')));
    assert.equal(line.script, 'web');
    assert.match(JSON.stringify(line), /TypeError/);
    assert.match(JSON.stringify(line), /w\.mjs:\d+:\d+/);
    await door.logged(/did not resolve to 'Response'/);
  });

  test('the stack of a Worker that wrangler has bundled names the lines of its sources', { timeout: 60_000 }, async () => {
    const project = await Project.create(door);
    await project.write('', { name: 'mapped', main: 'src/entry.ts', upload_source_maps: true });
    await mkdir(join(project.dir, 'src'));
    await writeFile(join(project.dir, 'src', 'entry.ts'), `import { check } from './check';
interface Env { NAME?: string }
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    return new Response(check(request.url));
  },
};
`);
    await writeFile(join(project.dir, 'src', 'check.ts'), `type Text = string;

export function check(text: Text): Text {
  if (text.includes('bad')) {
    throw new RangeError('a bad text');
  }
  return text;
}
`);
    try {
      await project.run('deploy');
      assert.equal((await door.fetch('mapped', '/good')).status, 200);
      assert.equal((await door.fetch('mapped', '/bad')).status, 500);
      await door.logged(/a bad text.*\n/);
      const line = JSON.parse(door.log.split('\n').find((text) => text.includes('a bad text')));
      assert.equal(line.script, 'mapped');
      assert.match(JSON.stringify(line), /check \([^)]*src\/check\.ts:5:\d+\).*src\/entry\.ts:5:\d+/);
    } finally {
      await rm(project.dir, { recursive: true, force: true });
    }
  });
});
