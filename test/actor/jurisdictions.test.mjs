// Jurisdictions on a real server: ids keep theirs over a restart, in the object, in its alarm, and for operators' tools.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run as tool } from '../cli/tools_support.mjs';
import { Holdfast } from '../support/holdfast.mjs';

const worker = `
import { DurableObject } from 'cloudflare:workers';
export class Box extends DurableObject {
  who() { return [this.ctx.id.name ?? null, this.ctx.id.jurisdiction ?? null]; }
  async put(value) { await this.ctx.storage.put('value', value); await this.ctx.storage.setAlarm(Date.now()); }
  async get() { return [await this.ctx.storage.get('value'), await this.ctx.storage.get('alarm')]; }
  async alarm() { await this.ctx.storage.put('alarm', this.who()); }
}
export default { async fetch(request, env) {
  const [f, ...args] = await request.json();
  return Response.json(await { put: async () => { const s = env.BOX.jurisdiction(args[0]).getByName(args[1]); await s.put(args[2]); return String(s.id); },
    who: () => env.BOX.jurisdiction(args[0]).getByName(args[1]).who(),
    get: () => env.BOX.get(env.BOX.idFromString(args[0])).get() }[f]());
} };`;

test('an object of a jurisdiction is another one, and stays it', async () => {
  await using server = await Holdfast.start({ args: ['--shards', '2'] });
  await server.deploy('boxes', { 'm.mjs': worker }, {
    bindings: [{ type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' }],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'] }] },
  });
  const call = async (...body) => (await server.fetch('boxes', '/', { method: 'POST', body: JSON.stringify(body) })).json();
  const ids = [];
  for (const jurisdiction of [null, 'eu', 'us', 'fedramp', 'fedramp-high']) {
    assert.deepEqual(await call('who', jurisdiction, 'a'), ['a', jurisdiction]);
    ids.push(await call('put', jurisdiction, 'a', `in ${jurisdiction}`));
  }
  assert.equal(new Set(ids).size, 5);
  for (const again of [false, true]) {
    if (again) await server.restart();
    for (const [i, jurisdiction] of [null, 'eu', 'us', 'fedramp', 'fedramp-high'].entries()) {
      let seen;
      do seen = await call('get', ids[i]);
      while (seen[1] === undefined);
      // Woken by its alarm or by the call that came before it, which went by the name too.
      assert.deepEqual(seen, [`in ${jurisdiction}`, ['a', jurisdiction]]);
    }
  }
  const sql = await tool(['object', 'sql', '--dir', server.dir, '--json', 'Box', ids[1], 'SELECT 1 AS one']);
  assert.equal(sql.stdout, '{"one":1}\n', sql.stderr);
});
