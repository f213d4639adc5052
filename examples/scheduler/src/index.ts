// Reminders: many of them in one object, which has one alarm. The alarm is always set to the earliest reminder, survives
// restarts, and is tried again when its handler fails.
//
//   curl -X POST 'http://scheduler.localhost:8787/alice?in=2000' -d 'tea is ready'
//   curl http://scheduler.localhost:8787/alice                 what is due and what has fired
import { DurableObject } from 'cloudflare:workers';

interface Env {
  REMINDERS: DurableObjectNamespace<Reminders>;
}

interface Reminder extends Record<string, SqlStorageValue> {
  id: number;
  at: number;
  text: string;
  fired_at: number | null;
}

export class Reminders extends DurableObject<Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.storage.sql.exec(
      'CREATE TABLE IF NOT EXISTS reminders(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, text TEXT NOT NULL, fired_at INTEGER)',
    );
  }

  async remind(text: string, at: number): Promise<void> {
    // Both become durable together, or neither does.
    this.ctx.storage.sql.exec('INSERT INTO reminders(at, text) VALUES (?, ?)', at, text);
    await this.#arm();
  }

  list(): Reminder[] {
    return this.ctx.storage.sql.exec<Reminder>('SELECT * FROM reminders ORDER BY at, id').toArray();
  }

  override async alarm(): Promise<void> {
    const now = Date.now();
    this.ctx.storage.sql.exec('UPDATE reminders SET fired_at = ? WHERE fired_at IS NULL AND at <= ?', now, now);
    await this.#arm();
  }

  async #arm(): Promise<void> {
    const { next } = this.ctx.storage.sql.exec<{ next: number | null }>('SELECT min(at) AS next FROM reminders WHERE fired_at IS NULL').one();
    if (next !== null) await this.ctx.storage.setAlarm(next);
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const name = url.pathname.slice(1);
    if (name === '') return new Response('POST /NAME?in=MILLISECONDS with the text, GET /NAME to see them.\n');
    const reminders = env.REMINDERS.getByName(name);
    if (request.method === 'POST') {
      const delay = Number(url.searchParams.get('in') ?? 1000);
      const at = Math.round(Date.now() + delay);
      if (!(delay >= 0) || !Number.isSafeInteger(at)) return new Response('in is a number of milliseconds\n', { status: 400 });
      await reminders.remind(await request.text(), at);
      return new Response(null, { status: 201 });
    }
    return Response.json(await reminders.list());
  },
} satisfies ExportedHandler<Env>;
