// Every statement of sql_guard.mjs on workerd and on Holdfast. Afterwards each object's database is whole, and what is not
// the user's (keys, alarm) is as it was.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';
import { Workerd } from '../support/workerd.mjs';
import { lists } from './sql_guard.mjs';

describe('statements behind the guard', () => {
  let workerd;
  let holdfast;
  before(async () => {
    const modules = { 'worker.mjs': await readFile(new URL('./sql_guard_worker.mjs', import.meta.url), 'utf8') };
    workerd = await Workerd.start({ modules, classes: { Subject: { binding: 'SUBJECT' } } });
    holdfast = await Holdfast.start();
    await holdfast.deploy('guard', modules, {
      bindings: [{ type: 'durable_object_namespace', name: 'SUBJECT', class_name: 'Subject' }],
      migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Subject'] }] },
    });
  });
  after(async () => {
    await workerd?.[Symbol.asyncDispose]();
    await holdfast?.[Symbol.asyncDispose]();
  });

  for (const [name, turns] of Object.entries(lists)) {
    const entries = turns.flat();
    const body = JSON.stringify({ [name]: turns.map((turn) => turn.map(([statement]) => statement)) });
    const check = (answer, expected) => {
      const { out, state, error } = answer[name];
      assert.equal(error, undefined);
      // One list at a time: the whole difference is seen at once.
      assert.deepEqual(
        out.map((text, i) => [entries[i][0], text]),
        entries.map((entry) => [entry[0], expected(entry)]),
      );
      assert.deepEqual(state, ['ok', 'kept', 1, true]);
    };
    test(`${name}: ${entries.length} statements on workerd`, async () => {
      check(await (await workerd.fetch('/', { method: 'POST', body })).json(), ([, answer]) => answer);
    });
    test(`${name}: ${entries.length} statements on Holdfast`, async () => {
      check((await holdfast.fetch('guard', '/', { method: 'POST', body })).json(), ([, answer, ours, why]) => {
        assert.equal(ours === undefined, why === undefined, 'a difference has a reason');
        return ours ?? answer;
      });
    });
  }
});
