// Runs lists of statements, each list in an object of its own, and tells what came of each: rows as JSON, or the error's
// text after a '!'. A statement is a text, or an array of a text and its bindings.
import { DurableObject } from 'cloudflare:workers';

function shown(value) {
  if (value instanceof ArrayBuffer) return value.byteLength > 20 ? `<${value.byteLength} bytes>` : `x${[...new Uint8Array(value)].map((b) => b.toString(16).padStart(2, '0')).join('')}`;
  if (typeof value === 'string' && value.length > 400) return `${value.slice(0, 20)}… ${value.length} chars`;
  if (typeof value === 'number' && !Number.isFinite(value)) return `<${value}>`;
  return value;
}

export class Subject extends DurableObject {
  alarm() {}
  // Between two batches the transaction of a turn ends.
  async run(batches) {
    const { storage } = this.ctx;
    await storage.put('secret', 'kept');
    await storage.setAlarm(Date.now() + 3_600_000_000);
    const out = [];
    for (const statements of batches) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      for (const statement of statements) {
        const args = typeof statement === 'string' ? [statement] : statement.map((v) => (v !== null && typeof v === 'object' ? new Uint8Array(v.bytes) : v));
        try {
          const rows = storage.sql.exec(...args).raw().toArray();
          out.push(rows.length > 30 ? `<${rows.length} rows>` : JSON.stringify(rows, (key, value) => shown(value)));
        } catch (error) {
          out.push(`!${error.name === 'Error' ? '' : `${error.name}: `}${error.message}`);
        }
      }
    }
    // Whatever was tried: the database works, is whole, and what is ours is as it was.
    await new Promise((resolve) => setTimeout(resolve, 1));
    const whole = storage.sql.exec('PRAGMA quick_check').raw().toArray()[0][0];
    return { out, state: [whole, await storage.get('secret'), (await storage.list()).size, (await storage.getAlarm()) > Date.now()] };
  }
}

export default {
  async fetch(request, env) {
    const lists = await request.json();
    const out = {};
    for (const [name, batches] of Object.entries(lists)) {
      try {
        out[name] = await env.SUBJECT.getByName(name).run(batches);
      } catch (error) {
        out[name] = { error: error.message };
      }
    }
    return Response.json(out);
  },
};
