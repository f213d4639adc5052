// The cases of cases.mjs on Holdfast and on workerd (`make compat` prints the same with the answers).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';
import { cases } from './cases.mjs';
import { differences } from './differences.mjs';
import { pending } from './pending.mjs';
import { compare, deployTo, kAtOnce, startReference } from './run.mjs';

test('the tables name cases that there are', () => {
  for (const name of [...Object.keys(differences), ...Object.keys(pending)]) assert.ok(cases[name] !== undefined, name);
});

describe('the same Worker on workerd and on Holdfast', { concurrency: kAtOnce }, () => {
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
    test(name, { todo: pending[name] }, async () => {
      const { result, expected, ours } = await compare(name, reference, holdfast);
      if (result === 'DIFFERENT') assert.deepEqual(ours, differences[name]?.[1] ?? expected);
      assert.notEqual(result, 'NO LONGER DIFFERENT', 'the table of wanted differences is out of date');
      assert.notEqual(result, 'NO LONGER PENDING', 'the list of what is missing is out of date');
    });
  }
});
