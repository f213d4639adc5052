// kill -9 during deploys: a deploy happens whole or not at all. HF_KILLS sets how many (default 10).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Holdfast } from '../support/holdfast.mjs';

const kKills = Number(process.env.HF_KILLS ?? 10);

// The number of a version stands in its code, in a second module, in its variable, in its tag and in its class.
const version = (n) => [
  {
    'worker.mjs': `
import { DurableObject } from 'cloudflare:workers';
import { n } from './part.mjs';
${Array.from({ length: n }, (_, i) => `export class C${i + 1} extends DurableObject { who() { return ${i + 1}; } }`).join('\n')}
export default {
  async fetch(request, env) {
    return Response.json({ code: ${n}, part: n, variable: env.N, object: await env.NEWEST.getByName('one').who() });
  },
};`,
    'part.mjs': `export const n = ${n}; //${'x'.repeat(300_000)}`,
  },
  {
    bindings: [
      { type: 'json', name: 'N', json: n },
      { type: 'durable_object_namespace', name: 'NEWEST', class_name: `C${n}` },
    ],
    migrations: { old_tag: n === 1 ? undefined : `v${n - 1}`, new_tag: `v${n}`, steps: [{ new_sqlite_classes: [`C${n}`] }] },
  },
];

test(`a deploy happens whole or not at all, through ${kKills} kills`, { timeout: 120_000 }, async (t) => {
  await using server = await Holdfast.start({ args: ['--log-level', 'error'] });
  await server.deploy('whole', ...version(1));
  let acknowledged = 1;
  let unanswered = 0;
  for (let kill = 0; kill < kKills; kill++) {
    let tried = acknowledged;
    let running = true;
    const deploys = (async () => {
      while (running) {
        tried = acknowledged + 1;
        try {
          await server.deploy('whole', ...version(tried));
        } catch (error) {
          if (error.answer !== undefined) throw error; // an answer: only being killed is a reason to have none
          return;
        }
        acknowledged = tried;
      }
    })();
    await wait(5 + Math.random() * 120);
    await server.kill();
    running = false;
    await deploys;
    await server.startAgain();
    const answer = await server.fetch('whole');
    assert.equal(answer.status, 200, answer.text);
    const { code, part, variable, object } = answer.json();
    assert.deepEqual({ part, variable, object }, { part: code, variable: code, object: code }, 'half a deploy');
    assert.ok(code === acknowledged || code === tried, `version ${acknowledged} was acknowledged, ${tried} tried, ${code} answers`);
    const namespaces = await server.call('GET', '/workers/durable_objects/namespaces?per_page=1000');
    assert.equal(namespaces.result.length, code, 'the migration is of another version than the code');
    const scripts = await server.call('GET', '/workers/scripts');
    assert.equal(scripts.result[0].migration_tag, `v${code}`);
    if (code !== acknowledged) unanswered++;
    acknowledged = code;
  }
  t.diagnostic(`${acknowledged} deploys, ${unanswered} of them whole though killed before the answer`);
});
