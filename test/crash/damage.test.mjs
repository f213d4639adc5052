// Files that were damaged by hand: a start that cannot be whole is refused with file and offset, and leaves them as
// they are; what only looks like a write that was cut off is dropped.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';

const worker = `
import { DurableObject } from 'cloudflare:workers';
export class Box extends DurableObject {
  async add() { const n = ((await this.ctx.storage.get('n')) ?? 0) + 1; await this.ctx.storage.put('n', n); return n; }
}
export default {
  async fetch(request, env) {
    try {
      return new Response(String(await env.BOX.getByName('one').add()));
    } catch (error) {
      return new Response(error.message, { status: 500 });
    }
  },
};`;

async function flip(file, offset) {
  const bytes = await readFile(file);
  bytes[offset] ^= 0x40;
  await writeFile(file, bytes);
}

test('damage is refused with file and offset; a torn tail is not damage', { timeout: 60_000 }, async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'holdfast-damage-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  const dir = join(home, 'whole');
  const args = ['--log-level', 'error', '--shards', '1'];
  const server = await Holdfast.start({ dir, args });
  t.after(() => server.kill());
  await server.deploy('box', { 'worker.mjs': worker }, {
    bindings: [{ type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' }],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'] }] },
  });
  for (let n = 1; n <= 20; n++) assert.equal((await server.fetch('box')).text, String(n));
  await server.kill();

  // Starts on a copy that `damage` has changed.
  const start = async (damage) => {
    const copy = join(home, 'copy');
    await rm(copy, { recursive: true, force: true });
    await cp(dir, copy, { recursive: true });
    await damage(copy);
    return await Holdfast.start({ dir: copy, args });
  };
  const segment = (copy) => join(copy, 'ledger', 'segment-000001');
  const refused = (damage, pattern) => assert.rejects(start(damage), (error) => {
    assert.match(error.message, /ended \(1\)/);
    assert.match(error.message, pattern);
    return true;
  });
  await refused((copy) => flip(segment(copy), 8192 + 1024 + 100), /damaged record in .*segment-000001 at offset 9216/);
  await refused((copy) => truncate(segment(copy), 40_000), /segment-000001 ends at offset 40000/);
  await refused((copy) => rm(join(copy, 'ledger', 'mark')), /ledger\/mark is missing/);
  await refused((copy) => flip(join(copy, 'ledger', 'mark'), 20), /ledger\/mark is damaged at offset 0/);
  await refused((copy) => flip(join(copy, 'catalog.sqlite'), 2 * 4096 + 77), /catalog\.sqlite: damaged at offset 8192/);
  await refused((copy) => writeFile(join(copy, 'token'), ''), /token is empty/);

  {
    await using torn = await start(async (copy) => {
      const bytes = await readFile(segment(copy));
      let end = bytes.length;
      while (bytes[end - 1] === 0) end--;
      bytes.fill(0, end - 8);
      await writeFile(segment(copy), bytes);
    });
    assert.equal((await torn.fetch('box')).text, '20', 'the last write is cut off, the others are whole');
    await torn.stop();
  }
  await using cut = await start(() => {});
  await cut.stop();
  const file = execFileSync('find', [join(home, 'copy', 'objects'), '-name', '*.sqlite']).toString().trim();
  await truncate(file, 5000);
  await cut.startAgain();
  const answer = await cut.fetch('box');
  assert.deepEqual([answer.status, answer.text], [500, 'database disk image is malformed: SQLITE_CORRUPT']);
  assert.match(cut.log, /\.sqlite: its length, 5000, is not a number of pages/);
});
