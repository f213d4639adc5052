// What the tests of the operators' commands share: running them, and a Worker whose objects count and remember.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { launcher } from '../support/holdfast.mjs';

export const run = (args, env = {}) =>
  promisify(execFile)(launcher, args, { env: { ...process.env, HOLDFAST_TOKEN: '', CLOUDFLARE_API_TOKEN: '', ...env }, maxBuffer: 1 << 28 }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  );

const worker = `
import { DurableObject } from 'cloudflare:workers';
export class Box extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.born = Math.random();
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS notes(id INTEGER PRIMARY KEY, text TEXT)');
  }
  async add(text) {
    this.ctx.storage.sql.exec('INSERT INTO notes(text) VALUES (?)', text);
    await this.ctx.storage.put('last', text);
    return this.ctx.storage.sql.exec('SELECT count(*) AS n FROM notes').one().n;
  }
  async all() { return { born: this.born, last: await this.ctx.storage.get('last'), notes: [...this.ctx.storage.sql.exec('SELECT text FROM notes ORDER BY id')].map((row) => row.text) }; }
  // So many megabytes.
  async fill(count) {
    for (let i = 0; i < Number(count); i++) {
      this.ctx.storage.sql.exec('INSERT INTO notes(text) VALUES (randomblob(1000000))');
      await this.ctx.storage.sync();
    }
  }
  async alarmIn(ms) { await this.ctx.storage.setAlarm(Date.now() + Number(ms)); }
  async alarmAt() { return await this.ctx.storage.getAlarm(); }
  async alarm() { await this.add('alarm ran'); }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const box = env.BOX.getByName(url.searchParams.get('box') ?? 'one');
    const value = url.searchParams.get('value');
    try {
      return Response.json({ value: await box[url.pathname.slice(1)](value) });
    } catch (error) {
      return Response.json({ error: error.message }, { status: 500 });
    }
  },
};`;

export const deploy = (server, script = 'notes') =>
  server.deploy(script, { 'worker.mjs': worker }, {
    bindings: [{ type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' }],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'] }] },
  });

/** Calls a method of a box; throws what the object threw. */
export async function call(server, method, box = 'one', value = '') {
  const query = new URLSearchParams({ box, value });
  const { error, value: answer } = (await server.fetch('notes', `/${method}?${query}`)).json();
  if (error !== undefined) throw new Error(error);
  return answer;
}

/** Every file below a directory with a hash of its bytes. */
export async function contentsOf(directory) {
  const all = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    all[path.slice(directory.length + 1)] = createHash('sha256').update(await readFile(path)).digest('hex');
  }
  return all;
}

/** Rows of a query on a plain SQLite file, which must be whole. */
export function rowsOf(file, sql) {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    const [{ integrity_check: whole }] = db.prepare('PRAGMA integrity_check').all();
    if (whole !== 'ok') throw new Error(`${file}: ${whole}`);
    return db.prepare(sql).all().map((row) => ({ ...row }));
  } finally {
    db.close();
  }
}

export async function flipByte(path, offset) {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, offset);
  byte[0] ^= 0x40;
  await file.write(byte, 0, 1, offset);
  await file.close();
}
