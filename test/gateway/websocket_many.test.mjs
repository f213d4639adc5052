// Many sockets: 10,000 that hibernate in 100 rooms, and 10,000 objects that sleep with a socket each. And what a client
// or an object that does not keep up may cost.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { rssOf } from '../../bench/support.mjs';
import { Holdfast } from '../support/holdfast.mjs';

const worker = `
import { DurableObject } from 'cloudflare:workers';
let born = 0;
export class Room extends DurableObject {
  born = ++born;
  count = 0;
  fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === '/born') return Response.json([this.born, this.count, this.ctx.getWebSockets().length]);
    if (url.pathname === '/block') return this.ctx.blockConcurrencyWhile(() => new Promise((resolve) => setTimeout(() => resolve(Response.json(this.count)), 5000)));
    if (url.pathname === '/auto') { this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong')); return new Response(''); }
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(ws, message) {
    if (message instanceof ArrayBuffer) { this.count++; return; }
    if (message === 'flood') { const chunk = new Uint8Array(1048576); for (let i = 0; i < 200; i++) ws.send(chunk); return; }
    if (message === 'echo') return ws.send('echo ' + this.born);
    const text = this.count++ + ' ' + message;
    for (const other of this.ctx.getWebSockets()) other.send(text);
  }
}
export default { fetch(request, env) { return env.ROOM.getByName(new URL(request.url).searchParams.get('room')).fetch(request); } };`;

let server;
before(async () => {
  server = await Holdfast.start({ args: ['--shards', '2', '--log-level', 'error'] });
  await server.deploy('many', { 'w.mjs': worker }, {
    bindings: [{ type: 'durable_object_namespace', name: 'ROOM', class_name: 'Room' }],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Room'] }] },
  });
});
after(() => server[Symbol.asyncDispose]());

// A client of a few hundred bytes: short unmasked frames in, frames with an empty mask out.
class Client {
  messages = [];
  #rest = Buffer.alloc(0);
  #open = false;
  #wake = () => {};
  constructor(path) {
    this.socket = connect({ port: server.port, host: '127.0.0.1' });
    this.socket.write(`GET ${path} HTTP/1.1\r\nHost: many.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`);
    this.opened = new Promise((resolve, reject) => {
      this.socket.on('data', (chunk) => this.#read(chunk, resolve, reject));
      this.socket.on('error', reject);
      this.socket.on('close', () => reject(new Error('closed')));
    });
    this.closed = once(this.socket, 'close').catch(() => {});
    this.opened.catch(() => {});
  }
  #read(chunk, resolve, reject) {
    let input = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (!this.#open) {
      const end = input.indexOf('\r\n\r\n');
      if (end >= 0) {
        if (!input.toString('latin1', 0, end).startsWith('HTTP/1.1 101')) reject(new Error(input.toString('latin1')));
        this.#open = true;
        input = input.subarray(end + 4);
        resolve(this);
      }
    }
    while (this.#open && input.length >= 2 && input.length >= 2 + input[1]) {
      assert.ok(input[1] < 126);
      this.messages.push(input.toString('utf8', 2, 2 + input[1]));
      input = input.subarray(2 + input[1]);
    }
    this.#rest = Buffer.from(input);
    this.#wake();
  }
  send(text, first = 0x81) {
    const data = Buffer.from(text);
    const head = data.length < 126 ? [first, 0x80 | data.length] : data.length < 65536 ? [first, 0xfe, data.length >> 8, data.length & 255] : [first, 0xff, 0, 0, 0, 0, data.length >>> 24, (data.length >> 16) & 255, (data.length >> 8) & 255, data.length & 255];
    return this.socket.write(Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), data]));
  }
  async until(count) {
    while (this.messages.length < count) await new Promise((resolve) => (this.#wake = resolve));
    return this.messages.splice(0);
  }
}

async function openAll(count, path) {
  const clients = [];
  for (let at = 0; at < count; at += 200) {
    const some = Array.from({ length: Math.min(200, count - at) }, (_, i) => new Client(path(at + i)));
    clients.push(...(await Promise.all(some.map((client) => client.opened))));
  }
  return clients;
}
const end = async (clients) => {
  for (const client of clients) client.socket.destroy();
  await Promise.all(clients.map((client) => client.closed));
};

test('an object that sleeps with a socket costs at most 12 KB, everything counted', { timeout: 120_000 }, async () => {
  // What a server pays once: code that has run, heaps that have grown a little.
  await end(await openAll(500, (i) => `/?room=warm${i}`));
  const before = await rssOf(server.child.pid);
  const clients = await openAll(10_000, (i) => `/?room=own${i}`);
  await delay(12_500);
  const each = (await rssOf(server.child.pid) - before) / 10_000;
  assert.ok(each <= 12, `${each} KB`);
  clients[5000].send('echo');
  assert.match((await clients[5000].until(1))[0], /^echo/);
  await end(clients);
});

test('10,000 hibernating connections in 100 rooms: nothing is lost, the order is the same for all', { timeout: 120_000 }, async () => {
  const clients = await openAll(10_000, (i) => `/?room=r${i % 100}`);
  await delay(12_500); // they sleep
  const kRounds = 5;
  for (let round = 0; round < kRounds; round++) {
    // Two of each room speak at once.
    for (let room = 0; room < 100; room++) for (const speaker of [0, 1]) clients[room + 100 * (speaker + 2 * round)].send(`from ${speaker}`);
  }
  for (let room = 0; room < 100; room++) {
    const members = clients.filter((_, i) => i % 100 === room);
    const first = await members[0].until(2 * kRounds);
    assert.deepEqual(first.map((text) => Number(text.split(' ')[0])), Array.from({ length: 2 * kRounds }, (_, i) => i));
    for (const member of members.slice(1)) assert.deepEqual(await member.until(2 * kRounds), first);
  }
  const [born, count, sockets] = (await server.fetch('many', '/born?room=r7')).json();
  assert.ok(born > 60); // about 50 on each shard: it was constructed again
  assert.deepEqual([count, sockets], [2 * kRounds, 100]);
  await end(clients);
});

test('a ping is answered without waking the object, and so is an automatic answer', { timeout: 60_000 }, async () => {
  const [client] = await openAll(1, () => '/?room=asleep');
  await server.fetch('many', '/auto?room=asleep');
  client.send('echo');
  const [before] = await client.until(1);
  await delay(12_500);
  for (let i = 0; i < 50; i++) client.send(`p${i}`, 0x89);
  assert.deepEqual(await client.until(50), Array.from({ length: 50 }, (_, i) => `p${i}`));
  client.send('ping');
  assert.deepEqual(await client.until(1), ['pong']);
  // Had anything constructed it meanwhile, another number would have been given out before this one.
  const [other] = await openAll(1, () => '/?room=later');
  other.send('echo');
  const [later] = await other.until(1);
  client.send('echo');
  const [now] = await client.until(1);
  const number = (text) => Number(text.split(' ')[1]);
  assert.notEqual(number(now), number(before));
  assert.ok(number(now) > number(later) || number(later) > number(before), `${before}, ${later}, ${now}`);
  await end([client, other]);
});

test('an object that is blocked stops reading from its sockets', { timeout: 30_000 }, async () => {
  const [client] = await openAll(1, () => '/?room=slow');
  const blocked = server.fetch('many', '/block?room=slow');
  await delay(100);
  const before = await rssOf(server.child.pid);
  const chunk = Buffer.alloc(256 * 1024);
  for (let i = 0; i < 400; i++) client.send(chunk, 0x82); // 100 MiB
  let peak = 0;
  for (const until = performance.now() + 1500; performance.now() < until; ) {
    await delay(100);
    peak = Math.max(peak, await rssOf(server.child.pid));
  }
  assert.ok(peak - before < 24 * 1024, `${peak - before} KB`);
  assert.ok(client.socket.writableLength > 60 << 20, `${client.socket.writableLength} bytes still wait at the client`);
  assert.equal((await blocked).json(), 0);
  while ((await server.fetch('many', '/born?room=slow')).json()[1] < 400) await delay(20);
  await end([client]);
});

test('a client that does not read costs a bounded amount, is cut, and the others of its room go on', { timeout: 30_000 }, async () => {
  const [deaf, other] = await openAll(2, () => '/?room=deaf');
  deaf.socket.pause();
  const before = await rssOf(server.child.pid);
  deaf.send('flood'); // 200 MiB
  let peak = 0;
  while ((await server.fetch('many', '/born?room=deaf')).json()[2] > 1) {
    peak = Math.max(peak, await rssOf(server.child.pid));
    other.send('echo');
    assert.match((await other.until(1))[0], /^echo/);
  }
  assert.ok(peak - before < 200 * 1024, `${peak - before} KB`);
  other.send('go on');
  assert.deepEqual(await other.until(1), ['0 go on']);
  await end([deaf, other]);
});
