// Runs Workers on src/actor and src/worker under plain Node. Each isolate is a thread (isolate_worker.mjs); this side plays
// the network: requests, WebSocket clients, messages between isolates, alarms.
import { build } from 'esbuild';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const entry = fileURLToPath(new URL('../../src/worker/runtime.ts', import.meta.url));
let bundled;

export async function bundleText() {
  bundled ??= build({
    entryPoints: [entry],
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
  }).then((result) => result.outputFiles[0].text);
  return bundled;
}

// The runtime without an input gate: everything enters an object at once. For tests of tests.
function withoutGate(bundle) {
  const gated = /(\n    enter\(section, run\) \{\n\s+if \(this\.ended\) return;)(\n\s+if \(section === null\) this\.root\.enter\(run\);)/;
  if (!gated.test(bundle)) throw new Error('Instance.enter looks otherwise: mend withoutGate()');
  return bundle.replace(gated, '$1 return enqueueTurn(this.root.frame, run);$2');
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves when `condition` holds; fails after `limitMs`. */
export async function until(condition, what = 'condition', limitMs = 5000) {
  const end = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`timed out: ${what}`);
    await sleep(2);
  }
}

class Client {
  messages = [];
  closed = undefined;
  acks = 0;
  constructor(isolate, end) {
    this.isolate = isolate;
    this.end = end;
  }
  send(data) {
    this.isolate.tell({ kind: 'socket', end: this.end, event: [typeof data === 'string' ? 'text' : 'binary', data, 0, ''] });
  }
  close(code = 1000, reason = '') {
    this.isolate.tell({ kind: 'socket', end: this.end, event: ['close', undefined, code, reason] });
  }
  drop() {
    this.isolate.tell({ kind: 'cut', end: this.end });
  }
  async received(count) {
    await until(() => this.messages.length >= count, `${count} messages, got ${JSON.stringify(this.messages)}`);
    return this.messages;
  }
}

export class Isolate {
  exceptions = [];
  logs = [];
  alarms = []; // what alarmDone said: [id, outcome]
  released = [];
  handedOver = [];
  clients = new Map();
  #next = 1;
  #exchanges = new Map();
  #asks = new Map();

  static async start(group, { main, config, seconds = 1, ungated = false }) {
    const isolate = new Isolate();
    isolate.group = group;
    isolate.config = config;
    isolate.worker = new Worker(new URL('./isolate_worker.mjs', import.meta.url), {
      workerData: { bundle: ungated ? withoutGate(await bundleText()) : await bundleText(), main: main.toString(), config, shardOfScript: group.scripts, seconds },
    });
    isolate.worker.on('message', (message) => isolate.#on(message));
    const ready = new Promise((resolve, reject) => {
      isolate.onReady = resolve;
      isolate.worker.once('error', reject);
    });
    isolate.reports = await ready;
    return isolate;
  }

  tell(command) {
    this.worker.postMessage(command);
  }

  ask(kind, more = {}) {
    const ask = this.#next++;
    return new Promise((resolve) => {
      this.#asks.set(ask, resolve);
      this.tell({ kind, ask, ...more });
    });
  }

  #on(message) {
    const exchange = this.#exchanges.get(message.exchange);
    switch (message.kind) {
      case 'ready': return this.onReady(message.reports);
      case 'log': return void this.logs.push(message);
      case 'exception': return void this.exceptions.push(message);
      case 'answer': return this.#asks.get(message.ask)(message.value);
      case 'alarmDone': return void this.alarms.push([message.id, message.outcome]);
      case 'handedOver': return void this.handedOver.push(message);
      case 'released': return void this.released.push(message.id);
      case 'respond': return exchange.resolve({ status: message.status, headers: message.headers, text: message.body });
      case 'start': exchange.response = { status: message.status, headers: message.headers, text: '', chunks: [] }; return undefined;
      case 'write': exchange.response.text += message.body; exchange.response.chunks.push(message.body); return undefined;
      case 'end': return exchange.resolve(exchange.response);
      case 'aborted': return exchange.resolve({ ...exchange.response, aborted: true });
      case 'error': return exchange.resolve({ status: 500, error: true, overloaded: message.overloaded });
      case 'upgrade': {
        const client = new Client(this, message.end);
        this.clients.set(message.end, client);
        return exchange.resolve({ status: 101, client });
      }
      case 'socket': {
        const client = this.clients.get(message.end);
        const [kind, data, code, reason] = message.event;
        if (kind === 'text' || kind === 'binary') client.messages.push(data);
        else client.closed = { kind, code, reason };
        return undefined;
      }
      case 'ack': {
        const client = this.clients.get(message.end);
        if (client !== undefined) client.acks++;
        return undefined;
      }
      case 'send': return this.group.isolates.find(({ config }) => config.address === message.to)?.tell({ kind: 'message', from: message.from, message: message.message });
      case 'sendToActor': {
        const target = this.group.isolates.find(({ config }) => config.shard === message.shard && config.namespaces.some(({ ns }) => ns === message.ns));
        return target.tell({ ...message, kind: 'actorMessage' });
      }
    }
    return undefined;
  }

  /** An HTTP request from outside. Resolves with { status, headers, text } or { status: 101, client }. */
  fetch(path, { method = 'GET', headers = {}, body, upgrade = false } = {}) {
    const exchange = this.#next++;
    const flat = Object.entries(headers).flat();
    if (upgrade) flat.push('Upgrade', 'websocket', 'Connection', 'Upgrade');
    const chunks = body === undefined ? [] : [body].flat();
    return new Promise((resolve) => {
      this.#exchanges.set(exchange, { resolve });
      this.tell({ kind: 'fetch', exchange, method, url: `http://test${path}`, headers: flat, bodyLength: body === undefined ? -1 : -2, upgrade, chunks });
    });
  }

  /** The JSON that the Worker answers with. */
  async json(path, options) {
    const response = await this.fetch(path, options);
    if (response.text === undefined) throw new Error(`${path}: ${JSON.stringify([response, this.exceptions])}`);
    return JSON.parse(response.text);
  }

  hold(on = true) {
    this.tell({ kind: 'hold', on });
  }
}

const namespaces = (classes) => Object.entries(classes).map(([className, useSqlite]) => ({ ns: `ns${className}`.padEnd(32, '0'), className, useSqlite }));

/**
 * Starts one isolate (or several shards of it) that runs `main`: a function of the exports of `cloudflare:workers` that
 * returns a module namespace. `classes`: class name -> uses SQLite; each gets a binding of its name.
 */
export async function start(main, { classes = {}, shards = 1, bindings = [], date = '2026-11-01', flags = [], seconds = 1, others = {}, ungated = false } = {}) {
  const group = { isolates: [], scripts: {} };
  const all = [['main', main, classes, bindings], ...Object.entries(others).map(([name, other]) => [name, other, {}, []])];
  all.forEach(([name], index) => (group.scripts[name] = 256 * (index + 1)));
  for (const [name, source, owned, extra] of all) {
    const own = namespaces(owned);
    for (let shard = 0; shard < (name === 'main' ? shards : 1); shard++) {
      const config = {
        address: group.scripts[name] + shard, shard, shardCount: shards, script: name, versionId: 'v1', versionTag: '', versionCreatedOn: '',
        compatibilityDate: date, compatibilityFlags: flags, namespaces: own, secondMs: 1000, checking: false,
        bindings: [...own.map(({ ns, className }) => ({ name: className, kind: 'durable_object', ns, className, script: name })), ...extra],
      };
      group.isolates.push(await Isolate.start(group, { main: source, config, seconds, ungated }));
    }
  }
  const [isolate] = group.isolates;
  isolate.ns = (className) => isolate.config.namespaces.find((entry) => entry.className === className).ns;
  isolate.stop = () => Promise.all(group.isolates.map(async ({ worker }) => {
    const exit = once(worker, 'exit');
    await worker.terminate();
    await exit;
  }));
  return isolate;
}
