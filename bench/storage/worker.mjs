// What reading many keys and rows costs, on both runtimes: so many times within one request that HTTP does not count.
import { DurableObject } from 'cloudflare:workers';

const kRows = 1000;
const kText = 'some text of a usual length for one row';

export class Bench extends DurableObject {
  async fill() {
    for (let first = 0; first < kRows; first += 100) {
      const entries = Array.from({ length: 100 }, (_, i) => [`key-${String(first + i).padStart(4, '0')}`, `${kText} ${first + i}`]);
      await this.ctx.storage.put(Object.fromEntries(entries));
    }
    this.ctx.storage.sql.exec('CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)');
    for (let i = 0; i < kRows; i++) this.ctx.storage.sql.exec('INSERT INTO t(text) VALUES (?)', `${kText} ${i}`);
    return kRows;
  }
  async list(times) {
    let found = 0;
    for (let i = 0; i < times; i++) found += (await this.ctx.storage.list()).size;
    return found;
  }
  listSync(times) {
    let found = 0;
    for (let i = 0; i < times; i++) for (const [, value] of this.ctx.storage.kv.list()) found += value === undefined ? 0 : 1;
    return found;
  }
  select(times) {
    let found = 0;
    for (let i = 0; i < times; i++) found += this.ctx.storage.sql.exec('SELECT id, text FROM t').toArray().length;
    return found;
  }
  selectRaw(times) {
    let found = 0;
    for (let i = 0; i < times; i++) for (const [, text] of this.ctx.storage.sql.exec('SELECT id, text FROM t').raw()) found += text === null ? 0 : 1;
    return found;
  }
}

export default {
  async fetch(request, env) {
    const [, what, times] = new URL(request.url).pathname.split('/');
    const expected = kRows * Number(times);
    const found = await env.BENCH.getByName('one')[what](Number(times));
    return new Response(String(found), { status: found === expected ? 200 : 500 });
  },
};
