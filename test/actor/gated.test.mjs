// Whatever may resume an object's code waits while a section holds its input gate (spec 3.1). For each row of
// gated_ops.mjs: an object starts the operation, and a section begins; a twin of it starts the same and is free. The
// section ends after the twin's operation has. What comes back must come after it.
//
// That a row means something is shown by a runtime whose gate has been taken out: there each comes back too early.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { request as httpRequest } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { Holdfast } from '../support/holdfast.mjs';
import { operations } from './gated_ops.mjs';
import { start } from './harness.mjs';

// `more`: source of what is given to the operations besides.
const classes = (more) => `
  const operations = ${operations.toString()};
  class Other extends DurableObject {
    echo(x) { return x; }
    boom() { throw new Error('boom'); }
    get value() { return 1; }
    async fetch(request) {
      if (request.url.endsWith('/read')) return new Response(await request.text());
      if (!request.url.endsWith('/slow')) return new Response('x');
      return new Response(new ReadableStream({ async pull(c) { await scheduler.wait(5); c.enqueue(new Uint8Array(1)); c.close(); } }, { highWaterMark: 0 }));
    }
  }
  const finished = new Set();
  class Subject extends DurableObject {
    operations(origin, sockets, request) {
      const { env } = this;
      return operations({ origin, sockets, request, other: env.Other.getByName('other'), ${more} });
    }
    // { early, late }: what came back before and after the end of the section.
    async held(name, origin, sockets, request) {
      const [first, second] = this.operations(origin, sockets, request).table[name];
      const prepared = second && (await first());
      const log = [];
      const back = Promise.resolve((second ?? first)(prepared)).then(() => log.push('back'), (error) => log.push(String(error)));
      await this.ctx.blockConcurrencyWhile(async () => {
        log.push('in');
        for (let i = 0; i < 2 || !finished.has(name); i++) await scheduler.wait(15);
        log.push('out');
      });
      await back;
      return log;
    }
    async free(name, origin, sockets) {
      const [first, second] = this.operations(origin, sockets).table[name];
      const prepared = second && (await first());
      await Promise.resolve((second ?? first)(prepared)).catch(() => {});
      finished.add(name);
    }
    names(origin, sockets) { return Object.keys(this.operations(origin, sockets).table); }
    async refused() {
      const out = {};
      for (const [name, run] of Object.entries(this.operations().refused)) out[name] = await Promise.resolve().then(run).then(() => 'worked', (error) => error.name + ': ' + error.message);
      return out;
    }
    async fetch(request) {
      return Response.json(await this.held('request body chunk', '', '', request));
    }
  }
  const handler = {
    async fetch(request, env) {
      if (request.method === 'PUT') {
        setTimeout(() => finished.add('request body chunk'), 150);
        return env.Subject.getByName('body').fetch(request);
      }
      const { searchParams } = new URL(request.url);
      const [method, ...args] = JSON.parse(searchParams.get('call'));
      const subject = env.Subject.getByName(method + args[0]);
      if (method !== 'held') return Response.json((await subject[method](...args)) ?? null);
      const [log] = await Promise.all([subject.held(...args), env.Subject.getByName('free' + args[0]).free(...args)]);
      return Response.json(log);
    },
  };`;

const inOrder = ['in', 'out', 'back'];
// Modules are loaded already: what imports one goes on in the turn that asked.
const inTurn = new Set(['import()']);
const sameTurn = ['back', 'in', 'out'];

let origin;
let sockets;
const closing = [];
before(async () => {
  const server = createServer((request, response) => {
    if (request.url === '/hang') return;
    if (request.url !== '/slow') return void response.end('x');
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    setTimeout(() => response.end('{"a":1}'), 10);
  });
  const echo = new WebSocketServer({ server });
  echo.on('connection', (ws) => ws.on('message', (data) => ws.send(data.toString())));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${server.address().port}`;
  sockets = `ws://127.0.0.1:${server.address().port}`;
  closing.push(() => {
    echo.clients.forEach((client) => client.terminate());
    server.close();
    server.closeAllConnections();
  });
});
after(() => closing.forEach((close) => close()));

// Every operation at once, each on objects of its own.
async function heldAll(json, { withSockets }) {
  const call = (...parts) => json(`/?call=${encodeURIComponent(JSON.stringify(parts))}`);
  const given = [origin, withSockets ? sockets : ''];
  const names = await call('names', ...given);
  const logs = {};
  for (let i = 0; i < names.length; i += 12) {
    await Promise.all(names.slice(i, i + 12).map(async (name) => (logs[name] = await call('held', name, ...given))));
  }
  return logs;
}

function wrong(logs, expected) {
  return Object.entries(logs).filter(([name, log]) => JSON.stringify(log) !== JSON.stringify(inTurn.has(name) ? sameTurn : expected));
}

describe('the runtime under plain Node', { timeout: 120_000 }, () => {
  const main = { toString: () => `(({ DurableObject }) => { ${classes("load: () => import('node:path'), collect: undefined,")} return { Subject, Other, default: handler }; })` };
  const options = { classes: { Subject: true, Other: true }, flags: ['nodejs_compat'] };

  test('every operation comes back after the section', async () => {
    const isolate = await start(main, options);
    try {
      const logs = await heldAll((path) => isolate.json(path), { withSockets: false });
      assert.deepEqual(wrong(logs, inOrder), []);
      assert.ok(Object.keys(logs).length > 80, `${Object.keys(logs).length} operations`);
    } finally {
      await isolate.stop();
    }
  });

  test('without the gate every one of them comes back before', async () => {
    const isolate = await start(main, { ...options, ungated: true });
    try {
      const logs = await heldAll((path) => isolate.json(path), { withSockets: false });
      assert.deepEqual(Object.entries(logs).filter(([, log]) => log.indexOf('back') > log.indexOf('out')), []);
    } finally {
      await isolate.stop();
    }
  });
});

describe('a real server', { timeout: 120_000 }, () => {
  let server;
  before(async () => {
    const source = `import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers';
      ${classes("load: () => import('./lazy.mjs'), service: env.SERVICE,")}
      export class Service extends WorkerEntrypoint { fetch() { return new Response('x'); } echo(x) { return x; } }
      export { Subject, Other };
      export default handler;`;
    server = await Holdfast.start({ args: ['--shards', '1'] });
    await server.deploy('gated', { 'worker.mjs': source, 'lazy.mjs': 'export default await Promise.resolve(1);' }, {
      bindings: [
        { type: 'durable_object_namespace', name: 'Subject', class_name: 'Subject' },
        { type: 'durable_object_namespace', name: 'Other', class_name: 'Other' },
        { type: 'service', name: 'SERVICE', service: 'gated', entrypoint: 'Service' },
      ],
      migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Subject', 'Other'] }] },
      flags: ['nodejs_compat'],
      date: '2026-11-01',
    });
  });
  after(() => server[Symbol.asyncDispose]());
  const json = async (path) => {
    const answer = await server.fetch('gated', path);
    assert.equal(answer.status, 200, `${decodeURIComponent(path)} ${answer.text} ${server.log.slice(-1500)}`);
    return answer.json();
  };

  test('every operation comes back after the section', async () => {
    const logs = await heldAll(json, { withSockets: true });
    assert.deepEqual(wrong(logs, inOrder), []);
    assert.ok(Object.keys(logs).length > 90, `${Object.keys(logs).length} operations`);
  });

  test('a chunk of the request body comes back after the section', async () => {
    const request = httpRequest({ host: '127.0.0.1', port: server.port, method: 'PUT', path: '/', headers: { host: 'gated.test' } });
    request.flushHeaders();
    setTimeout(() => request.end('late'), 30);
    const [response] = await once(request, 'response');
    const chunks = [];
    for await (const chunk of response) chunks.push(chunk);
    assert.deepEqual(JSON.parse(Buffer.concat(chunks)), inOrder);
  });

  test('what would come back by another way cannot be started', async () => {
    const refused = await json(`/?call=${encodeURIComponent('["refused"]')}`);
    const wasm = (name) => `CompileError: WebAssembly.${name}(): Wasm code generation disallowed by embedder`;
    assert.deepEqual(refused, {
      'WebAssembly.compile': wasm('compile'),
      'WebAssembly.instantiate': wasm('instantiate'),
      'WebAssembly.Module': wasm('Module'),
      'structuredClone of a stream': 'TypeError: Object is not transferable',
      'postMessage of a stream': 'TypeError: Object is not transferable',
      'zlib.createGzip': 'Error: node:zlib.createGzip (use CompressionStream or DecompressionStream) is not supported by Holdfast.',
      'util.debounce': 'Error: node:util.debounce is not supported by Holdfast.',
    });
  });
});
