// The module `cloudflare:workers` (spec 2.2) and its small neighbours.

import { RpcStub } from '../actor/rpc_stub.ts';
import { RpcPromise, RpcProperty, RpcTarget } from '../actor/rpc_values.ts';
import { isDurableObjectState } from '../actor/state.ts';
import { Fetcher } from '../actor/stubs.ts';
import { flag } from '../web/compat.ts';
import { AsyncLocalStorage } from '../web/host.ts';
import { currentFrame } from '../web/io.ts';
import { promiseResolve } from '../web/primordials.ts';
import { env } from './env.ts';
import { workerExports } from './exports.ts';

export class DurableObject {
  ctx: unknown;
  env: unknown;

  constructor(ctx: unknown, bindings: unknown) {
    if (!isDurableObjectState(ctx)) {
      throw new TypeError("Failed to construct 'DurableObjectBase': constructor parameter 1 is not of type 'DurableObjectState'.");
    }
    this.ctx = ctx;
    this.env = bindings;
  }
}
Object.defineProperty(DurableObject, 'length', { value: 0, configurable: true });

// Any object will do: tests make entrypoints with a context of their own.
function requireObject(value: unknown, position: number): void {
  if ((typeof value === 'object' && value !== null) || typeof value === 'function') return;
  throw new TypeError(`Failed to construct 'WorkerEntrypoint': constructor parameter ${position} is not of type 'Object'.`);
}

export class WorkerEntrypoint {
  ctx: unknown;
  env: unknown;

  constructor(ctx: unknown, bindings: unknown) {
    requireObject(ctx, 1);
    requireObject(bindings, 2);
    this.ctx = ctx;
    this.env = bindings;
  }
}

export class WorkflowEntrypoint {
  constructor() {
    throw new Error('Workflows are not supported by Holdfast yet.');
  }
}

class ServiceStub {
  constructor() {
    throw new TypeError('Illegal constructor');
  }

  static [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Fetcher;
  }
}

// --- env and exports as imports: proxies over what is current

const overridden = new AsyncLocalStorage<{ env?: object; exports?: object }>();

function proxyOver(current: () => object): object {
  return new Proxy({}, {
    get: (_target, key) => Reflect.get(current(), key),
    has: (_target, key) => Reflect.has(current(), key),
    ownKeys: () => Reflect.ownKeys(current()),
    getOwnPropertyDescriptor: (_target, key) => {
      const descriptor = Reflect.getOwnPropertyDescriptor(current(), key);
      if (descriptor !== undefined) descriptor.configurable = true;
      return descriptor;
    },
    set: (_target, key, value) => Reflect.set(current(), key, value),
    // What a proxy says it has defined has to be configurable, for its own target has nothing of it.
    defineProperty: (_target, key, descriptor) => descriptor.configurable === true && Reflect.defineProperty(current(), key, descriptor),
    deleteProperty: (_target, key) => Reflect.deleteProperty(current(), key),
  });
}

const isImportable = !flag('disallow_importable_env');

const importedEnv = proxyOver(() => overridden.getStore()?.env ?? (isImportable ? env() : {}));
const importedExports = proxyOver(() => overridden.getStore()?.exports ?? workerExports());

function requireFunction(method: string, position: number, run: unknown): void {
  if (typeof run === 'function') return;
  throw new TypeError(`Failed to execute '${method}' on 'EnvModule': parameter ${position} is not of type 'function'.`);
}

function withEnv<T>(replacement: object, run: () => T): T {
  requireFunction('withEnv', 2, run);
  return overridden.run({ ...overridden.getStore(), env: replacement }, run);
}

function withExports<T>(replacement: object, run: () => T): T {
  requireFunction('withExports', 2, run);
  return overridden.run({ ...overridden.getStore(), exports: replacement }, run);
}

function withEnvAndExports<T>(envReplacement: object, exportsReplacement: object, run: () => T): T {
  requireFunction('withEnvAndExports', 3, run);
  return overridden.run({ env: envReplacement, exports: exportsReplacement }, run);
}

function waitUntil(promise: unknown): void {
  currentFrame().context.addTask(promiseResolve(promise));
}

function refused(what: string): () => never {
  return () => {
    throw new Error(`${what} is not supported by Holdfast yet.`);
  };
}

// Does nothing, as on Cloudflare when nobody traces.
const tracing = {
  enterSpan: <T>(_name: string, run: (span: object) => T): T => run({ setAttribute: () => {}, isTraced: false }),
};

class EmailMessage {
  readonly from: string;
  readonly to: string;
  readonly raw: unknown;

  constructor(from: string, to: string, raw: unknown) {
    this.from = from;
    this.to = to;
    this.raw = raw;
  }
}

class NonRetryableError extends Error {
  constructor(message: string, name = 'NonRetryableError') {
    super(message);
    this.name = name;
  }
}

const modules: Record<string, Record<string, unknown>> = {
  'cloudflare:workers': {
    DurableObject,
    WorkerEntrypoint,
    WorkflowEntrypoint,
    RpcTarget,
    RpcStub,
    RpcPromise,
    RpcProperty,
    ServiceStub,
    env: importedEnv,
    exports: importedExports,
    waitUntil,
    withEnv,
    withExports,
    withEnvAndExports,
    restore: Symbol('restore'),
    cache: { purge: refused('cache.purge()') },
    tracing,
    abortIsolate: refused('abortIsolate()'),
  },
  'cloudflare:sockets': { connect: refused('connect() of cloudflare:sockets') },
  'cloudflare:email': { EmailMessage },
  'cloudflare:workflows': { NonRetryableError },
};

// The exports of a `cloudflare:` module; undefined: there is none of that name.
export function cloudflareModule(specifier: string): Record<string, unknown> | undefined {
  return Object.hasOwn(modules, specifier) ? modules[specifier] : undefined;
}
