import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, sleep, tick } from './harness.mjs';

const runtime = await load();
const { headers: { Headers }, request: { Request }, response: { Response }, context, native, exchange } = runtime;
const inTurn = (name, body) => test(name, () => context.run(body));
const throws = (run, type, message) => assert.throws(run, (error) => {
  assert.equal(error.constructor.name === 'DOMException' ? error.name : error.constructor.name, type);
  assert.equal(error.message, message);
  return true;
});

test('Headers validate, trim, sort and join as workerd does', () => {
  const pairs = new Headers([['b', '1'], ['A', '2'], ['a', '3'], ['set-cookie', 'x'], ['set-cookie', 'y']]);
  assert.deepEqual([...pairs], [['a', '2, 3'], ['b', '1'], ['set-cookie', 'x'], ['set-cookie', 'y']]);
  assert.deepEqual([...pairs.keys()], ['a', 'b', 'set-cookie', 'set-cookie']);
  assert.equal(pairs.get('Set-Cookie'), 'x, y');
  assert.deepEqual(pairs.getSetCookie(), ['x', 'y']);
  assert.deepEqual([...new Headers({ a: 1, b: null })], [['a', '1'], ['b', 'null']]);
  assert.equal(new Headers({ a: ' x\t ' }).get('a'), 'x');
  throws(() => new Headers({ 'a b': '1' }), 'TypeError', 'Invalid header name.');
  throws(() => new Headers({ a: 'x\ny' }), 'TypeError', 'Invalid header value.');
  throws(() => new Headers([['a']]), 'TypeError',
    'To initialize a Headers object from a sequence, each inner sequence must have exactly two elements.');
  throws(() => new Headers('abc'), 'TypeError',
    "Failed to construct 'Headers': constructor parameter 1 is not of type 'Headers or Sequence or object'.");
  assert.throws(() => Headers.prototype.get.call({}, 'a'), /Illegal invocation/);
});

test('Headers.set replaces all values in place, delete removes them', () => {
  const headers = new Headers([['a', '1'], ['b', '2'], ['A', '3']]);
  headers.set('a', '9');
  assert.deepEqual([...headers], [['a', '9'], ['b', '2']]);
  headers.delete('A');
  assert.equal(headers.has('a'), false);
  headers.append('X-Case', '1');
  assert.deepEqual(runtime.headers.flatHeaders(headers), ['b', '2', 'X-Case', '1']);
});

test('Request checks what workerd checks, with its texts', () => {
  throws(() => new Request('/foo'), 'TypeError', 'Invalid URL: /foo');
  throws(() => new Request('http://x', { method: 'a b' }), 'TypeError', 'Invalid HTTP method string: a b');
  throws(() => new Request('http://x', { body: '' }), 'TypeError', 'Request with a GET or HEAD method cannot have a body.');
  throws(() => new Request('http://x', { cache: 'foo' }), 'TypeError', 'Unsupported cache mode: foo');
  assert.throws(() => new Request('http://x', { redirect: 'error' }), /must be one of "follow" or "manual"/);
  assert.equal(new Request('http://x', { method: 'patch' }).method, 'PATCH');
  assert.equal(new Request('http://x').url, 'http://x/');
  assert.equal(new Request('http://x').signal instanceof AbortSignal, true);
  assert.deepEqual(new Request(new Request('http://x', { cf: { a: 1 } })).cf, { a: 1 });
});

inTurn('a Request is taken over by another, and is a valid init', async () => {
  const first = new Request('http://x', { method: 'POST', body: 'abc', headers: { q: '1' } });
  const second = new Request(first);
  assert.deepEqual([first.bodyUsed, second.bodyUsed], [true, false]);
  const third = new Request('http://y/', second);
  assert.deepEqual([third.method, third.headers.get('q'), await third.text()], ['POST', '1', 'abc']);
  throws(() => new Request(first), 'TypeError', 'Cannot reconstruct a Request with a used body.');
});

test('Response checks status, statusText and body', () => {
  const range = 'Responses may only be constructed with status codes in the range 200 to 599, inclusive.';
  throws(() => new Response('', { status: 600 }), 'RangeError', range);
  throws(() => new Response(null, { status: 101 }), 'RangeError', range);
  throws(() => new Response('x', { status: 204 }), 'TypeError',
    'Response with null body status (101, 204, 205, or 304) cannot have a body.');
  assert.equal(new Response('', { status: 204 }).status, 204);
  throws(() => new Response('', { statusText: 'a\nb' }), 'TypeError', 'Invalid statusText');
  throws(() => Response.redirect('/foo'), 'TypeError', 'Unable to parse URL: /foo');
  throws(() => Response.redirect('http://x/', 200), 'RangeError',
    '200 is not a redirect status code. It must be one of: 301, 302, 303, 307, or 308.');
  throws(() => Response.redirect('http://x/').headers.set('a', 'b'), 'TypeError', "Can't modify immutable headers.");
  throws(() => new Response('', 5), 'TypeError',
    "Failed to construct 'Response': constructor parameter 2 is not of type 'InitializerDict or Response'.");
  assert.deepEqual([Response.error().type, Response.error().status], ['error', 0]);
  assert.deepEqual([...Response.json({ a: 1 }).headers], [['content-type', 'application/json']]);
  assert.equal(Object.prototype.toString.call(new Response()), '[object Response]');
  assert.throws(() => Response.prototype.status, /Illegal invocation/);
});

inTurn('bodies are used once', async () => {
  const response = new Response('x');
  assert.equal(await response.text(), 'x');
  assert.equal(response.bodyUsed, true);
  await assert.rejects(response.text(), {
    name: 'TypeError',
    message: 'Body has already been used. It can only be used once. Use tee() first if you need to read it twice.',
  });
  const locked = new Response('x');
  locked.body.getReader();
  await assert.rejects(locked.text(), { message: 'This ReadableStream is currently locked to a reader.' });
  const none = new Response(null);
  await none.text();
  await none.text();
  assert.equal(none.bodyUsed, false);
  const partly = new Response('abc');
  const reader = partly.body.getReader();
  await reader.read();
  reader.releaseLock();
  assert.equal(partly.bodyUsed, true);
});

inTurn('bodies of every kind can be read in every way', async () => {
  const bytes = new Uint8Array([104, 105]);
  const stream = () => new ReadableStream({ start(c) { c.enqueue(bytes.slice()); c.close(); } });
  const kinds = [() => 'hi', () => bytes, () => bytes.buffer, stream, () => new Blob(['hi']),
    () => (async function* () { yield bytes.slice(); })()];
  for (const make of kinds) {
    assert.equal(await new Response(make()).text(), 'hi');
    assert.deepEqual(await new Response(make()).bytes(), bytes);
    assert.equal((await new Response(make()).arrayBuffer()).byteLength, 2);
    const { value } = await new Response(make()).body.getReader().read();
    assert.deepEqual(new Uint8Array(value), bytes);
    assert.equal((await new Response(make(), { headers: { 'content-type': 'a/b' } }).blob()).type, 'a/b');
  }
  assert.deepEqual(await new Response('{"a":1}').json(), { a: 1 });
  const byob = await new Response('xyz').body.getReader({ mode: 'byob' }).read(new Uint8Array(2));
  assert.equal(byob.value.length, 2);
  await assert.rejects(
    new Response(new ReadableStream({ start(c) { c.enqueue('x'); } })).text(),
    { message: 'This ReadableStream did not return bytes.' },
  );
});

inTurn('bytes given to a Response are copied, a clone has its own', async () => {
  const bytes = new Uint8Array([65]);
  const response = new Response(bytes);
  bytes[0] = 66;
  const copy = response.clone();
  (await response.bytes())[0] = 67;
  assert.equal(await copy.text(), 'A');
  const streamed = new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array([65])); c.close(); } }));
  const twin = streamed.clone();
  assert.deepEqual([await streamed.text(), await twin.text()], ['A', 'A']);
});

inTurn('a response built from another shares its body', async () => {
  const first = new Response('abc', { status: 201, headers: { a: 'b' } });
  const second = new Response(first.body, first);
  assert.deepEqual([second.status, second.headers.get('a'), first.bodyUsed], [201, 'b', false]);
  assert.equal(await second.text(), 'abc');
  assert.equal(first.bodyUsed, true);
});

inTurn('forms are written and read', async () => {
  const form = new FormData();
  form.append('a', 'b');
  form.append('file', new File(['data'], 'f.txt', { type: 'text/x' }));
  const back = await new Response(form).formData();
  assert.equal(back.get('a'), 'b');
  assert.equal(await back.get('file').text(), 'data');
  const encoded = new Request('http://x', { method: 'POST', body: new URLSearchParams('a=1&b=2') });
  assert.deepEqual([...(await encoded.formData())], [['a', '1'], ['b', '2']]);
  await assert.rejects(new Response(new Uint8Array(2)).formData(), {
    message: 'Parsing a Body as FormData requires a Content-Type header.',
  });
});

// ------------------------------------------------------------------------------------------------ exchanges

async function answer(number, value, upgrade = false) {
  native.sent.length = 0;
  let done = false;
  await context.run(() => exchange.sendResponse(number, value, upgrade, context, () => (done = true)));
  return () => done;
}

test('a text response crosses once', async () => {
  const done = await answer(1, new Response('hello', { headers: { 'X-A': '1', 'Content-Length': '99' } }));
  assert.deepEqual(native.sent, [
    ['respond', 1, 200, '', ['X-A', '1', 'Content-Type', 'text/plain;charset=UTF-8'], 'hello'],
  ]);
  assert.equal(done(), true);
  await answer(2, new Response(null, { status: 204, headers: { 'content-length': '5' } }));
  assert.deepEqual(native.sent, [['respond', 2, 204, '', ['content-length', '5'], undefined]]);
});

test('a streamed response waits for room and ends', async () => {
  const chunks = ['a', 'b'];
  let pulled = 0;
  const stream = new ReadableStream(
    { pull(c) { const chunk = chunks[pulled++]; chunk === undefined ? c.close() : c.enqueue(new TextEncoder().encode(chunk)); } },
    { highWaterMark: 0 },
  );
  native.room = false;
  const done = await answer(3, new Response(stream));
  await sleep(5);
  assert.deepEqual(native.sent, [['start', 3, 200, '', [], -1], ['write', 3, 'a']]);
  assert.equal(pulled, 1);
  native.room = true;
  exchange.responseDrain(3);
  await sleep(5);
  assert.deepEqual(native.sent.slice(2), [['write', 3, 'b'], ['end', 3]]);
  assert.equal(done(), true);
});

test('a client that leaves cancels the stream', async () => {
  let reason;
  native.room = false;
  const stream = new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1)); }, cancel(r) { reason = r; } });
  const done = await answer(4, new Response(stream));
  await sleep(5);
  exchange.responseClosed(4);
  await sleep(5);
  native.room = true;
  assert.equal(reason.message, 'The client disconnected');
  assert.equal(done(), true);
});

test('a stream that fails or yields text aborts the response and is logged', async () => {
  await answer(5, new Response(new ReadableStream({ start(c) { c.enqueue('text'); } })));
  await sleep(5);
  assert.deepEqual(native.sent.at(-1), ['abort', 5]);
  assert.equal(native.exceptions.at(-1).message, 'This ReadableStream did not return bytes.');
});

test('chunks wait for the output gate', async () => {
  const gate = Promise.withResolvers();
  context.gate = gate.promise;
  await answer(6, new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array([65])); c.close(); } })));
  await sleep(5);
  assert.equal(native.sent.filter(([what]) => what === 'write').length, 0);
  context.gate = undefined;
  gate.resolve();
  await sleep(5);
  assert.deepEqual(native.sent.slice(1), [['write', 6, 'A'], ['end', 6]]);
});

test('what is not a Response, and an upgrade nobody asked for, are refused', async () => {
  await assert.rejects(answer(7, { status: 200 }), {
    name: 'TypeError',
    message: "Incorrect type for Promise: the Promise did not resolve to 'Response'.",
  });
  const [client] = Object.values(new runtime.websocket.WebSocketPair());
  const upgrade = new Response(null, { status: 101, webSocket: client });
  await assert.rejects(answer(8, upgrade), /did not contain the header "Upgrade: websocket"/);
  await answer(8, upgrade, true);
  assert.equal(native.sent[0][0], 'upgrade');
});

test('an incoming body is pulled chunk by chunk, each in a turn', async () => {
  native.bodies.set(10, ['ab', 'cd', null]);
  const request = exchange.requestFromExchange(10, 'POST', 'http://h/p', ['X', '1'], -2);
  assert.equal(request.redirect, 'manual');
  assert.throws(() => request.headers.set('a', 'b'), { message: "Can't modify immutable headers." });
  assert.equal(request.headers.get('x'), '1');
  const text = await context.run(() => request.text());
  assert.equal(text, 'abcd');
  assert.equal(context.io, 0);
});

test('an incoming body that breaks rejects, one that is not wanted is cancelled', async () => {
  native.bodies.set(11, ['ab', new Error('the client stopped')]);
  const broken = exchange.requestFromExchange(11, 'POST', 'http://h/', [], -2);
  await assert.rejects(context.run(() => broken.text()), { message: 'the client stopped' });
  const unwanted = exchange.requestFromExchange(12, 'POST', 'http://h/', [], 5);
  await context.run(() => unwanted.body.cancel());
  assert.deepEqual(native.cancelled, [12]);
});

test('the request body can be piped through to the response', async () => {
  native.bodies.set(13, ['in', null]);
  const request = exchange.requestFromExchange(13, 'POST', 'http://h/', [], -2);
  native.sent.length = 0;
  await context.run(() => exchange.sendResponse(13, new Response(request.body), false, context, () => {}));
  await sleep(5);
  assert.deepEqual(native.sent, [['start', 13, 200, '', [], -1], ['write', 13, 'in'], ['end', 13]]);
});

test('errors answer 500 and are logged with where they happened', async () => {
  native.sent.length = 0;
  const object = new runtime.TestContext('abcd');
  await object.run(() => exchange.sendError(9, Object.assign(new RangeError('boo'), { overloaded: true }), object));
  assert.deepEqual(native.sent, [['error', 9, true]]);
  const { event, name, message, where } = native.exceptions.at(-1);
  assert.deepEqual({ event, name, message, where }, { event: 'fetch', name: 'RangeError', message: 'boo', where: 'abcd' });
});

test('request.signal fires only under its flag', async () => {
  const flagged = await load({ flags: ['enable_request_signal'] });
  for (const [which, fires] of [[runtime, false], [flagged, true]]) {
    const request = which.exchange.requestFromExchange(20, 'GET', 'http://h/', [], -1);
    await which.context.run(() => which.exchange.watchClient(20, request, which.context));
    which.exchange.responseClosed(20);
    await tick();
    await tick();
    assert.equal(request.signal.aborted, fires);
  }
});

test('the log shows what is in a Request, a Response and Headers', async () => {
  const { inspect } = await import('node:util');
  const request = inspect(new Request('http://x/', { headers: { a: 'b' } }));
  assert.match(request, /^Request \{\n  method: 'GET',\n  url: 'http:\/\/x\/',\n  headers: Headers\(1\) \{ a: 'b' \}/);
  assert.match(inspect(new Response('x')), /^Response \{\n  status: 200/);
  assert.doesNotThrow(() => inspect(Response.prototype));
});

test('header values are UTF-8 on the wire and never grow a line break', async () => {
  const wire = (text) => Buffer.from(text).toString('latin1');
  await answer(50, new Response('x', { headers: { a: 'h\u00e9\u4f60', b: '\u010d\u010a' } }));
  const sent = native.sent[0][4];
  assert.deepEqual(sent.slice(0, 4), ['a', wire('h\u00e9\u4f60'), 'b', wire('\u010d\u010a')]);
  assert.equal(sent.every((text) => /^[\t\x20-\xff]*$/.test(text)), true);
  const request = exchange.requestFromExchange(51, 'GET', 'http://h/', ['x', wire('\u4f60')], -1);
  assert.equal(request.headers.get('x'), '\u4f60');
});

test('a body that nobody can deliver any more rejects', async () => {
  const late = exchange.requestFromExchange(52, 'POST', 'http://h/', [], 5);
  await answer(52, new Response('done'));
  await assert.rejects(context.run(() => late.text()), {
    name: 'TypeError',
    message: "Can't read from request stream after response has been sent.",
  });
  const waiting = exchange.requestFromExchange(53, 'POST', 'http://h/', [], 5);
  const reading = assert.rejects(context.run(() => waiting.text()), { message: 'Network connection lost.' });
  await sleep(5);
  exchange.responseClosed(53);
  exchange.requestChunk(53, 'Network connection lost.');
  await reading;
  assert.equal(context.io, 0);
});
