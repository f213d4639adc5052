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
const states = [];
function upgrade(url, accept) {
  const [client, server] = Object.values(new WebSocketPair());
  accept(server);
  if (url.searchParams.has('watch')) states.push(server);
  const headers = url.searchParams.has('protocol') ? { 'sec-websocket-protocol': url.searchParams.get('protocol'), 'x-more': 'yes' } : undefined;
  return new Response(null, { status: 101, webSocket: client, headers });
}
function listen(url, log, inObject) {
  return upgrade(url, (ws) => {
    ws.accept();
    const id = url.searchParams.get('id');
    const note = (text) => log(id + ' ' + text);
    ws.addEventListener('message', (event) => act(ws, event.data, { log: note, who: () => ws.send(JSON.stringify({ id, born: inObject })) }));
    ws.addEventListener('close', (event) => {
      note(\`close \${event.code} \${event.reason} \${event.wasClean} \${ws.readyState}\`);
      if (replies(url)) ws.close(event.code === 1005 || event.code === 1006 ? 1000 : event.code, event.reason);
      else if (ws.readyState === WebSocket.CLOSING) ws.send('last words');
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
  born = ++born;
  fetch(request) {
    if (new URL(request.url).pathname === '/states') return Response.json(states.map((ws) => ws.readyState));
    return listen(new URL(request.url), (line) => this.ctx.waitUntil(this.env.LOG.getByName('log').add(line)), this.born);
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
      flood: (count) => { const chunk = new Uint8Array(1048576); for (let i = 0; i < Number(count); i++) ws.send(chunk); },
      kept: async (key) => { await this.ctx.storage.put(key, true); ws.send('kept ' + key); },
    });
  }
  webSocketClose(ws, code, reason, wasClean) {
    const { id, mute } = ws.deserializeAttachment();
    this.note(\`\${id} close \${code} \${reason} \${wasClean} \${ws.readyState}\`);
    if (!mute) ws.close(code === 1005 || code === 1006 ? 1000 : code, reason);
    else if (ws.readyState === WebSocket.CLOSING) ws.send('last words');
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
      case '/states':
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
  const ws = new WebSocket(`ws://127.0.0.1:${on.port}${path}${path.includes('?') ? '' : '?'}${new URLSearchParams({ id, ...query })}`, query.protocol ? [query.protocol] : [], {
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

describe('a Close frame', { timeout: 30_000 }, () => {
  test('from 2026-04-07 the runtime answers it', async () => {
    for (const path of Object.values(kinds)) {
      for (const mute of [{ mute: '1' }, {}]) {
        const { id, ws, closed } = await open(path, { script: 'auto', query: mute });
        ws.close(4001, 'going');
        assert.deepEqual(await closed, [4001, 'going'], path);
        // A handler of the hibernation API may still speak, and answer itself.
        assert.equal(await logged(id, /close/, 'auto'), `close 4001 going true ${path === '/room' ? 2 : 3}`);
      }
    }
  });

  test('before that a socket is half open until the Worker answers, and it may still send', async () => {
    for (const path of Object.values(kinds)) {
      const socket = await RawSocket.connect(path, { query: { mute: '1' } });
      socket.frame(0x81, 'before');
      assert.equal((await socket.next())[1].toString(), 'before');
      socket.frame(0x88, [1000 >> 8, 1000 & 255]);
      assert.equal(await logged(socket.id, /close/), 'close 1000  true 2');
      assert.equal((await socket.next())[1].toString(), 'last words');
      socket.client.destroy();
    }
  });

  test('of a client that goes away without an answer leaves nothing behind', async () => {
    const sockets = [];
    for (let i = 0; i < 5; i++) {
      const socket = await RawSocket.connect('/object', { query: { mute: '1', watch: '1', room: 'gone' } });
      socket.frame(0x88);
      assert.equal(await logged(socket.id, /close/), 'close 1005  true 2');
      sockets.push(socket);
    }
    assert.deepEqual(await get('/states?room=gone'), [2, 2, 2, 2, 2]);
    for (const socket of sockets) socket.client.socket.resetAndDestroy();
    while ((await get('/states?room=gone')).some((state) => state !== 3)) await delay(5);
    for (const { id } of sockets) assert.equal((await linesOf(id)).length, 1, 'no second event');
  });
});

describe('rooms', { timeout: 60_000 }, () => {
  test('tags, attachments, and the order in which sockets are listed', async () => {
    const clients = [];
    for (const tag of [['a'], ['a', 'b'], ['b'], []]) {
      clients.push(await open(`/room?${new URLSearchParams([['room', 'tags'], ...tag.map((t) => ['tag', t])])}&`));
    }
    const names = clients.map(({ id }) => id);
    assert.deepEqual((await get('/sockets?room=tags')).map(([id, state, tags]) => [id, state, tags]), [
      [names[3], 1, []],
      [names[2], 1, ['b']],
      [names[1], 1, ['a', 'b']],
      [names[0], 1, ['a']],
    ]);
    assert.deepEqual(await get('/tagged?room=tags&tag=a'), [names[0], names[1]]);
    assert.deepEqual(await get('/tagged?room=tags&tag=b'), [names[1], names[2]]);
    assert.deepEqual(await get('/tagged?room=tags&tag=c'), []);
    assert.equal(await clients[1].ask('attach note'), 'attached');
    const who = JSON.parse(await clients[1].ask('who'));
    assert.deepEqual([who.id, who.value, who.tags], [names[1], 'note', ['a', 'b']]);
    clients[1].ws.close(1000);
    await clients[1].closed;
    assert.deepEqual(await get('/tagged?room=tags&tag=a'), [names[0]]);
    for (const { ws } of clients) ws.terminate();
  });

  test('an automatic answer needs no handler, and is stamped', async () => {
    const { ws, ask } = await open('/room', { query: { room: 'auto' } });
    assert.equal(await ask('ping'), 'ping', 'the handler echoes');
    assert.equal((await get('/sockets?room=auto'))[0][3], null);
    await server.fetch('ws', '/auto?room=auto');
    const before = Date.now();
    assert.equal(await ask('ping'), 'pong');
    const [[, , , at]] = await get('/sockets?room=auto');
    assert.ok(at >= before && at <= Date.now(), `${at}`);
    assert.equal(await ask('ping!'), 'ping!');
    assert.ok(Buffer.from('ping').equals(await ask(Buffer.from('ping'))), 'only texts are answered');
    ws.terminate();
  });

  test('a hundred clients see the messages of all in the same order', async () => {
    const clients = await Promise.all(Array.from({ length: 100 }, () => open('/room', { query: { room: 'many' } })));
    for (let round = 0; round < 3; round++) for (const { ws, id } of clients) ws.send(`all ${id} ${round}`);
    const first = [];
    for (let i = 0; i < 300; i++) first.push(await clients[0].next());
    first.forEach((text, i) => assert.equal(text.split(' ')[0], `${i}`));
    for (const { next } of clients.slice(1)) for (const expected of first) assert.equal(await next(), expected);
    for (const { id } of clients) {
      assert.deepEqual(first.map((text) => text.split(' ')).filter(([, from]) => from === id).map(([, , round]) => round), ['0', '1', '2']);
    }
    for (const { ws } of clients) ws.close(1000);
    await Promise.all(clients.map(({ closed }) => closed));
    assert.deepEqual(await get('/sockets?room=many'), []);
  });

  test('a client that does not read costs a bounded amount, and is cut', async () => {
    const { id, ws } = await open('/room', { query: { room: 'deaf' } });
    ws.pause();
    ws.send('flood 120');
    assert.match(await logged(id, /close/), /^close 1006/);
    ws.terminate();
    assert.deepEqual(await get('/sockets?room=deaf'), []);
  });

  test('abort() of the object cuts its sockets', async () => {
    const { closed } = await open('/room', { query: { room: 'abort' } });
    assert.equal((await server.fetch('ws', '/abort?room=abort')).status, 500);
    assert.deepEqual(await closed, [1006, '']);
    assert.deepEqual(await get('/sockets?room=abort'), []);
  });

  test('sockets stay open while their object sleeps; it wakes at the next message, and at a Close', async () => {
    const room = (name, more) => open('/room', { query: { room: name, tag: 't', ...more } });
    const [asleep, leaving, pinged, dead] = [await room('sleep'), await room('sleep-close'), await room('sleep-ping'), await room('sleep-dead')];
    const awake = await open('/object', { query: { room: 'awake' } });
    await server.fetch('ws', '/auto?room=sleep-ping');
    assert.equal(await asleep.ask('attach 7'), 'attached');
    const born = async (client) => JSON.parse(await client.ask('who')).born;
    const before = await born(asleep);
    const [bornPing, bornAwake] = [await born(pinged), await born(awake)];
    // An object goes after 10 s without an event: being idle is what is tested here.
    for (let i = 0; i < 13; i++) {
      await delay(1000);
      assert.equal(await pinged.ask('ping'), 'pong', 'which does not keep the object awake');
    }
    const who = JSON.parse(await asleep.ask('who'));
    assert.deepEqual([who.id, who.value, who.tags], [asleep.id, '7', ['t']]);
    assert.ok(who.born > before, 'the constructor has run again');
    assert.equal(await born(asleep), who.born, 'once');
    assert.ok((await born(pinged)) > bornPing);
    assert.equal(await born(awake), bornAwake, 'a socket taken with accept() keeps its object');
    leaving.ws.close(3000, 'good night');
    assert.deepEqual(await leaving.closed, [3000, 'good night']);
    assert.equal(await logged(leaving.id, /close/), 'close 3000 good night true 2');
    dead.ws._socket.resetAndDestroy();
    assert.match(await logged(dead.id, /close/), /^close 1006/);
    const [, , tags] = (await get('/sockets?room=sleep'))[0];
    assert.deepEqual(tags, ['t']);
    for (const { ws } of [asleep, pinged, awake]) ws.terminate();
  });

  test('kill -9: clients see 1006, and the room is empty afterwards', async () => {
    const mortal = await Holdfast.start({ args: ['--shards', '2'] });
    try {
      await mortal.deploy('ws', { 'w.mjs': worker }, { bindings, migrations });
      const clients = await Promise.all(Object.values(kinds).map((path) => open(path, { on: mortal })));
      for (const { ask } of clients) assert.equal(await ask('hello'), 'hello');
      await mortal.kill();
      for (const { closed } of clients) assert.deepEqual(await closed, [1006, '']);
      await mortal.startAgain();
      assert.deepEqual((await mortal.fetch('ws', '/sockets')).json(), []);
      const again = await open('/room', { on: mortal });
      assert.equal(await again.ask('hello'), 'hello');
      again.ws.terminate();
    } finally {
      await mortal[Symbol.asyncDispose]();
    }
  });
});
