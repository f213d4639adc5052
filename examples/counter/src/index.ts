// Two counters, one kept in the key-value storage and one in SQL, reached by RPC and by fetch.
//
//   curl http://counter.localhost:8787/kv/NAME                one more, and the value
//   curl http://counter.localhost:8787/sql/NAME               the same in SQL
//   curl http://counter.localhost:8787/sql/NAME?via=fetch     through the object's fetch() instead of RPC
//   curl -X DELETE http://counter.localhost:8787/kv/NAME      back to nothing
import { DurableObject } from 'cloudflare:workers';

interface Env {
  KV_COUNTER: DurableObjectNamespace<KvCounter>;
  SQL_COUNTER: DurableObjectNamespace<SqlCounter>;
}

export class KvCounter extends DurableObject<Env> {
  async increment(by = 1): Promise<number> {
    const value = ((await this.ctx.storage.get<number>('value')) ?? 0) + by;
    await this.ctx.storage.put('value', value);
    return value;
  }

  async value(): Promise<number> {
    return (await this.ctx.storage.get<number>('value')) ?? 0;
  }

  async reset(): Promise<void> {
    await this.ctx.storage.deleteAll();
  }

  override async fetch(): Promise<Response> {
    return new Response(String(await this.increment()));
  }
}

export class SqlCounter extends DurableObject<Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#createTable();
  }

  increment(by = 1): number {
    const row = this.ctx.storage.sql
      .exec<{ value: number }>('INSERT INTO counter(id, value) VALUES (1, ?) ON CONFLICT(id) DO UPDATE SET value = value + excluded.value RETURNING value', by)
      .one();
    return row.value;
  }

  value(): number {
    return this.ctx.storage.sql.exec<{ value: number }>('SELECT coalesce(sum(value), 0) AS value FROM counter').one().value;
  }

  async reset(): Promise<void> {
    await this.ctx.storage.deleteAll();
    this.#createTable();
  }

  override async fetch(): Promise<Response> {
    return new Response(String(this.increment()));
  }

  #createTable(): void {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS counter(id INTEGER PRIMARY KEY, value INTEGER NOT NULL)');
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const match = /^\/(kv|sql)\/([^/]+)$/.exec(url.pathname);
    if (match === null) {
      return new Response('Try /kv/NAME or /sql/NAME: each GET adds one, DELETE starts anew.\n', { status: url.pathname === '/' ? 200 : 404 });
    }
    const name = match[2]!;
    const counter = match[1] === 'kv' ? env.KV_COUNTER.getByName(name) : env.SQL_COUNTER.getByName(name);
    if (request.method === 'DELETE') {
      await counter.reset();
      return new Response(null, { status: 204 });
    }
    if (url.searchParams.get('via') === 'fetch') return counter.fetch(request);
    const by = Number(url.searchParams.get('by') ?? 1);
    if (!Number.isSafeInteger(by)) return new Response('by is a whole number\n', { status: 400 });
    const value = url.searchParams.has('read') ? await counter.value() : await counter.increment(by);
    return new Response(`${value}\n`);
  },
} satisfies ExportedHandler<Env>;
