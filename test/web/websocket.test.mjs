import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { WebSocketServer } from 'ws';
import { load, sleep } from './harness.mjs';

const runtime = await load();
const { native, context, TestContext, websocket } = runtime;
const { WebSocket, WebSocketPair, WebSocketRequestResponsePair } = websocket;
const pair = () => Object.values(new WebSocketPair());
const inTurn = (name, body) => test(name, { timeout: 10_000 }, () => context.run(body));

function throws(run, type, message) {
  assert.throws(run, (error) => {
    assert.deepEqual([error.constructor.name === 'DOMException' ? error.name : error.constructor.name, error.message], [type, message]);
    return true;
  });
}

function record(ws, name, log) {
  ws.addEventListener('message', (e) => log.push([name, e.data, ws.readyState]));
  ws.addEventListener('close', (e) => log.push([name, e.code, e.reason, e.wasClean, ws.readyState]));
  ws.addEventListener('error', (e) => log.push([name, 'error', e.message]));
}

inTurn('a pair looks as it does in workerd', () => {
  const made = new WebSocketPair();
  assert.deepEqual([Object.keys(made), [...made].length], [['0', '1'], 2]);
  const ws = made[0];
  assert.deepEqual(
    [ws.url, ws.protocol, ws.extensions, ws.binaryType, ws.readyState, ws.bufferedAmount, Object.keys(ws)],
    [null, '', '', 'blob', 1, 0, []],
  );
  assert.deepEqual([WebSocket.OPEN, WebSocket.READY_STATE_CLOSED, ws.CLOSING, 'OPEN' in WebSocket], [1, 3, 2, true]);
  Object.assign(ws, { id: 'a', server: 'b' });
  Object.defineProperties(ws, { state: { get: () => 1, configurable: true }, serializeAttachment: { value: () => 2 } });
  assert.equal(ws.serializeAttachment(), 2);
  WebSocket.prototype.serializeAttachment.call(ws, { n: 1 });
  assert.deepEqual(WebSocket.prototype.deserializeAttachment.call(ws), { n: 1 });
});

inTurn('send and close are refused before accept and after close', () => {
  const fresh = 'You must call one of accept() or state.acceptWebSocket() on this WebSocket before sending messages.';
  throws(() => pair()[0].send('x'), 'TypeError', fresh);
  throws(() => pair()[0].close(), 'TypeError', fresh);
  const [ws] = pair();
  ws.accept();
  ws.accept();
  ws.close(1000);
  throws(() => ws.send('x'), 'TypeError', "Can't call WebSocket send() after close().");
  ws.close();
});

inTurn('the matrix of close codes', () => {
  const [ws] = pair();
  for (const code of [0, 999, 1004, 1005, 1006, 1015, 5000]) {
    throws(() => ws.close(code), 'InvalidAccessError', `Invalid WebSocket close code: ${code}.`);
  }
  throws(() => ws.close('abc'), 'InvalidAccessError', 'Invalid WebSocket close code: 0.');
  throws(() => ws.close(undefined, 'x'), 'InvalidAccessError',
    'If you specify a WebSocket close reason, you must also specify a code.');
  throws(() => ws.close(1000, 'x'.repeat(124)), 'SyntaxError',
    'WebSocket close reason must not be longer than 123 bytes when UTF-8 encoded.');
  for (const code of [1000, 1001, 3000, 4999]) {
    const [accepted] = pair();
    accepted.accept();
    accepted.close(code, 'r'.repeat(123));
    assert.equal(accepted.readyState, 2);
  }
});

inTurn('both ends in one isolate: order, types, close with automatic reply', async () => {
  const [a, b] = pair();
  const log = [];
  const before = context.io;
  a.accept();
  b.accept();
  b.binaryType = 'arraybuffer';
  b.onmessage = (e) => log.push(['onmessage', typeof e.data]);
  record(a, 'a', log);
  record(b, 'b', log);
  a.send('hi');
  a.send(new Uint8Array([7]));
  a.close(1000, 'bye');
  log.push(a.readyState);
  await sleep(20);
  assert.deepEqual(log.map((x) => (x[1] instanceof ArrayBuffer ? 'bytes' : x)), [
    2, ['onmessage', 'string'], ['b', 'hi', 1], ['onmessage', 'object'], 'bytes', ['b', 1000, 'bye', true, 3],
    ['a', 1000, 'bye', true, 3],
  ]);
  assert.deepEqual([a.readyState, b.readyState, context.io], [3, 3, before]);
});

inTurn('half-open: the peer goes on sending until it closes', async () => {
  const [a, b] = pair();
  const log = [];
  a.accept({ allowHalfOpen: true });
  b.accept({ allowHalfOpen: true });
  record(a, 'a', log);
  record(b, 'b', log);
  b.addEventListener('close', () => b.send('late'));
  a.close();
  await sleep(10);
  b.close();
  await sleep(10);
  assert.deepEqual(log, [['b', 1005, '', true, 2], ['a', 'late', 2], ['a', 1005, '', true, 3]]);
});

inTurn('every message is acknowledged after its handlers', async () => {
  const [a, b] = pair();
  a.accept();
  b.accept();
  const seen = [];
  const end = websocket.socketEnd(b);
  b.addEventListener('message', () => seen.push(native.pipe(end).unacked));
  a.send('1');
  await sleep(5);
  assert.deepEqual([seen, native.pipe(end).unacked], [[1], 0]);
});

inTurn('a listener that throws does not cut the socket', async () => {
  const [a, b] = pair();
  a.accept();
  b.accept();
  b.onmessage = () => {
    throw new Error('in handler');
  };
  a.send('1');
  await sleep(5);
  assert.equal(native.exceptions.at(-1).message, 'in handler');
  assert.equal(b.readyState, 1);
});

inTurn('a cut pipe is a close event with 1006', async () => {
  const [a, b] = pair();
  const log = [];
  b.accept();
  record(b, 'b', log);
  native.pipeAbort(websocket.socketEnd(a));
  await sleep(5);
  assert.deepEqual(log, [['b', 1006, 'WebSocket disconnected without sending Close frame.', false, 3]]);
  b.send('nobody hears it');
});

inTurn('after both Close frames the pipe is given back', async () => {
  const [a, b] = pair();
  const ends = [a, b].map((ws) => native.pipe(websocket.socketEnd(ws)));
  a.accept();
  b.accept();
  a.close(1000);
  await sleep(10);
  assert.deepEqual(ends.map((end) => end.dead), [true, true]);
});

inTurn('a message that memory has no room for is an error', async () => {
  const [ws] = pair();
  const log = [];
  ws.accept();
  record(ws, 'w', log);
  websocket.socketEvent(websocket.socketEnd(ws), 'binary', undefined, 0, '');
  await sleep(5);
  assert.deepEqual([log.length, log[0][1], ws.readyState], [1, 'error', 3]);
});

inTurn('attachments', () => {
  const [ws] = pair();
  assert.equal(ws.deserializeAttachment(), null);
  ws.serializeAttachment({ a: new Map([[1, 2]]) });
  assert.deepEqual(ws.deserializeAttachment(), { a: new Map([[1, 2]]) });
  assert.throws(() => ws.serializeAttachment('x'.repeat(16_385)),
    /^Error: A WebSocket 'attachment' cannot be larger than 16384 bytes\.'attachment' was \d+ bytes\.$/);
});

inTurn('what may be accepted or returned', () => {
  const [accepted, peer] = pair();
  accepted.accept();
  throws(() => websocket.couple(accepted), 'TypeError', "Can't return WebSocket in a Response after calling accept().");
  const sink = { deliver() {} };
  throws(() => websocket.acceptHibernatable(peer, sink, context), 'Error',
    'Cannot call `acceptWebSocket()` on this WebSocket because its pair has already been accepted or used in a Response.');
  throws(() => websocket.acceptHibernatable(accepted, sink, context), 'Error',
    'Cannot call `acceptWebSocket()` if the WebSocket was already accepted via `accept()`');
  const [server, client] = pair();
  websocket.acceptHibernatable(server, sink, context);
  throws(() => server.accept(), 'TypeError', "Can't accept() WebSocket after enabling hibernation.");
  throws(() => websocket.couple(server), 'TypeError', "Can't return WebSocket in a Response after calling acceptWebSocket().");
  assert.equal(websocket.couple(client) > 0, true);
  throws(() => websocket.couple(client), 'TypeError', "Can't return WebSocket that was already used in a response.");
  throws(() => client.accept(), 'TypeError', "Can't accept() WebSocket that was already used in a response.");
});

inTurn('hibernatable sockets hand their events to the sink, in order, and reply to Close', async () => {
  const [server, client] = pair();
  const events = [];
  websocket.acceptHibernatable(server, {
    deliver(ws, event) {
      assert.equal(ws, server);
      context.enter(null, () => {
        websocket.applyIncoming(ws, event);
        events.push([event.kind, event.data ?? event.code, ws.readyState]);
        websocket.answerClose(ws, event);
        if (event.kind === 'message') {
          ws.send(`re ${event.data}`);
          websocket.ackSocket(ws);
        }
      });
    },
  }, context);
  client.accept();
  const log = [];
  record(client, 'c', log);
  client.send('1');
  client.close(4000, 'end');
  await sleep(10);
  assert.deepEqual(events, [['message', '1', 1], ['close', 4000, 2]]);
  assert.deepEqual(log, [['c', 're 1', 2], ['c', 4000, 'end', true, 3]]);
  assert.equal(websocket.isReleased(server), true);
});

test('messages pass the output gate in order, each as it was when sent', async () => {
  const object = new TestContext('object');
  const gates = [Promise.withResolvers(), Promise.withResolvers()];
  const log = [];
  await object.run(() => {
    const [server, client] = pair();
    server.accept();
    client.accept();
    record(client, 'c', log);
    object.gate = gates[0].promise;
    const bytes = new Uint8Array([65]);
    server.send('first');
    server.send(bytes);
    bytes[0] = 66;
    object.gate = gates[1].promise;
    server.send('second');
    object.gate = undefined;
    server.send('third');
    server.close(1000, 'done');
  });
  await sleep(5);
  assert.deepEqual(log, []);
  gates[1].resolve();
  await sleep(5);
  assert.deepEqual(log, []);
  gates[0].resolve();
  await sleep(20);
  assert.equal(await log[1][1].text(), 'A');
  assert.deepEqual(log.map((x) => x[1]).filter((x) => !(x instanceof Blob)), ['first', 'second', 'third', 1000]);
});

test('what waits at a gate that breaks is never seen', async () => {
  const object = new TestContext('object');
  const gate = Promise.withResolvers();
  const log = [];
  await object.run(() => {
    const [server, client] = pair();
    server.accept();
    client.accept();
    record(client, 'c', log);
    object.gate = gate.promise;
    server.send('never');
  });
  gate.reject(new Error('commit failed'));
  await sleep(5);
  assert.deepEqual(log, []);
});

test('a context that ends cuts its sockets, and one nobody took', async () => {
  const object = new TestContext('object');
  const log = [];
  const [held, fresh] = await object.run(() => {
    const [server, client] = pair();
    server.accept();
    return [client, pair()];
  });
  await context.run(() => {
    held.accept();
    record(held, 'held', log);
    fresh[1].accept();
    record(fresh[1], 'fresh', log);
  });
  object.end();
  await sleep(5);
  assert.deepEqual(log.map((x) => [x[0], x[1]]), [['held', 1006], ['fresh', 1006]]);
});

test('before 2026-04-07 the runtime does not answer a Close, and binary is an ArrayBuffer', async () => {
  const old = await load({ date: '2026-01-01' });
  await old.context.run(async () => {
    const [a, b] = Object.values(new old.websocket.WebSocketPair());
    assert.equal(a.binaryType, 'arraybuffer');
    a.accept();
    b.accept();
    let state;
    b.addEventListener('close', () => (state = b.readyState));
    a.close(1000);
    await sleep(10);
    assert.deepEqual([state, a.readyState], [2, 2]);
    b.close(1000);
    await sleep(10);
    assert.deepEqual([a.readyState, b.readyState], [3, 3]);
  });
});

inTurn('auto-response pairs have limits', () => {
  const made = new WebSocketRequestResponsePair('ping', 'pong');
  assert.deepEqual([made.request, made.response], ['ping', 'pong']);
  throws(() => websocket.checkAutoResponse(new WebSocketRequestResponsePair('x'.repeat(2049), '')), 'RangeError',
    'Request cannot be larger than 2048 bytes. A request of size 2049 was provided.');
});

inTurn('new WebSocket checks its arguments', () => {
  const texts = [
    ['x', undefined, 'The url is invalid.'],
    ['http://x/', undefined, 'The url scheme must be ws or wss.'],
    ['ws://x/#a', undefined, 'The url fragment must be empty.'],
    ['ws://x/', ['a b'], 'One of the protocol header tokens is invalid.'],
    ['ws://x/', ['a', 'a'], 'The protocols header cannot have repeating values.'],
  ];
  for (const [url, protocols, text] of texts) {
    throws(() => new WebSocket(url, protocols), 'SyntaxError', `WebSocket Constructor: ${text}`);
  }
});

test('outgoing sockets: constructor, fetch with Upgrade, and bridged into a Response', { timeout: 20_000 }, async (t) => {
  const http = createServer();
  const server = new WebSocketServer({ server: http, handleProtocols: (names) => [...names][0] });
  server.on('connection', (ws) => {
    ws.on('message', (data, isBinary) => {
      if (!isBinary && data.toString() === 'close') ws.close(4001, 'asked');
      else ws.send(data, { binary: isBinary });
    });
  });
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const client of server.clients) client.terminate();
    http.close();
    http.closeAllConnections();
  });
  const { port } = http.address();
  const own = new TestContext('client');

  const log = [];
  await own.run(async () => {
    const ws = new WebSocket(`ws://127.0.0.1:${port}/`, 'chat');
    assert.equal(ws.readyState, 0);
    throws(() => ws.accept(), 'TypeError', "Websockets obtained from the 'new WebSocket()' constructor cannot call accept");
    record(ws, 'w', log);
    await new Promise((resolve) => ws.addEventListener('open', resolve));
    assert.deepEqual([ws.readyState, ws.protocol], [1, 'chat']);
    const closed = new Promise((resolve) => ws.addEventListener('close', resolve));
    ws.send('echo');
    ws.send('close');
    await closed;
  });
  assert.deepEqual(log, [['w', 'echo', 1], ['w', 4001, 'asked', true, 3]]);
  assert.equal(own.io, 0);

  const upgrade = (path) =>
    runtime.fetch.fetch(`http://127.0.0.1:${port}${path}`, { headers: { Upgrade: 'websocket' } });
  await own.run(async () => {
    const response = await upgrade('/');
    assert.equal(response.status, 101);
    const ws = response.webSocket;
    const got = new Promise((resolve) => ws.addEventListener('message', (e) => resolve(e.data)));
    ws.accept();
    ws.send('hello');
    assert.equal(await got, 'hello');
    ws.close(1000);
  });

  // The client end of a proxied socket belongs to somebody else: here another context of the same isolate.
  const seen = [];
  await own.run(async () => {
    const response = await upgrade('/');
    const far = websocket.socketFromEnd(websocket.couple(response.webSocket), own);
    far.accept();
    record(far, 'far', seen);
    far.send('through');
    await new Promise((resolve) => far.addEventListener('message', resolve));
    far.send('close');
    await new Promise((resolve) => far.addEventListener('close', resolve));
  });
  assert.deepEqual(seen.map((x) => x[1]), ['through', 4001]);

  await own.run(async () => {
    const ws = new WebSocket('ws://127.0.0.1:1/');
    const events = [];
    ws.addEventListener('error', () => events.push('error'));
    await new Promise((resolve) => ws.addEventListener('close', (e) => resolve(events.push(e.code))));
    assert.deepEqual(events, ['error', 1006]);
    await assert.rejects(runtime.fetch.fetch('http://127.0.0.1:1/', { headers: { Upgrade: 'websocket' } }), {
      message: 'Network connection lost.',
      retryable: true,
    });
  });
});
