// The soak of objects, as long as fits into `make test`; `make soak` runs it for ten minutes. HF_SOAK_SECONDS, HF_SEED.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Soak, sabotages } from './soak.mjs';

const seed = Number(process.env.HF_SEED ?? Math.floor(Math.random() * 2 ** 31));

test('2,000 objects on 4 shards: evicted, aborted, deployed, killed', { timeout: 300_000 }, async (t) => {
  t.diagnostic(`HF_SEED=${seed}`);
  const soak = new Soak({ seconds: Number(process.env.HF_SOAK_SECONDS ?? 24), objects: 2_000, sockets: 100, clients: 32, shards: 4, seed });
  const failures = await soak.run();
  t.diagnostic(JSON.stringify(soak.stats));
  assert.deepEqual(failures, []);
  assert.ok(soak.stats.kills > 1 && soak.stats.deploys > 1 && soak.stats.aborts > 0 && soak.stats.messages > 0, 'everything has happened');
});

describe('the soak sees mistakes', () => {
  for (const sabotage of Object.keys(sabotages)) {
    test(sabotage, { timeout: 60_000 }, async () => {
      const soak = new Soak({ seconds: 5, objects: 20, sockets: 20, clients: 16, shards: 2, seed, sabotage });
      assert.notDeepEqual(await soak.run(), []);
    });
  }
});
