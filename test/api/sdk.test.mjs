// The unmodified cloudflare SDK against the real server.
import Cloudflare, { toFile } from 'cloudflare';
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Holdfast } from '../support/holdfast.mjs';

describe('cloudflare SDK', () => {
  let server;
  let client;
  let account_id;
  before(async () => {
    server = await Holdfast.start();
    client = new Cloudflare({ apiToken: server.token, baseURL: server.api, maxRetries: 0 });
    account_id = server.account;
  });
  after(() => server[Symbol.asyncDispose]());

  const esm = (source, name = 'index.js') => toFile(Buffer.from(source), name, { type: 'application/javascript+module' });
  const all = async (pages, most = 1000) => {
    const out = [];
    for await (const item of pages) {
      out.push(item);
      assert.ok(out.length <= most, 'the iteration does not end');
    }
    return out;
  };

  test('scripts.update uploads files, bindings and migrations', async () => {
    const source = `import { DurableObject } from 'cloudflare:workers'; import { text } from './lib.js';
      export class Counter extends DurableObject { async fetch() { await this.ctx.storage.put('n', 1); return new Response(text); } }
      export class Other extends DurableObject {}
      export default { fetch(request, env) { return env.COUNTER.getByName(new URL(request.url).pathname).fetch(request); } };`;
    const result = await client.workers.scripts.update('sdk', {
      account_id,
      metadata: {
        main_module: 'index.js',
        compatibility_date: '2026-01-01',
        bindings: [
          { type: 'durable_object_namespace', name: 'COUNTER', class_name: 'Counter' },
          { type: 'plain_text', name: 'PLAIN', text: 'x' },
        ],
        migrations: { new_tag: 'v2', steps: [{ new_sqlite_classes: ['First', 'Other'] }, { renamed_classes: [{ from: 'First', to: 'Counter' }] }] },
      },
      files: [await esm(source), await esm('export const text = "from a module";', 'lib.js')],
    });
    assert.equal(result.migration_tag, 'v2');
    assert.equal((await server.fetch('sdk')).text, 'from a module');
    const classes = (await all(client.durableObjects.namespaces.list({ account_id }))).map((ns) => ns.class);
    assert.deepEqual(classes.sort(), ['Counter', 'Other']);
  });

  test('objects are listed two by two, in order', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await server.fetch('sdk', `/${name}`);
    const [ns] = (await all(client.durableObjects.namespaces.list({ account_id }))).filter((each) => each.class === 'Counter');
    const objects = await all(client.durableObjects.namespaces.objects.list(ns.id, { account_id, limit: 2 }), 10);
    const ids = objects.map((object) => object.id);
    assert.equal(ids.length, 6, 'five, and the one of the test before');
    assert.deepEqual(ids, [...new Set(ids)].sort());
    assert.ok(objects.every((object) => object.hasStoredData));
  });

  test('iterating over more namespaces than a page holds ends', async () => {
    const names = Array.from({ length: 23 }, (_, i) => `C${i}`);
    const source = `import { DurableObject } from 'cloudflare:workers'; export default { fetch() { return new Response('x'); } };
      ${names.map((name) => `export class ${name} extends DurableObject {}`).join('\n')}`;
    await client.workers.scripts.update('many', {
      account_id,
      metadata: { main_module: 'index.js', migrations: { new_tag: 'v1', new_sqlite_classes: names } },
      files: [await esm(source)],
    });
    const listed = await all(client.durableObjects.namespaces.list({ account_id }));
    assert.equal(new Set(listed.map((ns) => ns.id)).size, 25);
  });

  test('versions are created, listed and deployed', async () => {
    const upload = async (text) => ({
      account_id,
      metadata: { main_module: 'index.js', annotations: { 'workers/message': text } },
      files: [await esm(`export default { fetch() { return new Response('${text}'); } };`)],
    });
    await client.workers.scripts.update('versions', await upload('one'));
    const version = await client.workers.scripts.versions.create('versions', await upload('two'));
    assert.equal((await server.fetch('versions')).text, 'one');
    await client.workers.scripts.deployments.create('versions', { account_id, strategy: 'percentage', versions: [{ version_id: version.id, percentage: 100 }] });
    assert.equal((await server.fetch('versions')).text, 'two');
    for (let i = 0; i < 12; i++) await client.workers.scripts.versions.create('versions', await upload(`more ${i}`));
    const versions = await all(client.workers.scripts.versions.list('versions', { account_id }), 100);
    assert.equal(versions.length, 14);
    assert.equal(versions[0].number, 14, 'newest first');
    const page = await client.workers.scripts.deployments.list('versions', { account_id });
    assert.equal(page.result.deployments[0].versions[0].version_id, version.id);
  });

  test('secrets and settings', async () => {
    await client.workers.scripts.secrets.update('versions', { account_id, name: 'K', text: 'x', type: 'secret_text' }).catch((error) => {
      assert.equal(error.errors[0].code, 10215, 'the newest version is not deployed');
    });
    await client.workers.scripts.secrets.update('many', { account_id, name: 'K', text: 'x', type: 'secret_text' });
    assert.deepEqual((await all(client.workers.scripts.secrets.list('many', { account_id }))).map((secret) => secret.name), ['K']);
    const settings = await client.workers.scripts.scriptAndVersionSettings.get('many', { account_id });
    assert.deepEqual(settings.bindings, [{ name: 'K', type: 'secret_text' }]);
    await client.workers.scripts.secrets.delete('K', { account_id, script_name: 'many' });
    assert.deepEqual(await all(client.workers.scripts.secrets.list('many', { account_id })), []);
  });

  test('errors are of the class of their status and carry the code', async () => {
    await assert.rejects(client.workers.scripts.delete('nobody', { account_id }), (error) => {
      assert.ok(error instanceof Cloudflare.NotFoundError);
      assert.equal(error.errors[0].code, 10007);
      return true;
    });
    await assert.rejects(client.workers.scripts.get('nobody', { account_id }), Cloudflare.NotFoundError);
    await assert.rejects(new Cloudflare({ apiToken: 'wrong', baseURL: server.api, maxRetries: 0 }).workers.scripts.list({ account_id }).then(() => {}), Cloudflare.PermissionDeniedError);
    await assert.rejects(
      client.workers.scripts.update('sdk', { account_id, metadata: { main_module: 'index.js', migrations: { old_tag: 'v1', new_tag: 'v3' } }, files: [await esm('export default {}')] }),
      (error) => error.status === 412 && error.errors[0].code === 10079,
    );
  });

  test('scripts are listed, read and deleted with their namespaces', async () => {
    assert.deepEqual((await all(client.workers.scripts.list({ account_id }))).map((script) => script.id), ['many', 'sdk', 'versions']);
    await client.workers.scripts.delete('many', { account_id });
    const listed = await all(client.durableObjects.namespaces.list({ account_id }));
    assert.deepEqual(listed.map((ns) => ns.script), ['sdk', 'sdk']);
    assert.equal((await server.fetch('many')).status, 404);
  });
});
