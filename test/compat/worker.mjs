// The Worker that both runtimes run. Each case is an async function that returns something JSON can hold; what it threw
// becomes {error: {name, message, ...}}. A case that needs an object gets one of its own, by name.
import * as workers from 'cloudflare:workers';
import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers';
import { cases } from './cases.mjs';
import { serveClient } from './gate_worker.mjs';
import * as rpc from './rpc_worker.mjs';

export * from './rpc_worker.mjs';

// What case files cannot import, because the runner reads them as well.
const lib = { ...workers, ...rpc };

export * from './gate_worker.mjs';

export function describe(error) {
  if (!(error instanceof Error)) return { thrown: String(error) };
  const out = { name: error.name, message: error.message };
  for (const key of ['remote', 'retryable', 'overloaded', 'durableObjectReset']) {
    if (error[key] !== undefined) out[key] = error[key];
  }
  return out;
}

// Runs `f` and returns its value or its error: for cases about errors.
export async function attempt(f) {
  try {
    return { value: await f() };
  } catch (error) {
    return { error: describe(error) };
  }
}

export class Subject extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.log = [];
    this.state = ctx;
  }
  // Runs a case's inner function inside the object: `part` names one in cases.mjs.
  async run(name, part, ...args) {
    return await cases[name][part].call(this, this.ctx, ...args);
  }
  async tryRun(name, part, ...args) {
    return await attempt(() => cases[name][part].call(this, this.ctx, ...args));
  }
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === '/throw') throw new RangeError('thrown by fetch');
    if (url.pathname === '/echo') return new Response(request.body, { headers: { 'x-method': request.method } });
    if (url.pathname === '/redirect') return Response.redirect(new URL('/landed', url).href, 302);
    if (url.pathname === '/name') return Response.json({ name: this.ctx.id.name ?? null, id: this.ctx.id.toString().length });
    return Response.json({ method: request.method, url: request.url, header: request.headers.get('x-test') });
  }
  add(a, b) {
    return a + b;
  }
  echo(value) {
    return value;
  }
  fail(kind) {
    if (kind === 'string') throw 'just text';
    const error = new { Error, TypeError, RangeError, SyntaxError, ReferenceError }[kind](`a ${kind}`);
    error.extra = 42;
    throw error;
  }
  get property() {
    return 'a property';
  }
  arrow = () => 1;
  own = 5;
  async alarm(info) {
    const fired = (await this.ctx.storage.get('fired')) ?? [];
    fired.push({ retryCount: info.retryCount, isRetry: info.isRetry, pending: await this.ctx.storage.getAlarm() });
    await this.ctx.storage.put('fired', fired);
    if (await this.ctx.storage.get('again')) {
      await this.ctx.storage.delete('again');
      await this.ctx.storage.setAlarm(Date.now() + 10);
    }
  }
}

export class Plain {
  constructor(state, env) {
    this.state = state;
  }
  fetch() {
    return new Response('plain');
  }
}

export class Fragile extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      if (await ctx.storage.get('poison')) throw new TypeError('poisoned constructor');
      this.ready = true;
    });
  }
  isReady() {
    return this.ready;
  }
  async poison() {
    await this.ctx.storage.put('poison', true);
  }
  abortNow() {
    this.ctx.abort('told to abort');
  }
  abortAfterPut() {
    this.ctx.storage.put('lost', 1);
    this.ctx.abort('aborted after put');
  }
  putThenThrow() {
    this.ctx.storage.put('kept', 1);
    throw new Error('after put');
  }
  read(key) {
    return this.ctx.storage.get(key);
  }
  async blockAndThrow() {
    await this.ctx.blockConcurrencyWhile(async () => {
      throw new RangeError('inside the section');
    });
  }
}

export class Other extends DurableObject {
  hello() {
    return 'other';
  }
}

export class Named extends WorkerEntrypoint {
  greet(name) {
    return `hello ${name}`;
  }
}

export default {
  async fetch(request, env, ctx) {
    const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
    const test = cases[name];
    if (test === undefined) return new Response('no such case', { status: 404 });
    // Of a case that has a client on the network, an object is on the other side.
    if (test.client !== undefined) return serveClient(test, env, name, request);
    const object = env.RPC.getByName(name);
    const call = (part, ...args) => object.run(name, part, ...args);
    const result = await attempt(() => test.main({ env, ctx, attempt, stub: env.SUBJECT.getByName(name), object, call, lib, name, request }));
    return new Response(JSON.stringify(result, (key, value) => (value === undefined ? '<undefined>' : value)));
  },
};
