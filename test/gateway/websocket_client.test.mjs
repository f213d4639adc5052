// Outgoing WebSockets of Workers and objects, `new WebSocket(url)` and a fetch with Upgrade, to a server made with `ws`;
// and sockets that are passed on: through proxies, service bindings and objects on other shards.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket, { WebSocketServer } from 'ws';
import { rssOf } from '../../bench/support.mjs';
import { Holdfast } from '../support/holdfast.mjs';

const worker = `
import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers';
let born = 0;
const attempt = (run) => { try { run(); return 'ok'; } catch (error) { return error.name + ': ' + error.message; } };
function record(ws, log) {
  ws.addEventListener('open', () => log.push(['open', ws.readyState, ws.protocol, ws.extensions]));
  ws.addEventListener('message', async ({ data }) => log.push(['message', typeof data === 'string' ? data.slice(0, 100) : [...new Uint8Array(data).subarray(0, 10)], typeof data === 'string' ? data.length : data.byteLength]));
  ws.addEventListener('close', ({ code, reason, wasClean }) => log.push(['close', code, reason, wasClean, ws.readyState]));
  ws.addEventListener('error', ({ message }) => log.push(['error', message, ws.readyState]));
  return log;
}
// A connection that fails says 'error' and then 'close'.
const ended = (ws) => new Promise((resolve) => { ws.addEventListener('close', resolve); ws.addEventListener('error', () => queueMicrotask(resolve)); });
export class Client extends DurableObject {
  born = ++born;
  log = [];
  run(url, protocols, sends) {
    const ws = new WebSocket(url, protocols);
    ws.binaryType = 'arraybuffer';
    record(ws, this.log);
    this.ws = ws;
    this.ended = ended(ws);
    ws.addEventListener('open', () => { for (const data of sends) Array.isArray(data) ? ws.close(...data) : ws.send(data); });
  }
  async fetched(url, headers, sends, options) {
    const response = await fetch(url, { headers: { Upgrade: 'websocket', ...headers } });
    const ws = response.webSocket;
    if (ws === null) return [response.status, response.headers.get('x-more'), await response.text()];
    ws.binaryType = 'arraybuffer';
    record(ws, this.log);
    this.log.push([response.status, response.headers.get('x-more'), ws.protocol, attempt(() => ws.send('too early'))]);
    ws.accept(options);
    this.ws = ws;
    this.ended = ended(ws);
    for (const data of sends) Array.isArray(data) ? ws.close(...data) : ws.send(data);
  }
  async failing(url) { try { await fetch(url, { headers: { Upgrade: 'websocket' } }); return 'ok'; } catch (error) { return error.name + ': ' + error.message; } }
  async aborted(url) { try { await fetch(url, { headers: { Upgrade: 'websocket' }, signal: AbortSignal.timeout(100) }); return 'ok'; } catch (error) { return error.name; } }
  async finish() { await this.ended; return this.take(); }
  async until(count) {
    while (this.log.length < count) await new Promise((resolve) => this.ws.addEventListener('message', resolve, { once: true }));
    return this.take();
  }
  take() { return this.log.splice(0); }
  send(...args) { this.ws.send(...args); }
  close(...args) { this.ws.close(...args); }
  state() { return [this.ws.readyState, this.born]; }
  big(bytes) { this.ws.send(new Uint8Array(bytes).fill(7)); }
  flood(count) { const chunk = new Uint8Array(1048576); for (let i = 0; i < 16; i++) crypto.getRandomValues(chunk.subarray(i * 65536, (i + 1) * 65536)); for (let i = 0; i < count; i++) this.ws.send(chunk); return this.ws.readyState; }
  async block(ms) { await this.ctx.blockConcurrencyWhile(() => new Promise((resolve) => setTimeout(resolve, ms))); return this.log.length; }
}
// An object with sockets of both kinds; /join opens one, /relay passes one on from another object.
export class Room extends DurableObject {
  async fetch(request) {
    const url = new URL(request.url);
    const name = url.searchParams.get('name');
    if (url.pathname === '/relay') return this.env.ROOM.getByName(url.searchParams.get('to')).fetch(new Request('http://x/join?name=' + name, request));
    if (url.pathname === '/pump') {
      const { webSocket } = await this.env.ROOM.getByName(url.searchParams.get('to')).fetch('http://x/join?name=' + name, { headers: { Upgrade: 'websocket' } });
      const [client, server] = Object.values(new WebSocketPair());
      for (const [from, to] of [[webSocket, server], [server, webSocket]]) {
        from.binaryType = 'arraybuffer';
        from.accept({ allowHalfOpen: true });
        from.addEventListener('message', ({ data }) => to.send(data));
        from.addEventListener('close', ({ code, reason }) => code === 1005 || code === 1006 ? to.close() : to.close(code, reason));
      }
      return new Response(null, { status: 101, webSocket: client });
    }
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server, [name]);
    return new Response(null, { status: 101, webSocket: client, headers: { 'sec-websocket-protocol': 'chat' } });
  }
  webSocketMessage(ws, message) {
    if (message === 'close') return ws.close(4002, 'by ' + this.ctx.id.name);
    ws.send(typeof message === 'string' ? this.ctx.id.name + ':' + this.ctx.getTags(ws) + ':' + message : message);
  }
  async ask(to, text) {
    const { webSocket } = await this.env.ROOM.getByName(to).fetch('http://x/join?name=object', { headers: { Upgrade: 'websocket' } });
    const answer = new Promise((resolve) => webSocket.addEventListener('message', ({ data }) => resolve(data)));
    webSocket.accept();
    webSocket.send(text);
    const data = await answer;
    const closed = new Promise((resolve) => webSocket.addEventListener('close', ({ code, reason }) => resolve([code, reason])));
    webSocket.send('close');
    return [data, ...await closed];
  }
}
export class Hop extends WorkerEntrypoint {
  async fetch(request) {
    const response = await this.env.ROOM.getByName(new URL(request.url).searchParams.get('room')).fetch(request.clone());
    return new Response(response.body, response);
  }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const room = env.ROOM.getByName(url.searchParams.get('room') ?? 'room');
    switch (url.pathname) {
      case '/join': case '/relay': case '/pump': return room.fetch(request);
      case '/proxy': { const response = await room.fetch(new Request('http://x/join' + url.search, request)); return new Response(response.body, response); }
      case '/service': return env.HOP.fetch(new Request('http://x/join' + url.search, request));
      case '/outside': return fetch('http' + url.searchParams.get('url').slice(2), request);
      case '/ask': return Response.json(await room.ask(url.searchParams.get('to'), 'hello'));
    }
    const [method, ...args] = await request.json();
    return Response.json(await env.CLIENT.getByName(url.searchParams.get('o'))[method](...args) ?? null);
  },
};`;

const ns = (name) => ({ type: 'durable_object_namespace', name: name.toUpperCase(), class_name: name });
let server;
let peer;
let http;
const handshakes = [];
before(async () => {
  server = await Holdfast.start({ args: ['--shards', '3'] });
  const metadata = { bindings: [ns('Client'), ns('Room')], migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Client', 'Room'] }] } };
  await server.deploy('ws', { 'w.mjs': worker }, metadata);
  await server.deploy('ws', { 'w.mjs': worker }, { bindings: [...metadata.bindings, { type: 'service', name: 'HOP', service: 'ws', entrypoint: 'Hop' }] });
  http = createServer((request, response) => response.writeHead(403, { 'x-more': 'no' }).end(`not ${request.url}`));
  peer = new WebSocketServer({ noServer: true, maxPayload: 64 << 20, perMessageDeflate: { threshold: 0 }, handleProtocols: (names) => (names.has('two') ? 'two' : false) });
  http.on('upgrade', (request, socket, head) => {
    handshakes.push(request.headers);
    const { pathname } = new URL(request.url, 'http://x');
    if (pathname === '/declines') return socket.end('HTTP/1.1 426 No\r\nx-more: declined\r\ncontent-length: 5\r\nconnection: close\r\n\r\nnever');
    if (pathname === '/lies') return socket.end('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: AAAA\r\n\r\n');
    if (pathname === '/silent') return undefined;
    return peer.handleUpgrade(request, socket, head, (ws) => {
      ws.path = pathname;
      peer.emit('connection', ws, request);
      if (pathname === '/hello') for (let i = 0; i < 300; i++) ws.send(`hello ${i}`);
      ws.on('message', (data, isBinary) => {
        if (String(data) === 'close') ws.close(4001, 'asked');
        else if (String(data) === 'cut') ws.terminate();
        else if (String(data) === 'bad') socket.write(Buffer.from([0xb1, 0x00]));
        else if (String(data) === 'masked') socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 65]));
        else if (String(data) === 'huge') socket.write(Buffer.from([0x82, 127, 0, 0, 0, 0, 2, 0, 0, 1]));
        else if (String(data) === 'pieces') ['pi', 'ec', 'es'].forEach((part, i) => (ws.send(part, { fin: i === 2, compress: false }), ws.ping('between')));
        else ws.send(data, { binary: isBinary });
      });
    });
  });
  http.on('connection', (socket) => socket.on('error', () => {}));
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  for (const client of peer.clients) client.terminate();
  http.closeAllConnections();
  http.close();
  await server[Symbol.asyncDispose]();
});

let objects = 0;
function object() {
  const name = `o${++objects}`;
  return async (...call) => {
    const { text } = await server.fetch('ws', `/?o=${name}`, { method: 'POST', body: JSON.stringify(call) });
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(text);
    }
  };
}
const ws = (path) => `ws://127.0.0.1:${http.address().port}${path}`;
const url = (path) => `http://127.0.0.1:${http.address().port}${path}`;
const nextClient = () => once(peer, 'connection').then(([client]) => client);

test('new WebSocket: sub-protocols, echo, deflated, Close both ways', { timeout: 20_000 }, async () => {
  const call = object();
  await call('run', ws('/'), ['one', 'two'], ['x', 'y'.repeat(2000), 'pieces', [4000, 'bye']]);
  assert.deepEqual(await call('finish'), [
    ['open', 1, 'two', 'permessage-deflate; client_no_context_takeover; server_no_context_takeover'],
    ['message', 'x', 1], ['message', 'y'.repeat(100), 2000], ['message', 'pieces', 6], ['close', 4000, 'bye', true, 3],
  ]);
  for (const [code, reason] of [[1001, ''], [3000, 'r'], [1012, 'é'.repeat(61)], []]) {
    const closed = nextClient().then((client) => once(client, 'close'));
    await call('run', ws('/'), [], [code === undefined ? [] : [code, reason]]);
    const expected = code === undefined ? [1005, ''] : [code, reason];
    assert.deepEqual((await call('finish')).at(-1), ['close', ...expected, true, 3]);
    const [gotCode, gotReason] = await closed;
    assert.deepEqual([gotCode, String(gotReason)], expected);
  }
  await call('run', ws('/'), [], ['close']);
  assert.deepEqual((await call('finish')).at(-1), ['close', 4001, 'asked', true, 3]);
});

test('what the server does wrong', { timeout: 20_000 }, async () => {
  const call = object();
  const protocol = (code, text) => ['error', `Uncaught Error: WebSocket protocol error; protocolError.statusCode = ${code}; protocolError.description = ${text}`, 3];
  for (const [word, event, code] of [
    ['bad', protocol(1002, 'Received frame had RSV bits 2 or 3 set'), 1002],
    ['masked', protocol(1002, 'Received frame was masked'), 1002],
    ['huge', protocol(1009, 'Message is too large'), 1009],
    ['cut', ['close', 1006, 'WebSocket disconnected without sending Close frame.', false, 3], 1006],
  ]) {
    const opened = nextClient();
    await call('run', ws('/'), [], [word]);
    const closed = opened.then((client) => once(client, 'close'));
    assert.deepEqual((await call('finish')).at(-1), event, word);
    assert.equal((await closed)[0], code, word);
  }
  const failed = async (path, text) => {
    await call('run', path, [], []);
    assert.deepEqual(await call('finish'), [['error', `Uncaught ${text}`, 3], ['close', 1006, 'Failed to establish websocket connection', false, 3]]);
  };
  const expected = (status) => `TypeError: Failed to establish the WebSocket connection: expected server to reply with HTTP status code 101 (switching protocols), but received ${status} instead.`;
  await failed(ws('/declines'), expected(426));
  await failed(ws('/lies'), expected(502));
  await failed('ws://127.0.0.1:1/', 'Error: Network connection lost.');
});

test('fetch with Upgrade: headers, what a server says instead, half-open', { timeout: 20_000 }, async () => {
  const call = object();
  handshakes.length = 0;
  await call('fetched', url('/'), { 'x-more': 'mine', 'sec-websocket-protocol': 'one, two', authorization: 'Bearer x' }, ['a', [4000, 'bye']]);
  assert.deepEqual((await call('finish')).slice(-3), [
    [101, null, 'two', 'TypeError: You must call one of accept() or state.acceptWebSocket() on this WebSocket before sending messages.'],
    ['message', 'a', 1], ['close', 4000, 'bye', true, 3],
  ]);
  assert.deepEqual([handshakes[0]['x-more'], handshakes[0].authorization, handshakes[0]['sec-websocket-extensions']], ['mine', 'Bearer x', undefined]);
  assert.deepEqual(await call('fetched', url('/declines'), {}, []), [426, 'declined', 'never']);
  const [status, , text] = await call('fetched', url('/lies'), {}, []);
  assert.equal(status, 502);
  assert.match(text, /^Server failed WebSocket handshake: incorrect Sec-WebSocket-Accept header: expected '.{28}', got 'AAAA'\.$/);
  assert.equal(await call('failing', 'http://127.0.0.1:1/'), 'Error: Network connection lost.');
  assert.equal(await call('aborted', url('/silent')), 'TimeoutError');
  // What came before accept() has waited, more than fits under way at once.
  await call('fetched', url('/hello'), {}, []);
  assert.deepEqual((await call('until', 301)).slice(1).map(([, text]) => text), Array.from({ length: 300 }, (_, i) => `hello ${i}`));
  // Half open: the server's Close is not answered until the object says so, and it may still send.
  await call('fetched', url('/'), {}, ['close'], { allowHalfOpen: true });
  assert.deepEqual((await call('finish')).at(-1), ['close', 4001, 'asked', true, 2]);
  const client = [...peer.clients].at(-1);
  const got = once(client, 'close');
  await call('close', 4123, 'at last');
  assert.equal((await got)[0], 4123);
  assert.deepEqual((await call('state'))[0], 3);
});

test('events enter through the gate, and an object that is blocked stops reading', { timeout: 30_000 }, async () => {
  const call = object();
  await call('run', ws('/'), [], ['first']);
  await call('until', 2);
  const client = [...peer.clients].at(-1);
  const blocked = call('block', 5000);
  await delay(100);
  const before = await rssOf(server.child.pid);
  const chunk = Buffer.alloc(1 << 20, 1);
  for (let i = 0; i < 100; i++) client.send(chunk, { compress: false });
  let peak = 0;
  for (const until = performance.now() + 1500; performance.now() < until; ) {
    await delay(100);
    peak = Math.max(peak, await rssOf(server.child.pid));
  }
  assert.ok(peak - before < 64 * 1024, `${peak - before} KB`);
  assert.ok(client.bufferedAmount > 60 << 20, `${client.bufferedAmount} bytes still wait at the sender`);
  assert.equal(await blocked, 0); // nothing entered while the object was blocked
  const log = await call('until', 100);
  assert.equal(log.length, 100);
  await call('close');
});

test('a server that does not read is cut; memory is bounded', { timeout: 30_000 }, async () => {
  const call = object();
  await call('run', ws('/'), [], ['first']);
  await call('until', 2);
  const client = [...peer.clients].at(-1);
  client.pause();
  const before = await rssOf(server.child.pid);
  for (let i = 0; i < 12; i++) await call('flood', 10);
  const log = await call('take');
  assert.deepEqual(log.at(-1), ['close', 1006, 'WebSocket disconnected without sending Close frame.', false, 3]);
  const grown = (await rssOf(server.child.pid)) - before;
  assert.ok(grown < 200 * 1024, `${grown} KB`);
  client.terminate();
});

test('32 MiB both ways', { timeout: 30_000 }, async () => {
  const call = object();
  await call('run', ws('/'), [], ['first']);
  await call('until', 2);
  await call('big', 32 << 20);
  assert.deepEqual(await call('until', 1), [['message', Array(10).fill(7), 32 << 20]]);
  await call('close');
});

test('an open client socket keeps its object up', { timeout: 30_000 }, async () => {
  const call = object();
  await call('run', ws('/'), [], ['first']);
  await call('until', 2);
  const state = await call('state');
  await delay(13_500);
  assert.deepEqual(await call('state'), state);
  await call('send', 'still here');
  assert.deepEqual(await call('until', 1), [['message', 'still here', 10]]);
  await call('close');
});

// --- passed on

async function join(path, protocols = []) {
  const client = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, protocols, { headers: { host: 'ws.test' } });
  client.on('error', (error) => (client.failure = error));
  await once(client, 'open');
  return client;
}
const ask = async (client, text) => {
  client.send(text);
  const [data] = await once(client, 'message');
  return String(data);
};

test('sockets go through proxies, service bindings, relays and pumps, whichever shard an object lives on', { timeout: 30_000 }, async () => {
  for (let i = 0; i < 6; i++) {
    for (const [path, room] of [['/join', `r${i}`], ['/proxy', `r${i}`], ['/service', `r${i}`], ['/relay', `far${i}`], ['/pump', `far${i}`]]) {
      const client = await join(`${path}?room=r${i}&to=far${i}&name=n${i}`, path === '/pump' ? [] : ['chat']);
      assert.equal(await ask(client, 'hi'), `${room}:n${i}:hi`, path);
      const many = [];
      client.on('message', (data) => many.push(String(data)));
      for (let k = 0; k < 200; k++) client.send(`${k}`);
      while (many.length < 200) await once(client, 'message');
      assert.deepEqual(many, Array.from({ length: 200 }, (_, k) => `${room}:n${i}:${k}`), path);
      const closed = once(client, 'close');
      if (i % 2 === 0) client.send('close');
      else client.close(4003, 'mine');
      const [code, reason] = await closed;
      assert.deepEqual([code, String(reason)], i % 2 === 0 ? [4002, `by ${room}`] : [4003, 'mine'], path);
    }
  }
});

test('objects are clients of other objects', { timeout: 20_000 }, async () => {
  for (let i = 0; i < 6; i++) {
    const answer = (await server.fetch('ws', `/ask?room=a${i}&to=b${i}`)).json();
    assert.deepEqual(answer, [`b${i}:object:hello`, 4002, `by b${i}`]);
  }
});

test('a socket of another server is returned to the client', { timeout: 20_000 }, async () => {
  const client = await join(`/outside?url=${encodeURIComponent(ws('/'))}`);
  assert.equal(await ask(client, 'through'), 'through');
  const closed = once(client, 'close');
  client.send('close');
  const [code, reason] = await closed;
  assert.deepEqual([code, String(reason)], [4001, 'asked']);
});
