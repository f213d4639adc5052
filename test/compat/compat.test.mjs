// The cases of cases.mjs on Holdfast and on workerd (`make compat` prints the same with the answers).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';
import { cases } from './cases.mjs';
import { differences } from './differences.mjs';
import { deployTo, normalise, startReference } from './run.mjs';

describe('the same Worker on workerd and on Holdfast', () => {
  let reference;
  let holdfast;
  before(async () => {
    reference = await startReference();
    holdfast = await Holdfast.start({ args: ['--shards', '2'] });
    await deployTo(holdfast);
  });
  after(async () => {
    await reference?.[Symbol.asyncDispose]();
    await holdfast?.[Symbol.asyncDispose]();
  });
  for (const name of Object.keys(cases)) {
    test(name, async () => {
      const path = `/${encodeURIComponent(name)}`;
      const expected = normalise(await (await reference.fetch(path)).text());
      const ours = normalise((await holdfast.fetch('compat', path)).text);
      const wanted = differences[name];
      if (wanted === undefined) {
        assert.deepEqual(ours, expected);
      } else {
        assert.notDeepEqual(ours, expected, 'the table of wanted differences is out of date');
        assert.deepEqual(ours, wanted[1]);
      }
    });
  }
});
