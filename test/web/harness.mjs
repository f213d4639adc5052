// Runs src/web under plain Node with a small, honest stand-in for the C++ side: turns, pipes, exchanges, the log.
//
// The bundle is made like the product's (tools/bundle.mjs) and evaluated in this process, so `install: true` replaces
// the test's own globals: tests keep what they need of Node from their imports.
import { AsyncLocalStorage } from 'node:async_hooks';
import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';
import { deserialize, serialize } from 'node:v8';

const sourceDir = fileURLToPath(new URL('../../src/web', import.meta.url));
const modules = {
  io: 'io.ts', host: 'host.ts', compat: 'compat.ts', compatTable: 'compat_table.ts', errors: 'errors.ts', headers: 'headers.ts', body: 'body.ts',
  request: 'request.ts', response: 'response.ts', exchange: 'exchange.ts', fetch: 'fetch.ts', crypto: 'crypto.ts',
  streams: 'streams.ts', timers: 'timers.ts', websocket: 'websocket/websocket.ts', globals: 'globals.ts',
  nodeModules: 'node_modules.ts', sourceMaps: 'source_maps.ts', console: 'console.ts', report: 'report.ts',
};
let bundled;
// What a turn enters does not outlive it, as under C++.
const outside = AsyncLocalStorage.snapshot();

export async function bundleText() {
  if (bundled !== undefined) return bundled;
  const contents = Object.entries(modules)
    .map(([name, path]) => `export * as ${name} from './${path}';`)
    .join('\n');
  const result = await build({
    stdin: { contents, resolveDir: sourceDir, loader: 'ts' },
    write: false,
    bundle: true,
    format: 'iife',
    globalName: '__holdfastRuntime',
    banner: { js: '(function (__holdfastNative, __holdfastRequire, __holdfastConfig) {"use strict";' },
    footer: { js: 'return __holdfastRuntime;})' },
    target: 'esnext',
    platform: 'neutral',
    charset: 'ascii',
    logLevel: 'warning',
  });
  bundled = result.outputFiles[0].text;
  return bundled;
}

const realSetImmediate = setImmediate;
const realSetTimeout = setTimeout;
export const tick = () => new Promise((resolve) => realSetImmediate(resolve));
export const sleep = (ms) => new Promise((resolve) => realSetTimeout(resolve, ms));

// The C++ side. `runtime()` yields the bundle's exports once they exist.
export class TestNative {
  logs = [];
  exceptions = [];
  sent = []; // what left through exchanges: [function, ...arguments]
  room = true; // what respondWrite answers
  bodies = new Map(); // exchange -> chunks that requestRead hands out
  cancelled = [];
  #runtime;
  #pumping = false;
  #pipes = {}; // end -> { peer, attached, waiting, dead, unacked }
  #next = 1;

  constructor(runtime) {
    this.#runtime = runtime;
  }

  wake() {
    if (this.#pumping) return;
    this.#pumping = true;
    realSetImmediate(() => this.#pump());
  }

  async #pump() {
    while (outside(() => this.#runtime().io.runTurn())) await tick();
    this.#pumping = false;
  }

  log(level, text, where) {
    this.logs[this.logs.length] = { level, text, where }; // tests patch Array.prototype
  }
  logException(event, name, message, stack, where) {
    this.exceptions[this.exceptions.length] = { event, name, message, stack, where };
  }

  serialize(value) {
    const bytes = serialize(value);
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  }
  deserialize(bytes) {
    return deserialize(new Uint8Array(bytes));
  }
  clone(value) {
    return structuredClone(value);
  }

  pipeCreate() {
    const a = this.#next++;
    const b = this.#next++;
    this.#pipes[a] = { peer: b, attached: false, waiting: [], dead: false, unacked: 0 };
    this.#pipes[b] = { peer: a, attached: false, waiting: [], dead: false, unacked: 0 };
    return [a, b];
  }
  pipe(end) {
    return this.#pipes[end];
  }
  pipeAttach(end) {
    const side = this.#pipes[end];
    side.attached = true;
    const { waiting } = side;
    side.waiting = [];
    for (let i = 0; i < waiting.length; i++) this.#deliver(end, waiting[i]);
  }
  #deliver(end, event) {
    realSetImmediate(() => this.#runtime().websocket.socketEvent(end, ...event));
  }
  // What the peer of `end`'s peer gets: events for `end`.
  arrive(end, event) {
    const side = this.#pipes[end];
    if (side.dead) return false;
    if (event[0] === 'text' || event[0] === 'binary') side.unacked++;
    if (side.attached) this.#deliver(end, event);
    else side.waiting.push(event);
    return true;
  }
  pipeSend(end, data) {
    const kept = typeof data === 'string' ? data : new Uint8Array(data).slice().buffer;
    return this.arrive(this.#pipes[end].peer, [typeof data === 'string' ? 'text' : 'binary', kept, 0, '']);
  }
  pipeClose(end, code, reason) {
    this.arrive(this.#pipes[end].peer, ['close', undefined, code, reason]);
  }
  pipeAbort(end) {
    const side = this.#pipes[end];
    side.dead = true;
    this.arrive(side.peer, ['gone', undefined, 0, '']);
  }
  pipeAck(end) {
    this.#pipes[end].unacked--;
  }

  respond(exchange, status, statusText, headers, body) {
    this.sent.push(['respond', exchange, status, statusText, headers, body]);
  }
  respondStart(...args) {
    this.sent.push(['start', ...args]);
  }
  respondWrite(exchange, chunk) {
    this.sent.push(['write', exchange, Buffer.from(chunk).toString()]);
    return this.room;
  }
  respondEnd(exchange) {
    this.sent.push(['end', exchange]);
  }
  respondAbort(exchange) {
    this.sent.push(['abort', exchange]);
  }
  respondUpgrade(exchange, headers, end) {
    this.sent.push(['upgrade', exchange, headers, end]);
  }
  respondError(exchange, overloaded) {
    this.sent.push(['error', exchange, overloaded]);
  }
  requestRead(exchange) {
    const chunk = this.bodies.get(exchange)?.shift();
    if (chunk === undefined) return;
    const bytes = typeof chunk === 'string' ? new TextEncoder().encode(chunk).buffer : chunk;
    const answer = chunk instanceof Error ? chunk.message : bytes;
    realSetImmediate(() => this.#runtime().exchange.requestChunk(exchange, answer));
  }
  requestCancel(exchange) {
    this.cancelled.push(exchange);
  }
}

export async function load({ date = '2026-08-20', flags = [], bindings = [], install = false } = {}) {
  const text = await bundleText();
  let runtime;
  const native = new TestNative(() => runtime);
  const config = {
    address: 1, shard: 0, shardCount: 1, script: 'test', versionId: '', versionTag: '', versionCreatedOn: '',
    compatibilityDate: date, compatibilityFlags: flags, bindings, namespaces: [], secondMs: 1000, checking: false,
  };
  const create = (0, eval)(text);
  runtime = create(native, createRequire(import.meta.url), config);
  const { IoContext, enqueueTurn, stopResources } = runtime.io;

  class TestContext extends IoContext {
    io = 0;
    ended = false;
    gate = undefined; // a promise: output waits for it
    tasks = [];
    constructor(where = '') {
      super();
      this.where = where;
    }
    enter(section, run) {
      if (this.ended) return;
      enqueueTurn({ context: this, section }, () => {
        if (!this.ended) run();
      });
    }
    waitForOutput() {
      return this.gate;
    }
    addTask(promise) {
      this.tasks.push(promise);
    }
    beginIo() {
      this.io++;
    }
    endIo() {
      this.io--;
    }
    end() {
      this.ended = true;
      stopResources(this);
    }
    // Runs `body` as an event; resolves with what it returns. While its code runs, `inTurn` is true.
    run(body) {
      return new Promise((resolve, reject) => {
        this.enter(null, () => {
          try {
            resolve(body());
          } catch (error) {
            reject(error);
          }
        });
      });
    }
  }

  if (install) runtime.globals.installGlobals();
  return { ...runtime, native, TestContext, context: new TestContext() };
}
