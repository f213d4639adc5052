// Objects on a real server with several shards: what crosses shards, sleeping, deploys, restarts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { Holdfast } from '../support/holdfast.mjs';

const worker = (version) => `
import { DurableObject } from 'cloudflare:workers';
let born = 0;
export class Room extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.born = ++born;
  }
  version() { return ${version}; }
  async fetch(request) {
    const url = new URL(request.url);
    if (request.headers.get('upgrade') === 'websocket') {
      const [client, server] = Object.values(new WebSocketPair());
      this.ctx.acceptWebSocket(server, [url.searchParams.get('room')]);
      server.serializeAttachment({ room: url.searchParams.get('room'), born: this.born });
      this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'));
      return new Response(null, { status: 101, webSocket: client });
    }
    if (url.pathname === '/upper') {
      return new Response(request.body.pipeThrough(new TextDecoderStream()).pipeThrough(new TransformStream({ transform: (c, k) => k.enqueue(c.toUpperCase()) })).pipeThrough(new TextEncoderStream()));
    }
    if (url.pathname === '/bytes') {
      let left = 200;
      const chunk = new Uint8Array(65536).fill(66);
      return new Response(new ReadableStream({ pull: (c) => (left-- > 0 ? c.enqueue(chunk.slice()) : c.close()) }));
    }
    return new Response('?');
  }
  webSocketMessage(ws, message) {
    const at = ws.deserializeAttachment();
    if (message === 'who') return ws.send(JSON.stringify([at.room, at.born, this.born, this.ctx.getTags(ws), this.ctx.id.name]));
    for (const other of this.ctx.getWebSockets()) other.send(at.room + ': ' + message);
  }
  async webSocketClose(ws, code, reason) {
    await this.ctx.storage.put('closed', [code, reason]);
  }
  closed() { return this.ctx.storage.get('closed'); }
  async add(n) {
    const sum = ((await this.ctx.storage.get('sum')) ?? 0) + n;
    await this.ctx.storage.put('sum', sum);
    return sum;
  }
  boom() { throw Object.assign(new RangeError('boom'), { code: 7 }); }
  abort() { this.ctx.abort('told to'); }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const rooms = Array.from({ length: 16 }, (_, i) => env.ROOM.getByName('r' + i));
    switch (url.pathname) {
      case '/add': return Response.json(await Promise.all(rooms.map((room, i) => room.add(i))));
      case '/boom': return Response.json(await Promise.all(rooms.map((room) => room.boom().catch((e) => [e.name, e.message, e.code, e.remote]))));
      case '/abort': return Response.json(await Promise.all(rooms.map(async (room) => [await room.abort().catch((e) => [e.message, e.durableObjectReset, e.remote]), await room.version().catch((e) => e.message)])));
      case '/version': return Response.json(await Promise.all(rooms.map((room) => room.version())));
      case '/closed': return Response.json((await env.ROOM.getByName(url.searchParams.get('room')).closed()) ?? null);
    }
    return env.ROOM.getByName(url.searchParams.get('room') ?? 'r0').fetch(request);
  },
};`;

let server;
const deploy = (version, migrations) =>
  server.deploy('rooms', { 'w.mjs': worker(version) }, { bindings: [{ type: 'durable_object_namespace', name: 'ROOM', class_name: 'Room' }], migrations });
before(async () => {
  server = await Holdfast.start({ args: ['--shards', '4'] });
  await deploy(1, { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Room'] }] });
});
after(() => server[Symbol.asyncDispose]());

const get = async (path) => {
  const answer = await server.fetch('rooms', path);
  assert.equal(answer.status, 200, `${path}: ${answer.text}\n${server.log.slice(-2000)}`);
  return answer;
};

class Client {
  messages = [];
  static async open(room) {
    const client = new Client();
    client.ws = new WebSocket(`ws://127.0.0.1:${server.port}/?room=${room}`, { headers: { host: `rooms.test:${server.port}` } });
    client.ws.on('message', (data) => client.messages.push(data.toString()));
    client.gone = once(client.ws, 'close');
    await once(client.ws, 'open');
    return client;
  }
  async received(count) {
    while (this.messages.length < count) await once(this.ws, 'message');
    return this.messages;
  }
}

test('calls reach objects of every shard, errors come back whole', async () => {
  assert.deepEqual((await get('/add')).json(), Array.from({ length: 16 }, (_, i) => i));
  assert.deepEqual((await get('/add')).json(), Array.from({ length: 16 }, (_, i) => 2 * i));
  assert.deepEqual((await get('/boom')).json(), Array(16).fill(['RangeError', 'boom', 7, true]));
  assert.deepEqual((await get('/abort')).json(), Array(16).fill([['told to', true, null], 'told to']));
  assert.deepEqual((await get('/version')).json(), Array(16).fill(1));
});

test('bodies stream both ways through objects of every shard', async () => {
  for (let i = 0; i < 8; i++) {
    assert.equal((await server.fetch('rooms', `/upper?room=r${i}`, { method: 'POST', body: 'abc'.repeat(50_000) })).text, 'ABC'.repeat(50_000));
    const { body } = await get(`/bytes?room=r${i}`);
    assert.equal(body.length, 200 * 65536);
    assert.ok(body.every((byte) => byte === 66));
  }
});

test('sockets of every shard: echo to all, tags, close', async () => {
  for (let i = 0; i < 8; i++) {
    const [a, b] = [await Client.open(`s${i}`), await Client.open(`s${i}`)];
    for (let n = 0; n < 50; n++) a.ws.send(String(n));
    const expected = Array.from({ length: 50 }, (_, n) => `s${i}: ${n}`);
    assert.deepEqual(await a.received(50), expected);
    assert.deepEqual(await b.received(50), expected);
    a.ws.close(4321, 'enough');
    assert.equal((await a.gone)[0], 4321);
    let closed;
    for (let n = 0; n < 100 && closed == null; n++) closed = (await get(`/closed?room=s${i}`)).json();
    assert.deepEqual(closed, [4321, 'enough']);
    b.ws.terminate();
  }
});

test('an object that has fallen asleep keeps its sockets and is constructed by the next message', { timeout: 60_000 }, async () => {
  const clients = await Promise.all(['z1', 'z2', 'z3', 'z4'].map((room) => Client.open(room)));
  clients.forEach(({ ws }) => ws.send('who'));
  const first = await Promise.all(clients.map((client) => client.received(1)));
  await new Promise((resolve) => setTimeout(resolve, 12_500));
  clients.forEach(({ ws }) => ws.send('ping'));
  await Promise.all(clients.map((client) => client.received(2)));
  clients.forEach(({ ws }) => ws.send('who'));
  for (const [index, client] of clients.entries()) {
    const messages = await client.received(3);
    const room = `z${index + 1}`;
    const [, bornThen, bornFirst] = JSON.parse(first[index][0]);
    const [name, attached, bornNow, tags, own] = JSON.parse(messages[2]);
    assert.deepEqual([messages[1], name, attached, tags, own], ['pong', room, bornThen, [room], room]);
    assert.equal(bornThen, bornFirst);
    assert.ok(bornNow > bornThen, `${bornNow} is a later instance than ${bornThen}`);
    client.ws.terminate();
  }
});

test('a deploy moves objects to the new code, with their data', async () => {
  const socket = await Client.open('d1');
  await deploy(2, { old_tag: 'v1', new_tag: 'v1', steps: [] });
  assert.deepEqual((await get('/version')).json(), Array(16).fill(2));
  assert.deepEqual((await get('/add')).json(), Array.from({ length: 16 }, (_, i) => 3 * i));
  socket.ws.send('who');
  const [room, , , tags] = JSON.parse((await socket.received(1))[0]);
  assert.deepEqual([room, tags], ['d1', ['d1']]);
  socket.ws.terminate();
});

test('after kill -9 everything acknowledged is there', async () => {
  await get('/add');
  await server.kill();
  await server.startAgain();
  assert.deepEqual((await get('/add')).json(), Array.from({ length: 16 }, (_, i) => 5 * i));
});
