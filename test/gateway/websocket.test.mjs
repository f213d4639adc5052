// WebSockets from a client's socket to a Worker and to a Durable Object, through the real server: accept() in a Worker,
// accept() in an object behind stub.fetch, and the hibernation API. The clients are `ws` and, where a library would not
// do the wrong thing, raw frames.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { Holdfast } from '../support/holdfast.mjs';
import { RawClient } from './raw_client.mjs';

// The kinds of server sockets answer alike; what happened is kept by the object "log".
const worker = `
import { DurableObject } from 'cloudflare:workers';
let born = 0;
const replies = (url) => !url.searchParams.has('mute');
function act(ws, message, extra) {
  if (typeof message !== 'string') return ws.send(message);
  const [verb, ...rest] = message.split(' ');
  switch (verb) {
    case 'close': return rest.length === 0 ? ws.close() : ws.close(Number(rest[0]), rest.slice(1).join(' '));
    case 'closethensend': ws.close(1000, 'done'); try { ws.send('late'); } catch (error) { return extra.log('late: ' + error.message); } return;
    case 'throw': throw new Error('thrown by a socket handler');
    default: return extra[verb] !== undefined ? extra[verb](...rest) : ws.send(message);
  }
}
function upgrade(url, accept) {
  const [client, server] = Object.values(new WebSocketPair());
  accept(server);
  const headers = url.searchParams.has('protocol') ? { 'sec-websocket-protocol': url.searchParams.get('protocol'), 'x-more': 'yes' } : undefined;
  return new Response(null, { status: 101, webSocket: client, headers });
}
function listen(url, log) {
  return upgrade(url, (ws) => {
    ws.accept();
    const id = url.searchParams.get('id');
    const note = (text) => log(id + ' ' + text);
    ws.addEventListener('message', (event) => act(ws, event.data, { log: note }));
    ws.addEventListener('close', (event) => {
      note(\`close \${event.code} \${event.reason} \${event.wasClean} \${ws.readyState}\`);
      if (replies(url)) ws.close(event.code === 1005 || event.code === 1006 ? 1000 : event.code, event.reason);
    });
    ws.addEventListener('error', (event) => note('error ' + event.message));
  });
}
export class Log extends DurableObject {
  lines = [];
  add(line) { this.lines.push(line); }
  all() { return this.lines; }
}
export class Plain extends DurableObject {
  fetch(request) {
    return listen(new URL(request.url), (line) => this.ctx.waitUntil(this.env.LOG.getByName('log').add(line)));
  }
}
export class Room extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.born = ++born;
    this.count = 0;
  }
  note(line) { this.ctx.waitUntil(this.env.LOG.getByName('log').add(line)); }
  fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === '/sockets') return Response.json(this.ctx.getWebSockets().map((ws) => [ws.deserializeAttachment()?.id, ws.readyState, this.ctx.getTags(ws), this.ctx.getWebSocketAutoResponseTimestamp(ws)?.getTime() ?? null]));
    if (url.pathname === '/tagged') return Response.json(this.ctx.getWebSockets(url.searchParams.get('tag')).map((ws) => ws.deserializeAttachment().id));
    if (url.pathname === '/born') return Response.json(this.born);
    if (url.pathname === '/auto') { this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong')); return new Response(''); }
    if (url.pathname === '/abort') this.ctx.abort('told to');
    return upgrade(url, (ws) => {
      this.ctx.acceptWebSocket(ws, url.searchParams.getAll('tag'));
      ws.serializeAttachment({ id: url.searchParams.get('id'), mute: !replies(url) });
    });
  }
  webSocketMessage(ws, message) {
    const note = (line) => this.note(ws.deserializeAttachment().id + ' ' + line);
    act(ws, message, {
      log: note,
      who: () => ws.send(JSON.stringify({ ...ws.deserializeAttachment(), born: this.born, tags: this.ctx.getTags(ws) })),
      attach: (value) => { ws.serializeAttachment({ ...ws.deserializeAttachment(), value }); ws.send('attached'); },
      all: (...words) => { const text = this.count++ + ' ' + words.join(' '); for (const other of this.ctx.getWebSockets()) other.send(text); },
      kept: async (key) => { await this.ctx.storage.put(key, true); ws.send('kept ' + key); },
    });
  }
  webSocketClose(ws, code, reason, wasClean) {
    const { id, mute } = ws.deserializeAttachment();
    this.note(\`\${id} close \${code} \${reason} \${wasClean} \${ws.readyState}\`);
    if (!mute) ws.close(code === 1005 || code === 1006 ? 1000 : code, reason);
  }
  webSocketError(ws, error) {
    this.note(ws.deserializeAttachment().id + ' error ' + error.message);
  }
}
export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    const log = env.LOG.getByName('log');
    if (url.pathname === '/log') return Response.json(await log.all());
    if (request.headers.get('upgrade') !== 'websocket' && url.pathname === '/') return new Response('no socket', { status: 426 });
    const room = url.searchParams.get('room') ?? 'lobby';
    switch (url.pathname) {
      case '/worker': return listen(url, (line) => ctx.waitUntil(log.add(line)));
      case '/object': return env.PLAIN.getByName(room).fetch(request);
      default: return env.ROOM.getByName(room).fetch(request);
    }
  },
};`;

const bindings = ['Log', 'Plain', 'Room'].map((name) => ({ type: 'durable_object_namespace', name: name.toUpperCase(), class_name: name }));
const migrations = { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Log', 'Plain', 'Room'] }] };

let server;
before(async () => {
  server = await Holdfast.start({ args: ['--shards', '2'] });
  // "ws": the application answers Close frames; "auto": the runtime does (from 2026-04-07).
  for (const [script, date] of [['ws', '2026-02-01'], ['auto', '2026-05-01']]) {
    await server.deploy(script, { 'w.mjs': worker }, { date, bindings, migrations });
  }
});
after(() => server[Symbol.asyncDispose]());

let ids = 0;
const newId = () => `c${++ids}`;

// A client whose messages and end can be awaited.
async function open(path, { script = 'ws', query = {}, on = server, ...options } = {}) {
  const id = newId();
  const ws = new WebSocket(`ws://127.0.0.1:${on.port}${path}?${new URLSearchParams({ id, ...query })}`, query.protocol ? [query.protocol] : [], {
    headers: { host: `${script}.test` },
    ...options,
  });
  const messages = [];
  let wake = () => {};
  ws.on('message', (data, isBinary) => {
    messages.push(isBinary ? data : data.toString());
    wake();
  });
  const closed = new Promise((resolve) => ws.on('close', (code, reason) => resolve([code, reason.toString()])));
  closed.then(() => wake());
  ws.on('error', (error) => (ws.failure = error));
  const next = async () => {
    while (messages.length === 0) {
      if (ws.readyState === WebSocket.CLOSED) throw new Error('the socket is closed', { cause: ws.failure });
      await new Promise((resolve) => (wake = resolve));
    }
    return messages.shift();
  };
  const upgrade = await new Promise((resolve, reject) => {
    let response;
    ws.on('upgrade', (answer) => (response = answer));
    ws.on('open', () => resolve(response));
    ws.on('error', reject);
  });
  return { id, ws, next, closed, upgrade, messages, ask: (text) => (ws.send(text), next()) };
}

// Resolves with the first line of a client's log that matches.
async function logged(id, pattern, script = 'ws') {
  for (;;) {
    const lines = (await server.fetch(script, '/log')).json();
    const line = lines.find((text) => text.startsWith(`${id} `) && pattern.test(text));
    if (line !== undefined) return line.slice(id.length + 1);
    await delay(5);
  }
}
const linesOf = async (id, script = 'ws') => (await server.fetch(script, '/log')).json().filter((text) => text.startsWith(`${id} `)).map((text) => text.slice(id.length + 1));
const get = async (path, script = 'ws') => (await server.fetch(script, path)).json();

// A client that writes its frames by hand.
class RawSocket {
  static async connect(path, { script = 'ws', query = {} } = {}) {
    const self = new RawSocket();
    self.id = newId();
    self.client = await RawClient.connect(server.port);
    const { status } = await self.client
      .send(
        `GET ${path}?${new URLSearchParams({ id: self.id, ...query })} HTTP/1.1\r\nHost: ${script}.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
      )
      .response();
    assert.equal(status, 101);
    return self;
  }

  /** A masked frame; `first` is its first byte, `length` what it claims to be long. */
  frame(first, payload = '', { masked = true, length } = {}) {
    const data = Buffer.from(payload);
    const size = length ?? data.length;
    const head = size < 126 ? Buffer.from([first, size]) : size < 65536 ? Buffer.from([first, 126, size >> 8, size & 255]) : Buffer.alloc(10);
    if (size >= 65536) {
      head[0] = first;
      head[1] = 127;
      head.writeBigUInt64BE(BigInt(size), 2);
    }
    if (!masked) return this.client.socket.write(Buffer.concat([head, data]));
    head[1] |= 128;
    const mask = randomBytes(4);
    this.client.socket.write(Buffer.concat([head, mask, data.map((byte, i) => byte ^ mask[i & 3])]));
  }

  /** The next frame of the server: [first byte, payload]. */
  async next() {
    const [first, second] = await this.client.take(2);
    let size = second;
    if (size === 126) size = (await this.client.take(2)).readUInt16BE();
    else if (size === 127) size = Number((await this.client.take(8)).readBigUInt64BE());
    return [first, Buffer.from(await this.client.take(size))];
  }

  /** The code and the reason of the Close frame that has to come next. */
  async nextClose() {
    const [first, payload] = await this.next();
    assert.equal(first, 0x88);
    return payload.length === 0 ? 1005 : payload.readUInt16BE();
  }
}

const kinds = { 'a Worker': '/worker', 'an object with accept()': '/object', 'an object with the hibernation API': '/room' };

for (const [name, path] of Object.entries(kinds)) {
  describe(name, { timeout: 30_000 }, () => {
    test('echoes text and binary of many lengths', async () => {
      const { ws, ask, next } = await open(path);
      for (const length of [0, 1, 125, 126, 65535, 65536, 1_000_000]) {
        const text = 'ü'.repeat(length);
        assert.ok((await ask(text)) === text, `${length} characters`);
        const bytes = randomBytes(length);
        ws.send(bytes);
        assert.ok(bytes.equals(await next()), `${length} bytes`);
      }
      ws.terminate();
    });

    test('a message of 20 MB, in fragments and whole', async () => {
      const { ws, ask, next } = await open(path, { maxPayload: 40e6 });
      const bytes = Buffer.alloc(20 * 1048576, randomBytes(4096));
      assert.ok(bytes.equals(await ask(bytes)));
      const size = bytes.length / 8;
      for (let i = 0; i < 8; i++) ws.send(bytes.subarray(i * size, (i + 1) * size), { binary: true, fin: i === 7 });
      assert.ok(bytes.equals(await next()));
      ws.terminate();
    });

    test('fragments with a ping between them; a character may be cut in two', async () => {
      const socket = await RawSocket.connect(path);
      const text = Buffer.from('häuser');
      socket.frame(0x01, text.subarray(0, 2));
      socket.frame(0x89, 'are you there');
      socket.frame(0x00, text.subarray(2, 4));
      socket.frame(0x80, text.subarray(4));
      const [pong, echoed] = await socket.next();
      assert.deepEqual([pong, echoed.toString()], [0x8a, 'are you there']);
      const [first, message] = await socket.next();
      assert.deepEqual([first, message.toString()], [0x81, 'häuser']);
      socket.client.destroy();
    });

    test('what the Worker says about the handshake reaches the client, and no extension is negotiated', async () => {
      const { ws, upgrade } = await open(path, { query: { protocol: 'chat' }, perMessageDeflate: true });
      assert.equal(ws.protocol, 'chat');
      assert.equal(upgrade.headers['x-more'], 'yes');
      assert.equal(upgrade.headers['sec-websocket-extensions'], undefined);
      ws.terminate();
    });

    for (const [code, reason] of [[1000, 'bye'], [1001, ''], [3000, 'x'.repeat(123)], [4999, 'grüße'], [undefined, '']]) {
      test(`the client closes ${code === undefined ? 'without a code' : `with ${code}`}`, async () => {
        const { id, ws, closed } = await open(path);
        if (code === undefined) ws.close();
        else ws.close(code, reason);
        assert.deepEqual(await closed, [code ?? 1000, reason]);
        assert.equal(await logged(id, /close/), `close ${code ?? 1005} ${reason} true 2`);
      });

      test(`the server closes ${code === undefined ? 'without a code' : `with ${code}`}`, async () => {
        const { id, ws, closed } = await open(path);
        ws.send(code === undefined ? 'close' : `close ${code} ${reason}`);
        assert.deepEqual(await closed, [code ?? 1005, reason]);
        assert.equal(await logged(id, /close/), `close ${code ?? 1005} ${reason} true 3`);
      });
    }

    test('the connection breaks: 1006, once', async () => {
      for (const how of ['terminate', 'reset', 'end']) {
        const { id, ws } = await open(path);
        if (how === 'terminate') ws.terminate();
        else if (how === 'reset') ws._socket.resetAndDestroy();
        else ws._socket.end();
        assert.match(await logged(id, /close/), /^close 1006 WebSocket disconnected without sending Close frame. false 3$/);
        assert.equal((await linesOf(id)).length, 1);
        ws.terminate();
      }
    });

    test('after its own close() nothing more is sent', async () => {
      const { id, ws, closed, messages } = await open(path);
      ws.send('closethensend');
      assert.deepEqual(await closed, [1000, 'done']);
      assert.equal(await logged(id, /late/), "late: Can't call WebSocket send() after close().");
      assert.deepEqual(messages, []);
    });

    const violations = {
      1002: [
        ['a frame without a mask', (socket) => socket.frame(0x81, 'x', { masked: false })],
        ['a reserved bit', (socket) => socket.frame(0xc1, 'x')],
        ['an unknown opcode', (socket) => socket.frame(0x83, 'x')],
        ['a ping in fragments', (socket) => socket.frame(0x09, 'x')],
        ['a ping that is too long', (socket) => socket.frame(0x89, 'x'.repeat(126))],
        ['a continuation of nothing', (socket) => socket.frame(0x80, 'x')],
        ['a message inside a message', (socket) => (socket.frame(0x01, 'x'), socket.frame(0x81, 'y'))],
        ['a Close frame of one byte', (socket) => socket.frame(0x88, 'x')],
        ['a Close frame with a code that must not be sent', (socket) => socket.frame(0x88, [1005 >> 8, 1005 & 255])],
      ],
      1007: [
        ['a text that is not UTF-8', (socket) => socket.frame(0x81, [0x61, 0xff])],
        ['half a character', (socket) => socket.frame(0x81, [0xc3])],
        ['a surrogate', (socket) => socket.frame(0x81, [0xed, 0xa0, 0x80])],
      ],
      1009: [
        ['a frame above 32 MiB', (socket) => socket.frame(0x82, '', { length: 32 * 1048576 + 1 })],
        ['a frame beyond all bounds', (socket) => socket.frame(0x82, '', { length: 2 ** 52 })],
      ],
    };
    for (const [code, list] of Object.entries(violations)) {
      test(`violations that are answered with ${code}`, async () => {
        for (const [what, violate] of list) {
          const socket = await RawSocket.connect(path);
          violate(socket);
          assert.equal(await socket.nextClose(), Number(code), what);
          assert.match(await logged(socket.id, /./), /^error /, what);
          socket.client.destroy();
        }
      });
    }

    test('fragments that are too much together: 1009; exactly 32 MiB is a message', async () => {
      const kMax = 32 * 1048576;
      const tooMuch = await RawSocket.connect(path);
      tooMuch.frame(0x02, Buffer.alloc(kMax));
      tooMuch.frame(0x80, 'x');
      assert.equal(await tooMuch.nextClose(), 1009);
      tooMuch.client.destroy();
      const { ws, ask } = await open(path, { maxPayload: 40e6 });
      assert.equal((await ask(Buffer.alloc(kMax))).length, kMax);
      ws.terminate();
    });

    test('a handler that throws is logged, and the socket goes on', async () => {
      const { ws, ask } = await open(path);
      ws.send('throw');
      assert.equal(await ask('still here'), 'still here');
      await server.logged(/thrown by a socket handler/);
      ws.terminate();
    });
  });
}

test('what is no correct handshake is an ordinary request', { timeout: 30_000 }, async () => {
  const { status, text } = await server.fetch('ws', '/');
  assert.deepEqual([status, text], [426, 'no socket']);
});
