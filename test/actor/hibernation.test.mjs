// WebSockets of objects: the hibernation API, its order of events, sleeping and waking (spec 7.3 to 7.5).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sleep, start, until } from './harness.mjs';

function main({ DurableObject }) {
  class Room extends DurableObject {
    constructor(ctx, env) {
      super(ctx, env);
      globalThis.constructions = (globalThis.constructions ?? 0) + 1;
      this.log = [];
      this.born = globalThis.constructions;
    }
    fetch(request) {
      const url = new URL(request.url);
      const [client, server] = Object.values(new WebSocketPair());
      const tags = url.searchParams.getAll('tag');
      this.ctx.acceptWebSocket(server, tags.length > 0 ? tags : undefined);
      server.serializeAttachment({ n: url.searchParams.get('n') });
      if (url.searchParams.has('put')) this.ctx.storage.put('x', 1);
      return new Response(null, { status: 101, webSocket: client });
    }
    async webSocketMessage(ws, message) {
      if (message instanceof ArrayBuffer) return ws.send(message);
      const { n } = ws.deserializeAttachment();
      this.log.push(`${n}:${message}`);
      if (message === 'put') this.ctx.storage.put('x', Math.random());
      if (message === 'throw') throw new Error('in webSocketMessage');
      if (message === 'slow') await scheduler.wait(30);
      if (message === 'abort') this.ctx.abort('room aborted');
      if (message === 'who') return ws.send(JSON.stringify([this.born, n, this.ctx.getTags(ws), this.ctx.id.name, this.ctx.getWebSockets().length]));
      if (message === 'identity') return ws.send(String(this.ctx.getWebSockets().includes(ws)));
      if (message === 'close') return ws.close(4001, 'bye');
      if (message === 'auto') {
        this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'));
        return ws.send('set');
      }
      if (message === 'stamp') return ws.send(String(this.ctx.getWebSocketAutoResponseTimestamp(ws) instanceof Date));
      ws.send(`echo ${message}`);
    }
    webSocketClose(ws, code, reason, wasClean) {
      this.log.push(['close', code, reason, wasClean, this.ctx.getWebSockets().includes(ws), ws.readyState]);
      this.env.Room.getByName('listener').heard(this.ctx.id.name);
    }
    webSocketError(ws, error) {
      this.log.push(['error', error.message]);
    }
    heard(name) {
      this.log.push(name);
    }
    getLog() {
      return this.log;
    }
    hang() {
      return new Promise(() => {});
    }
    list(tag) {
      return this.ctx.getWebSockets(tag).map((ws) => ws.deserializeAttachment().n);
    }
    broadcast(text) {
      for (const ws of this.ctx.getWebSockets()) ws.send(text);
    }
    async errors() {
      const t = (f) => {
        try {
          return f() ?? null;
        } catch (error) {
          return [error.name, error.message];
        }
      };
      const pair = () => new WebSocketPair();
      const accepted = pair()[0];
      accepted.accept();
      const twice = pair()[0];
      this.ctx.acceptWebSocket(twice, ['a', 'a', 'b']);
      const out = [
        t(() => this.ctx.acceptWebSocket({})),
        t(() => this.ctx.acceptWebSocket(accepted)),
        t(() => this.ctx.acceptWebSocket(twice)),
        t(() => this.ctx.acceptWebSocket(pair()[0], Array.from({ length: 11 }, (_, i) => `t${i}`))),
        t(() => this.ctx.acceptWebSocket(pair()[0], ['x'.repeat(257)]))[1].slice(257),
        t(() => this.ctx.getTags(twice)),
        t(() => this.ctx.getTags(pair()[0])),
        t(() => twice.serializeAttachment('x'.repeat(16384))),
        t(() => this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('x'.repeat(2049), ''))),
        t(() => this.ctx.setHibernatableWebSocketEventTimeout(604800001)),
        t(() => this.ctx.getWebSocketAutoResponse()),
        t(() => (this.ctx.setHibernatableWebSocketEventTimeout(5000), this.ctx.getHibernatableWebSocketEventTimeout())),
      ];
      this.ctx.setHibernatableWebSocketEventTimeout();
      return out;
    }
  }
  return {
    Room,
    default: {
      async fetch(request, env) {
        const url = new URL(request.url);
        const stub = env.Room.getByName(url.searchParams.get('room') ?? 'room');
        if (request.headers.get('upgrade') === 'websocket') return stub.fetch(request);
        const method = url.searchParams.get('call');
        const args = JSON.parse(url.searchParams.get('args') ?? '[]');
        return Response.json((await stub[method](...args)) ?? null);
      },
    },
  };
}

let isolate;
before(async () => {
  isolate = await start(main, { classes: { Room: true } });
});
after(() => isolate.stop());

async function connect(room, query = '', on = isolate) {
  const response = await on.fetch(`/?room=${room}&${query}`, { upgrade: true });
  assert.equal(response.status, 101);
  return response.client;
}
const call = (room, method, args = [], on = isolate) =>
  on.json(`/?room=${room}&call=${method}&args=${encodeURIComponent(JSON.stringify(args))}`);

test('messages of one socket arrive in order and are answered; each is acknowledged', async () => {
  const client = await connect('order', 'n=1');
  for (let i = 0; i < 20; i++) client.send(String(i));
  assert.deepEqual(await client.received(20), Array.from({ length: 20 }, (_, i) => `echo ${i}`));
  await until(() => client.acks === 20, 'acknowledgements');
  client.send(new Uint8Array([1, 2]).buffer);
  assert.deepEqual([...new Uint8Array((await client.received(21))[20])], [1, 2]);
});

test('a slow asynchronous handler does not hold back the next message', async () => {
  const client = await connect('slow', 'n=1');
  client.send('slow');
  client.send('b');
  assert.deepEqual(await client.received(2), ['echo b', 'echo slow']);
});

test('a handler that throws is logged; socket and object live', async () => {
  const client = await connect('throws', 'n=1');
  client.send('throw');
  client.send('x');
  assert.deepEqual(await client.received(1), ['echo x']);
  assert.ok(isolate.exceptions.some(({ event, message }) => event === 'webSocketMessage' && message === 'in webSocketMessage'));
});

test('getWebSockets: newest first, with a tag oldest first; attachments and tags', async () => {
  await connect('list', 'n=1&tag=a&tag=b');
  await connect('list', 'n=2&tag=a');
  const third = await connect('list', 'n=3');
  assert.deepEqual(await call('list', 'list'), ['3', '2', '1']);
  assert.deepEqual(await call('list', 'list', ['a']), ['1', '2']);
  assert.deepEqual(await call('list', 'list', ['none']), []);
  third.send('who');
  const [, n, tags, name, count] = JSON.parse((await third.received(1))[0]);
  assert.deepEqual([n, tags, name, count], ['3', [], 'list', 3]);
});

test('closing: the handler sees code and reason, the socket is listed until it has run', async () => {
  const client = await connect('close', 'n=1');
  client.close(4000, 'done');
  await until(async () => (await call('close', 'getLog')).length > 0, 'webSocketClose');
  assert.deepEqual(await call('close', 'getLog'), [['close', 4000, 'done', true, true, 2]]);
  assert.deepEqual(await call('close', 'list'), []);
  // The Close frame is answered without the handler's help.
  await until(() => client.closed !== undefined, 'the answer');
  assert.deepEqual(client.closed, { kind: 'close', code: 4000, reason: 'done' });
  const dropped = await connect('drop', 'n=1');
  dropped.drop();
  await until(async () => (await call('drop', 'getLog')).length > 0, 'webSocketClose');
  assert.deepEqual(await call('drop', 'getLog'), [['close', 1006, 'WebSocket disconnected without sending Close frame.', false, true, 3]]);
  assert.deepEqual(await call('listener', 'getLog'), ['close', 'drop']);
});

test('close() of the object reaches the client', async () => {
  const client = await connect('closes', 'n=1');
  client.send('close');
  await until(() => client.closed !== undefined, 'close');
  assert.deepEqual(client.closed, { kind: 'close', code: 4001, reason: 'bye' });
});

test('what is sent waits for the writes before it, and so does the upgrade', async () => {
  const client = await connect('gate', 'n=1');
  isolate.hold();
  client.send('put');
  const upgrade = connect('gate', 'n=2&put=1').then(() => 'open');
  await sleep(30);
  assert.deepEqual(client.messages, []);
  assert.equal(await Promise.race([upgrade, sleep(1).then(() => 'held')]), 'held');
  isolate.hold(false);
  assert.deepEqual(await client.received(1), ['echo put']);
  assert.equal(await upgrade, 'open');
});

test('auto-response answers without the object', async () => {
  const client = await connect('auto', 'n=1');
  client.send('auto');
  await client.received(1);
  client.send('ping');
  client.send('stamp');
  assert.deepEqual(await client.received(3), ['set', 'pong', 'true']);
  assert.deepEqual(await call('auto', 'getLog'), ['1:auto', '1:stamp']);
});

test('a reset cuts the sockets', async () => {
  const client = await connect('abort', 'n=1');
  client.send('abort');
  await until(() => client.closed !== undefined, 'cut');
  assert.equal(client.closed.kind, 'gone');
  assert.deepEqual(await call('abort', 'list'), []);
});

test('limits and texts', async () => {
  assert.deepEqual(await call('errors', 'errors'), [
    ['TypeError', "Failed to execute 'acceptWebSocket' on 'DurableObjectState': parameter 1 is not of type 'WebSocket'."],
    ['Error', 'Cannot call `acceptWebSocket()` if the WebSocket was already accepted via `accept()`'],
    ['Error', 'Cannot call `acceptWebSocket()` if the WebSocket was already accepted via `accept()`'],
    ['Error', 'a Hibernatable WebSocket cannot have more than 10 tags'],
    'x" is longer than the max tag length (256 characters).',
    ['a', 'b'],
    ['Error', "you must call 'acceptWebSocket()' before attempting to access the tags of a WebSocket."],
    ['Error', (await call('errors', 'errors'))[7][1]],
    ['RangeError', 'Request cannot be larger than 2048 bytes. A request of size 2049 was provided.'],
    ['Error', 'Event timeout should not exceed 604800000 ms.'],
    null,
    5000,
  ]);
  assert.match((await call('errors', 'errors'))[7][1], /^A WebSocket 'attachment' cannot be larger than 16384 bytes\.'attachment' was \d+ bytes\.$/);
});

test('a sleeping object keeps its sockets; the next message constructs it anew', async () => {
  const fast = await start(main, { classes: { Room: true }, seconds: 0.01 });
  try {
    const a = await connect('sleeps', 'n=1&tag=x', fast);
    const b = await connect('sleeps', 'n=2', fast);
    a.send('auto');
    await a.received(1);
    await sleep(400);
    assert.equal(fast.released.length, 0);
    b.send('ping');
    assert.deepEqual(await b.received(1), ['pong']);
    b.send('who');
    assert.deepEqual(JSON.parse((await b.received(2))[1]), [2, '2', [], 'sleeps', 2]);
    b.send('identity');
    assert.equal((await b.received(3))[2], 'true');
    await call('sleeps', 'broadcast', ['to all'], fast);
    assert.deepEqual((await a.received(2)).at(-1), 'to all');
    assert.deepEqual(await call('sleeps', 'list', ['x'], fast), ['1']);
    a.close(1000, 'x');
    await until(async () => (await call('sleeps', 'getLog', [], fast)).length > 0, 'close');
    b.close(1000);
    await sleep(400);
    assert.ok(fast.released.length > 0);
  } finally {
    await fast.stop();
  }
});

test('a new version of the code: sockets of an idle object are handed over with all they have, others are cut', async () => {
  const fast = await start(main, { classes: { Room: true } });
  try {
    const idle = await connect('deploy', 'n=1&tag=x', fast);
    const busy = await connect('busy', 'n=2', fast);
    void fast.fetch('/?room=busy&call=hang&args=[]');
    await call('deploy', 'list', [], fast);
    fast.tell({ kind: 'codeUpdated', mode: 'now', deadline: 0 });
    await until(() => busy.closed !== undefined && fast.handedOver.length > 0, 'cut and handed over');
    assert.equal(busy.closed.kind, 'gone');
    assert.equal(idle.closed, undefined);
    const [{ ends, state }] = fast.handedOver;
    assert.equal(fast.handedOver.length, 1);
    assert.equal(ends.length, 1);
    assert.deepEqual([state.sockets[0].end, state.sockets[0].tags], [ends[0], ['x']]);
  } finally {
    await fast.stop();
  }
});
