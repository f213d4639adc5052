// ctx.facets as workerd does it: the same Worker on both, answer by answer.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';
import { Workerd } from '../support/workerd.mjs';

// Where Holdfast answers differently, and why.
const kDifferences = {
  shape: 'the class of a stub is called Fetcher here, ServiceStub there',
  cbNothing: 'the text has a mangled C++ name there',
  emptyName: 'an internal error there',
  alarms: 'there the object breaks, so that the error has no durableObjectId',
  changeWhileRunning: 'durableObjectId of a call that no method took',
  classShape: 'constructor.name',
  store: 'a facet is a stub like others here: "ServiceStub cannot be serialized in this context."',
  clone1: 'structuredClone makes an empty object of any stub here',
};

const text = await readFile(new URL('./facets_worker.mjs', import.meta.url), 'utf8');
let workerd, holdfast;
before(async () => {
  workerd = await Workerd.start({ modules: { 'w.mjs': text }, classes: { Parent: { binding: 'PARENT' }, NsKid: { binding: 'KID' } }, flags: ['experimental'] });
  holdfast = await Holdfast.start({ args: ['--shards', '2'] });
  const bindings = Object.entries({ PARENT: 'Parent', KID: 'NsKid' }).map(([name, class_name]) => ({ type: 'durable_object_namespace', name, class_name }));
  await holdfast.deploy('facets', { 'w.mjs': text }, { bindings, migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Parent', 'NsKid'] }] } });
});
after(async () => {
  await workerd[Symbol.asyncDispose]();
  await holdfast[Symbol.asyncDispose]();
});

test('every use of facets is answered as workerd answers it', { timeout: 120_000 }, async (t) => {
  const cases = [...(await holdfast.fetch('facets', '/list')).json(), 'parentAbortAll'];
  assert.ok(cases.length > 60);
  for (const name of cases) {
    await t.test(name, { timeout: 10_000 }, async () => {
      const expected = await (await workerd.fetch(`/${name}`)).json();
      const found = (await holdfast.fetch('facets', `/${name}`)).json();
      if (name in kDifferences) assert.notDeepEqual(found, expected, `no difference any more: ${kDifferences[name]}`);
      else assert.deepEqual(found, expected);
    });
  }
});
