// permessage-deflate between clients and Workers: who asks for it, and what it may not cost.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { deflateRawSync, constants } from 'node:zlib';
import WebSocket from 'ws';
import { Holdfast } from '../support/holdfast.mjs';
import { RawClient } from './raw_client.mjs';

const worker = `
import { DurableObject } from 'cloudflare:workers';
export class Room extends DurableObject {
  fetch(request) {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(ws, message) { ws.send(message === 'big' ? 'x'.repeat(1000000) : message); }
  webSocketError(ws, error) { console.error('socket error: ' + error.message); }
}
export default { fetch(request, env) { return env.ROOM.getByName('room').fetch(request); } };`;

const kAnswer = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
let on;
let off;
const metadata = { bindings: [{ type: 'durable_object_namespace', name: 'ROOM', class_name: 'Room' }], migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Room'] }] } };
before(async () => {
  on = await Holdfast.start({ args: ['--websocket-compression'] });
  off = await Holdfast.start();
  await on.deploy('on', { 'w.mjs': worker }, metadata);
  await on.deploy('refuses', { 'w.mjs': worker }, { ...metadata, flags: ['no_web_socket_compression'] });
  await off.deploy('off', { 'w.mjs': worker }, metadata);
});
after(async () => {
  await on[Symbol.asyncDispose]();
  await off[Symbol.asyncDispose]();
});

async function open(server, script, options = {}) {
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}/`, { headers: { host: `${script}.test` }, maxPayload: 64 << 20, ...options });
  let bytes = 0;
  ws.on('upgrade', (response) => {
    ws.answer = response.headers['sec-websocket-extensions'];
    response.socket.on('data', (chunk) => (bytes += chunk.length));
  });
  await once(ws, 'open');
  return { ws, received: () => bytes, ask: async (data) => (ws.send(data), (await once(ws, 'message'))[0]) };
}

test('it is negotiated when the client offers it, the setting is on and the flag allows', { timeout: 20_000 }, async () => {
  for (const [server, script, options, answer] of [
    [on, 'on', {}, kAnswer],
    [on, 'on', { perMessageDeflate: false }, undefined],
    [on, 'on', { perMessageDeflate: { serverMaxWindowBits: 10 } }, `${kAnswer}; server_max_window_bits=10`],
    [on, 'on', { perMessageDeflate: { clientMaxWindowBits: 9, clientNoContextTakeover: true, serverNoContextTakeover: true } }, kAnswer],
    [on, 'refuses', {}, undefined],
    [off, 'off', {}, undefined],
  ]) {
    const { ws, ask } = await open(server, script, options);
    assert.equal(ws.answer, answer);
    for (const text of ['', 'short', 'é'.repeat(5000), randomBytes(5000).toString('hex')]) assert.equal(String(await ask(text)), text);
    ws.terminate();
  }
});

test('messages of all kinds and sizes come through, and repetitive ones are small on the wire', { timeout: 60_000 }, async () => {
  const { ws, ask, received } = await open(on, 'on', { perMessageDeflate: { threshold: 0 } });
  assert.equal(String(await ask('big')).length, 1_000_000);
  assert.ok(received() < 20_000, `${received()} bytes`);
  for (const data of [randomBytes(100_000), Buffer.alloc(32 << 20, 'abc'), Buffer.alloc(0)]) assert.deepEqual(await ask(data), data);
  // In fragments: only the first frame says that the message is deflated.
  const whole = once(ws, 'message');
  for (let i = 0; i < 10; i++) ws.send(`${i}`.repeat(500), { fin: i === 9 });
  assert.equal(String((await whole)[0]), Array.from({ length: 10 }, (_, i) => `${i}`.repeat(500)).join(''));
  ws.terminate();
});

async function raw() {
  const client = await RawClient.connect(on.port);
  const { headers } = await client
    .send(`GET / HTTP/1.1\r\nHost: on.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n`)
    .response();
  assert.equal(headers['sec-websocket-extensions'], kAnswer);
  return client;
}
function frame(first, payload) {
  const head = Buffer.alloc(14);
  head[0] = first;
  head[1] = 0xff;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  if (payload.length < 126) return Buffer.concat([Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
  if (payload.length < 65536) return Buffer.concat([Buffer.from([first, 0xfe, payload.length >> 8, payload.length & 255, 0, 0, 0, 0]), payload]);
  return Buffer.concat([head, payload]);
}
const deflated = (data) => deflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
async function closeCode(client) {
  const [first, length] = await client.take(2);
  assert.equal(first, 0x88);
  return (await client.take(length)).readUInt16BE(0);
}

test('a bomb is stopped at 32 MiB, and what is no deflated message ends the socket', { timeout: 30_000 }, async () => {
  for (const [name, bytes, code] of [
    ['a bomb', frame(0xc2, deflated(Buffer.alloc(256 << 20))), 1009],
    ['noise', frame(0xc2, Buffer.from([0xff, 0xff, 0xff])), 1007],
    ['text that is not UTF-8', frame(0xc1, deflated(Buffer.from([0x61, 0xff]))), 1007],
    ['a continuation that says so too', Buffer.concat([frame(0x41, deflated(Buffer.from('a'))), frame(0xc0, Buffer.from('b'))]), 1002],
    ['a ping that says so', frame(0xc9, Buffer.from('x')), 1002],
  ]) {
    const client = await raw();
    client.socket.write(bytes);
    assert.equal(await closeCode(client), code, name);
    client.socket.destroy();
  }
});
