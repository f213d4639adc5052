// Alarms as user code sees them: the same Worker (alarms_worker.mjs) on workerd and on Holdfast.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';
import { Workerd } from '../support/workerd.mjs';

const modules = { 'm.mjs': await readFile(new URL('./alarms_worker.mjs', import.meta.url), 'utf8') };
const classes = { Alarmed: { binding: 'ALARMED' }, Handlerless: { binding: 'HANDLERLESS' } };

// What workerd does is not always right: case → [why, what Holdfast answers].
const differences = {
  'set in a transactionSync that throws': [
    'workerd forgets that the alarm under way is to be deleted when the handler ends, and runs it again at the next start',
    {
      value: [
        ['set in a transactionSync that throws', 0, false, 'number', true, ['isRetry', 'retryCount', 'scheduledTime'], null, 'set in a transactionSync that throws', 1],
        null,
      ],
    },
  ],
};

test('alarms on both runtimes', async (t) => {
  await using workerd = await Workerd.start({ modules, classes });
  await using holdfast = await Holdfast.start({ args: ['--shards', '2'] });
  await holdfast.deploy('alarms', modules, {
    bindings: Object.entries(classes).map(([class_name, { binding }]) => ({ type: 'durable_object_namespace', name: binding, class_name })),
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: Object.keys(classes) }] },
  });
  const names = await (await workerd.fetch('/')).json();
  assert.ok(names.length > 20);
  // All at once: most of their time is waiting for a retry.
  await Promise.all(
    names.map((name) =>
      t.test(name, async () => {
        const path = `/${encodeURIComponent(name)}`;
        const [expected, ours] = await Promise.all([workerd.fetch(path).then((r) => r.json()), holdfast.fetch('alarms', path).then((r) => r.json())]);
        const wanted = differences[name];
        if (wanted === undefined) return assert.deepEqual(ours, expected);
        assert.notDeepEqual(ours, expected, 'the table of differences is out of date');
        assert.deepEqual(ours, wanted[1]);
      }),
    ),
  );
});
