// The classes of the cases about gates, life, sockets and alarms (stage.mjs).
import { DurableObject } from 'cloudflare:workers';
import { cases } from './cases.mjs';

// What objects have noted, by name: it outlives their instances.
const journals = new Map();

export class Stage extends DurableObject {
  log = [];
  constructor(ctx, env) {
    super(ctx, env);
    this.parts = cases[ctx.id.name?.split('#')[0]] ?? {};
    this.parts.construct?.call(this, ctx, env);
  }
  // Noted for good.
  get journal() {
    const { name } = this.ctx.id;
    if (!journals.has(name)) journals.set(name, []);
    return journals.get(name);
  }
  run(part, ...args) {
    return this.parts[part].call(this, this.ctx, ...args);
  }
  async runAsync(part, ...args) {
    return await this.parts[part].call(this, this.ctx, ...args);
  }
  notes() {
    return this.journal;
  }
  logged() {
    return this.log;
  }
  push(value) {
    this.log.push(value);
    return this.log.length;
  }
  echo(value) {
    return value;
  }
  // A promise that is kept, and so not known to be hopeless.
  never() {
    return new Promise((resolve) => (this.kept ??= []).push(resolve));
  }
  // Resolves for all callers when `count` of them are here.
  barrier(count) {
    this.arrived ??= Promise.withResolvers();
    this.count = (this.count ?? 0) + 1;
    if (this.count === count) {
      this.arrived.resolve();
      this.arrived = undefined;
      this.count = 0;
      return undefined;
    }
    return this.arrived.promise;
  }
  fetch(request) {
    if (this.parts.fetch !== undefined) return this.parts.fetch.call(this, this.ctx, request);
    return new Response('stage');
  }
  alarm(info) {
    return this.parts.alarm?.call(this, this.ctx, info);
  }
  webSocketMessage(ws, message) {
    return this.parts.message?.call(this, this.ctx, ws, message);
  }
  webSocketClose(ws, ...args) {
    return this.parts.close?.call(this, this.ctx, ws, ...args);
  }
  webSocketError(ws, error) {
    return this.parts.error?.call(this, this.ctx, ws, error);
  }
}

// A class that extends nothing.
export class Legacy {
  constructor(state, env) {
    this.state = state;
    this.args = [arguments.length, typeof state, typeof env];
    this.seen = [];
  }
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/args') return Response.json([this.args, arguments.length]);
    if (pathname === '/arm') {
      await this.state.storage.setAlarm(1);
      return new Response('armed');
    }
    if (pathname === '/socket') {
      const [client, server] = Object.values(new WebSocketPair());
      this.state.acceptWebSocket(server);
      return new Response(null, { status: 101, webSocket: client });
    }
    return Response.json(this.seen);
  }
  alarm(info) {
    this.seen.push(['alarm', arguments.length, info.retryCount]);
  }
  webSocketMessage(ws, message) {
    this.seen.push(['message', message, arguments.length]);
    ws.send(`legacy ${message}`);
  }
  method() {
    return 1;
  }
}

export class Bare extends DurableObject {
  arm() {
    return this.ctx.storage.setAlarm(Date.now() + 3600_000);
  }
  socket() {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    client.accept();
    client.send('nobody hears this');
    client.close(1000, 'bye');
    return true;
  }
  hello() {
    return 'bare';
  }
}

// Handlers that are no functions.
export class Shapes extends DurableObject {
  fetch = 'a string';
  alarm = { call: 1 };
  webSocketMessage = null;
  arm() {
    return this.ctx.storage.setAlarm(Date.now() + 3600_000);
  }
}

class Ancestor extends DurableObject {
  fetch(request) {
    return new Response(`inherited by ${this.constructor.name}`);
  }
  method() {
    return `inherited by ${this.constructor.name}`;
  }
  alarm() {
    this.rang = true;
  }
}
class Middle extends Ancestor {}
export class Heir extends Middle {
  arm() {
    return this.ctx.storage.setAlarm(1);
  }
  hasRung() {
    return this.rang === true;
  }
}

// Handlers that come from getters and from fields.
export class Getters extends DurableObject {
  reads = 0;
  get fetch() {
    this.reads++;
    return () => Response.json({ reads: this.reads, thisIsUs: true });
  }
  alarm = () => {
    this.rang = true;
  };
  arm() {
    return this.ctx.storage.setAlarm(1);
  }
  hasRung() {
    return this.rang === true;
  }
}

export class ReturnsOther extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    return { fetch: () => new Response('from another object'), method: () => 1 };
  }
  method() {
    return 2;
  }
}

// The request of a case's client (clients.mjs): the object that the query begins with, or its notes.
export async function serveClient(test, env, name, request) {
  const [object, rest] = new URL(request.url).search.slice(1).split('/');
  const stub = env.STAGE.getByName(`${name}#${decodeURIComponent(object)}`);
  if (rest === 'notes') return Response.json(await stub.notes());
  return test.serve === undefined ? stub.fetch(request) : test.serve({ env, stub, name, request });
}
