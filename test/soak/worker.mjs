// The objects of the soak (soak.mjs says what must hold). What only an object can see it checks itself: `broken` is
// called with what should never be, and the run fails.
import { DurableObject } from 'cloudflare:workers';

function broken(text) {
  console.error(`BROKEN ${text}`);
  throw new Error(`BROKEN ${text}`);
}

export class Soak extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    const { kv, sql } = ctx.storage;
    this.incarnation = (kv.get('incarnation') ?? 0) + 1;
    kv.put('incarnation', this.incarnation);
    sql.exec(`
      CREATE TABLE IF NOT EXISTS adds(op INTEGER PRIMARY KEY, incarnation INTEGER);
      CREATE TABLE IF NOT EXISTS debits(op INTEGER PRIMARY KEY);
      CREATE TABLE IF NOT EXISTS credits(op INTEGER PRIMARY KEY, source TEXT);
      CREATE TABLE IF NOT EXISTS alarms(op INTEGER PRIMARY KEY, at INTEGER, fired INTEGER);
    `);
  }

  // A later instance of this object has run: two are alive.
  #alone() {
    const last = this.ctx.storage.kv.get('incarnation');
    if (last !== this.incarnation) broken(`${this.ctx.id}: instance ${this.incarnation} runs after instance ${last}`);
  }

  // Between reading and writing nobody else may come in.
  async add(op) {
    this.#alone();
    const { storage } = this.ctx;
    const count = ((await storage.get('count')) ?? 0) + 1;
    storage.put('count', count);
    storage.sql.exec('INSERT INTO adds VALUES (?, ?)', op, this.incarnation);
    this.#alone();
    return { incarnation: this.incarnation, count };
  }

  // The other one must not learn of it before it is on disk here.
  async transfer(op, from, to) {
    this.#alone();
    this.ctx.storage.sql.exec('INSERT INTO debits VALUES (?)', op);
    await this.env.SOAK.getByName(to).credit(op, from);
    this.#alone();
    return { incarnation: this.incarnation };
  }
  credit(op, from) {
    this.#alone();
    this.ctx.storage.sql.exec('INSERT INTO credits VALUES (?, ?)', op, from);
  }

  async arm(op, at) {
    this.#alone();
    this.ctx.storage.sql.exec('INSERT INTO alarms VALUES (?, ?, 0)', op, at);
    await this.#armNext();
    return { incarnation: this.incarnation };
  }
  async #armNext() {
    const { at } = this.ctx.storage.sql.exec('SELECT min(at) AS at FROM alarms WHERE fired = 0').one();
    if (at !== null) await this.ctx.storage.setAlarm(at);
  }
  async alarm() {
    this.#alone();
    this.ctx.storage.sql.exec('UPDATE alarms SET fired = fired + 1 WHERE at <= ?', Date.now());
    await this.#armNext();
  }

  // Leaves work behind that ends with the instance, or is done by it.
  linger(op) {
    this.#alone();
    this.ctx.waitUntil(scheduler.wait(20).then(() => this.add(op)).catch(() => {}));
    return { incarnation: this.incarnation };
  }

  die() {
    this.ctx.abort('the soak aborts an object');
  }

  fetch() {
    this.#alone();
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    server.serializeAttachment({ seen: 0 });
    return new Response(null, { status: 101, webSocket: client });
  }
  // "number op": counted for each socket. What it says must be on disk when the answer arrives.
  webSocketMessage(ws, text) {
    this.#alone();
    const { kv, sql } = this.ctx.storage;
    const [number, op] = text.split(' ').map(Number);
    const { seen } = ws.deserializeAttachment();
    if (number !== seen + 1) broken(`${this.ctx.id}: message ${number} after message ${seen}`);
    ws.serializeAttachment({ seen: number });
    const count = (kv.get('count') ?? 0) + 1;
    kv.put('count', count);
    sql.exec('INSERT INTO adds VALUES (?, ?)', op, this.incarnation);
    ws.send(`${number} ${this.incarnation}`);
    if (op % 7 === 0) for (const socket of this.ctx.getWebSockets()) socket.send(`all ${count}`);
  }
  webSocketClose(ws, code) {
    ws.close(code === 1005 || code === 1006 ? 1000 : code);
  }

  state() {
    this.#alone();
    const { kv, sql } = this.ctx.storage;
    const ops = (query) => sql.exec(query).toArray().map(({ op }) => op);
    return {
      incarnation: this.incarnation,
      count: kv.get('count') ?? 0,
      adds: ops('SELECT op FROM adds'),
      debits: ops('SELECT op FROM debits'),
      credits: sql.exec('SELECT op, source FROM credits').toArray(),
      armed: ops('SELECT op FROM alarms'),
      waiting: ops('SELECT op FROM alarms WHERE fired = 0'),
    };
  }
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const [, method, name, ...rest] = url.pathname.split('/');
    const stub = env.SOAK.getByName(name);
    try {
      if (method === 'socket') return await stub.fetch(request);
      const numbers = rest.map((part) => (part.startsWith('o') ? part : Number(part)));
      // Through one stub they must run in this order.
      if (method === 'burst') return Response.json(await Promise.all([0, 1, 2, 3].map((i) => stub.add(numbers[0] + i))));
      return Response.json(await stub[method](...numbers));
    } catch (error) {
      return Response.json({ error: String(error?.message ?? error) }, { status: 500 });
    }
  },
};
