// A hundred thousand objects with alarms: a start opens nothing that is not asked for, also after kill -9, and open
// files stay bounded.
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';

const kObjects = 100_000;
const kPerRequest = 2000;
const kOpenFilesMax = 1024;
const kStartMsMax = 2000;

const source = `
import { DurableObject } from 'cloudflare:workers';
export class Box extends DurableObject {
  alarm() {}
  touch(n) {
    this.ctx.storage.put('n', n);
    this.ctx.storage.setAlarm(Date.now() + 86_400_000);
  }
  async read() { return [await this.ctx.storage.get('n'), (await this.ctx.storage.getAlarm()) > Date.now()]; }
}
export default {
  async fetch(request, env) {
    const [, what, from, count] = new URL(request.url).pathname.split('/');
    if (what === 'hello') return new Response('hello');
    if (what === 'read') return Response.json(await env.BOX.getByName('o' + from).read());
    const all = [];
    for (let n = Number(from); n < Number(from) + Number(count); n++) all.push(env.BOX.getByName('o' + n).touch(n));
    await Promise.all(all);
    return new Response('done');
  },
};`;

async function openFiles(server) {
  return (await readdir(`/proc/${server.child.pid}/fd`)).length;
}

// From the start of the process to an answer of the Worker.
async function timeToAnswer(server, start) {
  const begin = performance.now();
  await start();
  assert.equal((await server.fetch('box', '/hello')).text, 'hello');
  return performance.now() - begin;
}

async function checkSome(server) {
  for (let n = 0; n < kObjects; n += 9973) {
    assert.deepEqual((await server.fetch('box', `/read/${n}`)).json(), [n, true]);
  }
}

test('a hundred thousand objects start at once and need few files', { timeout: 240_000 }, async (t) => {
  const server = await Holdfast.start({ openFilesMax: kOpenFilesMax, args: ['--log-level', 'warn'] });
  await using _ = server;
  await server.deploy('box', { 'worker.mjs': source }, {
    bindings: [{ type: 'durable_object_namespace', name: 'BOX', class_name: 'Box' }],
    migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Box'] }] },
  });
  let highest = 0;
  for (let from = 0; from < kObjects; from += kPerRequest) {
    assert.equal((await server.fetch('box', `/touch/${from}/${kPerRequest}`)).text, 'done');
    highest = Math.max(highest, await openFiles(server));
  }
  await server.kill();
  const afterKill = await timeToAnswer(server, () => server.startAgain());
  await checkSome(server);
  await server.stop();
  const afterStop = await timeToAnswer(server, () => server.startAgain());
  await checkSome(server);
  highest = Math.max(highest, await openFiles(server));
  t.diagnostic(`start to first answer: ${Math.round(afterKill)} ms after kill -9, ${Math.round(afterStop)} ms after a clean stop; ${highest} open files at most`);
  assert.ok(highest < kOpenFilesMax - 100, `${highest} files are open`);
  assert.ok(afterStop <= kStartMsMax, `${afterStop} ms to the first answer`);
});
