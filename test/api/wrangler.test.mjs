// Unmodified wrangler against the real server: the sequences of a deploy, and every command that the first release has.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';
import { Project, requestsIn } from './support.mjs';

const counter = (name, extra = '') => `
import { DurableObject } from 'cloudflare:workers';
export class ${name} extends DurableObject {
  async add() {
    const n = ((await this.ctx.storage.get('n')) ?? 0) + 1;
    await this.ctx.storage.put('n', n);
    return n;
  }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === '/env') return Response.json({ key: env.KEY, plain: env.PLAIN, version: env.VERSION?.id });
    return new Response(String(await env.COUNTER.getByName('a').add()));
  },
};
${extra}`;
const plain = (text) => `export default { fetch(request, env) { return new Response(${JSON.stringify(text)} + (env.KEY ?? '')); } };`;
const binding = (name) => ({ durable_objects: { bindings: [{ name: 'COUNTER', class_name: name }] } });
const v1 = { tag: 'v1', new_sqlite_classes: ['Counter'] };

describe('wrangler', () => {
  let server;
  let project;
  before(async () => {
    server = await Holdfast.start({ args: ['--log-level', 'debug'] });
    project = await Project.create(server);
  });
  after(async () => {
    await project[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  const get = async (path = '/', script = 'app') => (await server.fetch(script, path)).text;
  const namespaces = async () => (await server.call('GET', '/workers/durable_objects/namespaces')).result;

  test('a first deploy makes the calls that were observed, and the object counts', async () => {
    await project.write(counter('Counter'), { ...binding('Counter'), migrations: [v1], vars: { PLAIN: 'p' }, version_metadata: { binding: 'VERSION' } });
    const from = server.log.length;
    const out = await project.run('deploy');
    assert.match(out, /app\.test/, 'wrangler prints where the Worker is');
    const id = /Current Version ID: ([0-9a-f-]{36})/.exec(out)[1];
    assert.deepEqual(requestsIn(server.log, from), [
      'GET /workers/services/app 404',
      'GET /workers/scripts/app/secrets 404',
      'GET /workers/subdomain 200',
      'GET /workers/scripts/app/deployments 404',
      'GET /workers/services/app 404',
      'GET /workers/scripts/app/settings 404',
      'PUT /workers/scripts/app 200',
      'GET /workers/workers/app 200',
      'POST /workers/scripts/app/subdomain 200',
    ]);
    assert.equal(await get(), '1');
    assert.equal(await get(), '2');
    assert.deepEqual(JSON.parse(await get('/env')), { plain: 'p', version: id });
  });

  test('a second deploy with nothing pending makes a version and a deployment', async () => {
    const from = server.log.length;
    await project.run('deploy');
    assert.deepEqual(requestsIn(server.log, from).slice(-5), [
      'POST /workers/scripts/app/versions 200',
      'POST /workers/scripts/app/deployments 200',
      'PATCH /workers/scripts/app/script-settings 200',
      'GET /workers/workers/app 200',
      'POST /workers/scripts/app/subdomain 200',
    ]);
    const service = (await server.call('GET', '/workers/services/app')).result;
    assert.equal(service.default_environment.script.migration_tag, 'v1');
    assert.equal(await get(), '3');
  });

  test('secrets are set, listed, kept by a deploy, and deleted', async () => {
    await project.run('secret', 'put', 'KEY', { input: 's3cret' });
    assert.equal(JSON.parse(await get('/env')).key, 's3cret');
    assert.deepEqual(JSON.parse(await project.run('secret', 'list')), [{ name: 'KEY', type: 'secret_text' }]);
    await project.run('deploy');
    assert.equal(JSON.parse(await get('/env')).key, 's3cret');
    await project.run('secret', 'bulk', { input: '{"A":"1","B":"2"}' });
    await project.run('secret', 'delete', 'A');
    assert.deepEqual(JSON.parse(await project.run('secret', 'list')).map((secret) => secret.name).sort(), ['B', 'KEY']);
    assert.equal(await get(), '4', 'the object is where it was');
  });

  test('a rename keeps id and data', async () => {
    const [before] = await namespaces();
    await project.write(counter('Counter2'), { ...binding('Counter2'), migrations: [v1, { tag: 'v2', renamed_classes: [{ from: 'Counter', to: 'Counter2' }] }] });
    const from = server.log.length;
    await project.run('deploy');
    assert.ok(requestsIn(server.log, from).includes('PUT /workers/scripts/app 200'), 'migrations go by PUT');
    const [renamed] = await namespaces();
    assert.deepEqual(renamed, { ...before, name: 'app_Counter2', class: 'Counter2' });
    assert.equal(await get(), '5');
  });

  test('what the server refuses, wrangler shows with its code, and what ran runs on', async () => {
    const migrations = [v1, { tag: 'v2', renamed_classes: [{ from: 'Counter', to: 'Counter2' }] }];
    const refused = async (source, config, pattern) => {
      await project.write(source, config);
      const { code, out } = await project.wrangler(['deploy']);
      assert.notEqual(code, 0, out);
      assert.match(out, pattern);
    };
    await refused(plain('x'), { migrations }, /does not export class 'Counter2'[^]*code: 10064/);
    await refused(counter('Counter2', 'export class Other extends DurableObject {}'), { ...binding('Other'), migrations }, /not currently configured to implement Durable Objects[^]*code: 10061/);
    await refused(counter('Counter2', 'null.x;'), { ...binding('Counter2'), migrations }, /TypeError[^]*code: 10021/);
    await refused(counter('Counter2'), { ...binding('Counter2'), migrations, kv_namespaces: [{ binding: 'KV', id: '0123456789abcdef0123456789abcdef' }] }, /'KV' of type 'kv_namespace'[^]*code: 10021/);
    await refused('addEventListener("fetch", (event) => event.respondWith(new Response("x")));', {}, /service-worker format/);
    assert.equal(await get(), '6');
  });

  test('deleted_classes takes the objects away', async () => {
    const migrations = [v1, { tag: 'v2', renamed_classes: [{ from: 'Counter', to: 'Counter2' }] }, { tag: 'v3', deleted_classes: ['Counter2'] }];
    await project.write(plain('gone'), { migrations });
    await project.run('deploy');
    assert.deepEqual(await namespaces(), []);
    // The class comes back empty under the next tag.
    await project.write(counter('Counter'), { ...binding('Counter'), migrations: [...migrations, { tag: 'v4', new_sqlite_classes: ['Counter'] }] });
    await project.run('deploy');
    assert.equal(await get(), '1');
  });

  test('a whole history of migrations replays for a new Worker', async () => {
    await project.write(counter('Last'), {
      name: 'replay',
      ...binding('Last'),
      migrations: [v1, { tag: 'v2', renamed_classes: [{ from: 'Counter', to: 'Next' }], new_classes: ['Temp'] }, { tag: 'v3', deleted_classes: ['Temp'], renamed_classes: [{ from: 'Next', to: 'Last' }] }],
    });
    await project.run('deploy');
    assert.equal(await get('/', 'replay'), '1');
    assert.deepEqual((await namespaces()).filter((ns) => ns.script === 'replay').map((ns) => ns.class), ['Last']);
  });

  test('versions are uploaded, listed, split and rolled back', async () => {
    const config = { name: 'versions' };
    const version = async (text) => {
      await project.write(plain(text), config);
      const out = await project.run('versions', 'upload', '--message', `message ${text}`, '--tag', text);
      return /Version ID: ([0-9a-f-]{36})/.exec(out)[1];
    };
    await project.write(plain('one'), config);
    const first = /Version ID: ([0-9a-f-]{36})/.exec(await project.run('deploy'))[1];
    const two = await version('two');
    const three = await version('three');
    assert.equal(await get('/', 'versions'), 'one', 'an upload does not run');
    const listed = JSON.parse(await project.run('versions', 'list', '--json'));
    assert.deepEqual(listed.map((entry) => entry.id).sort(), [first, two, three].sort());
    assert.match(await project.run('versions', 'view', two), /message two/);
    await project.run('versions', 'deploy', `${two}@30`, `${three}@70`, '-y');
    const status = JSON.parse(await project.run('deployments', 'status', '--json'));
    assert.deepEqual(status.versions, [{ version_id: two, percentage: 30 }, { version_id: three, percentage: 70 }]);
    await project.run('versions', 'deploy', `${three}@100`, '-y');
    assert.equal(await get('/', 'versions'), 'three');
    await project.run('rollback', first, '-y', '--message', 'back');
    assert.equal(await get('/', 'versions'), 'one');
    const deployments = JSON.parse(await project.run('deployments', 'list', '--json'));
    assert.equal(deployments.length, 4);
    assert.ok(deployments.some((entry) => entry.annotations['workers/message'] === 'back' && entry.annotations['workers/triggered_by'] === 'rollback'));
  });

  test('a rollback that changes secrets asks', async () => {
    await project.write(plain('one'), { name: 'versions' });
    await project.run('deploy');
    const first = JSON.parse(await project.run('deployments', 'status', '--json')).versions[0].version_id;
    await project.run('secret', 'put', 'KEY', { input: '!' });
    assert.equal(await get('/', 'versions'), 'one!');
    assert.match(await project.run('rollback', first, '-y', '--message', ''), /secrets have changed[^]*KEY/);
    assert.equal(await get('/', 'versions'), 'one');
  });

  test('versions secret stores without deploying', async () => {
    await project.write(plain('two'), { name: 'versions' });
    await project.run('deploy');
    const out = await project.run('versions', 'secret', 'put', 'KEY', { input: '?' });
    const id = /version ([0-9a-f-]{36})/.exec(out)[1];
    assert.equal(await get('/', 'versions'), 'two!', 'the value before; secrets are kept from the newest version');
    await project.run('versions', 'deploy', `${id}@100`, '-y');
    assert.equal(await get('/', 'versions'), 'two?');
  });

  test('secret put makes the Worker when there is none', async () => {
    await project.write(plain('draft'), { name: 'draft' });
    await project.run('secret', 'put', 'KEY', { input: '1' });
    await project.run('deploy');
    assert.equal(await get('/', 'draft'), 'draft1', 'and the deploy keeps it');
  });

  test('several modules, text, data and wasm', async () => {
    const { mkdir, writeFile } = await import('node:fs/promises');
    await mkdir(`${project.dir}/lib`, { recursive: true });
    await writeFile(`${project.dir}/lib/util.js`, 'import text from "./hello.txt"; export const hello = text.trim();');
    await writeFile(`${project.dir}/lib/hello.txt`, 'hello\n');
    await writeFile(`${project.dir}/add.wasm`, Buffer.from('0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b', 'hex'));
    const source = `import { hello } from './lib/util.js'; import add from './add.wasm';
      export default { fetch() { return new Response(hello + new WebAssembly.Instance(add).exports.add(2, 3)); } };`;
    await project.write(source, { name: 'modules' });
    await project.run('deploy');
    assert.equal(await get('/', 'modules'), 'hello5');
    const rules = [{ type: 'ESModule', globs: ['**/*.js'] }, { type: 'Text', globs: ['**/*.txt'] }];
    await project.write(source, { name: 'modules', no_bundle: true, find_additional_modules: true, rules: [...rules, { type: 'CompiledWasm', globs: ['**/*.wasm'] }] });
    await project.run('deploy');
    assert.equal(await get('/', 'modules'), 'hello5');
  });

  test('declared classes (exports) are provisioned, and a mistake is explained', async () => {
    const config = { name: 'declared', ...binding('Counter'), exports: { Counter: { type: 'durable-object', storage: 'sqlite' } } };
    await project.write(counter('Counter'), config);
    assert.match(await project.run('deploy'), /Created[^]*Counter/);
    assert.equal(await get('/', 'declared'), '1');
    await project.run('deploy');
    assert.equal(await get('/', 'declared'), '2');
  });

  test('an environment is a script of its own', async () => {
    await project.write(counter('Counter'), { name: 'envs', ...binding('Counter'), migrations: [v1], env: { staging: { ...binding('Counter') } } });
    await project.run('deploy', '--env', 'staging');
    assert.equal(await get('/', 'envs-staging'), '1');
    await project.run('deploy', '--env', 'staging');
    assert.equal(await get('/', 'envs-staging'), '2');
  });

  test('what is not built is refused with its name', async () => {
    await project.write(plain('cron'), { name: 'cron', triggers: { crons: ['* * * * *'] } });
    const { code, out } = await project.wrangler(['deploy']);
    assert.notEqual(code, 0);
    assert.match(out, /Cron triggers are not part of this release/);
    const tail = await project.wrangler(['tail', 'app']);
    assert.notEqual(tail.code, 0);
    assert.match(tail.out, /Tails[^]*not part of this release/);
  });

  test('a wrong token is explained', async () => {
    const { code, out } = await project.wrangler(['deploy'], { env: { CLOUDFLARE_API_TOKEN: 'wrong' } });
    assert.notEqual(code, 0);
    assert.match(out, /Authentication error[^]*10000/);
    assert.match(await project.run('whoami'), new RegExp(`${server.account}`));
  });

  test('delete asks for force where others depend on it, then everything is gone', async () => {
    await project.write(plain('client'), { name: 'client', durable_objects: { bindings: [{ name: 'C', class_name: 'Counter', script_name: 'app' }] }, services: [{ binding: 'APP', service: 'app' }] });
    await project.run('deploy');
    const references = (await server.call('GET', '/workers/scripts/app/references')).result;
    assert.equal(references.durable_objects[0].service, 'client');
    const answer = await server.call('DELETE', '/workers/services/app?force=false');
    assert.equal(answer.status, 400);
    await project.run('delete', '--name', 'app', '--force');
    assert.deepEqual((await namespaces()).filter((ns) => ns.script === 'app'), []);
    assert.equal((await server.fetch('app')).status, 404);
    assert.equal(await get('/', 'client'), 'client', 'others live on');
    await project.run('delete', '--name', 'client');
    assert.equal((await server.fetch('client')).status, 404);
  });

  test('what was deployed is there after kill -9', async () => {
    await project.write(counter('Counter'), { name: 'kept', ...binding('Counter'), migrations: [v1] });
    await project.run('deploy');
    await project.run('secret', 'put', 'KEY', { input: 'k' });
    assert.equal(await get('/', 'kept'), '1');
    await server.kill();
    await server.startAgain();
    assert.equal(await get('/', 'kept'), '2');
    assert.equal(JSON.parse(await get('/env', 'kept')).key, 'k');
    await project.run('deploy');
    assert.equal(await get('/', 'kept'), '3');
  });
});
