// What is measured, on both runtimes.
import { DurableObject, RpcTarget } from 'cloudflare:workers';

class Counter extends RpcTarget {
  n = 0;
  add(by) {
    return (this.n += by);
  }
}

export class Bench extends DurableObject {
  n = 0;
  memory() {
    return ++this.n;
  }
  async kv() {
    const value = ((await this.ctx.storage.get('n')) ?? 0) + 1;
    this.ctx.storage.put('n', value);
    return value;
  }
  sql() {
    if (!this.ready) {
      this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, text TEXT)');
      this.ready = true;
    }
    this.ctx.storage.sql.exec('INSERT INTO t(text) VALUES (?)', 'some text of a usual length for one row');
    return 1;
  }
  fetch() {
    return new Response(String(++this.n));
  }
  // A state of the usual kind: a map of some users, a list of numbers.
  keep(name) {
    this.users = new Map(Array.from({ length: 8 }, (_, i) => [`user ${i} of ${name}`, { joined: i, away: false }]));
    this.numbers = Array.from({ length: 32 }, (_, i) => i * i);
    return this.users.size;
  }
  async callback(f) {
    return await f(++this.n);
  }
  counter() {
    return new Counter();
  }
}

// WebSockets. With the hibernation API, but for 'accept'.
export class Sockets extends DurableObject {
  toAll = false;

  fetch(request) {
    const [client, server] = Object.values(new WebSocketPair());
    const what = new URL(request.url).pathname.split('/')[1];
    if (what === 'accept') {
      server.accept();
      server.addEventListener('message', (event) => server.send(event.data));
    } else {
      this.toAll = what === 'broadcast';
      this.ctx.acceptWebSocket(server);
    }
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(ws, message) {
    if (!this.toAll) ws.send(message);
    else for (const socket of this.ctx.getWebSockets()) socket.send(message);
  }
}

export default {
  async fetch(request, env) {
    const [, what, name] = new URL(request.url).pathname.split('/');
    if (what === 'plain') return new Response('hello');
    if (what === 'echo' || what === 'accept' || what === 'broadcast') return env.SOCKETS.getByName(name).fetch(request);
    const stub = env.BENCH.getByName(name);
    if (what === 'fetch') return stub.fetch(request);
    if (what === 'memory') return new Response(String(await stub.memory()));
    if (what === 'kv') return new Response(String(await stub.kv()));
    if (what === 'sql') return new Response(String(await stub.sql()));
    if (what === 'keep') return new Response(String(await stub.keep(name)));
    if (what === 'callback') return new Response(String(await stub.callback((n) => n + 1)));
    if (what === 'pipeline') return new Response(String(await stub.counter().add(2)));
    return new Response('what?', { status: 404 });
  },
};
