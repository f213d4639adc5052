// What is measured, on both runtimes.
import { DurableObject } from 'cloudflare:workers';

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
}

export default {
  async fetch(request, env) {
    const [, what, name] = new URL(request.url).pathname.split('/');
    if (what === 'plain') return new Response('hello');
    const stub = env.BENCH.getByName(name);
    if (what === 'fetch') return stub.fetch(request);
    if (what === 'memory') return new Response(String(await stub.memory()));
    if (what === 'kv') return new Response(String(await stub.kv()));
    if (what === 'sql') return new Response(String(await stub.sql()));
    return new Response('what?', { status: 404 });
  },
};
