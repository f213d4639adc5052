// The module `cloudflare:workers` (spec 2.2) and its small neighbours.

import { RpcPromise, RpcProperty, RpcStub, RpcTarget } from '../actor/rpc_values.ts';
import { isDurableObjectState } from '../actor/state.ts';
import { Fetcher } from '../actor/stubs.ts';
import { flag } from '../web/compat.ts';
import { AsyncLocalStorage } from '../web/host.ts';
import { currentFrame } from '../web/io.ts';
import { promiseResolve } from '../web/primordials.ts';
import { isExecutionContext } from './context.ts';
import { env } from './env.ts';
import { workerExports } from './exports.ts';

export class DurableObject {
  ctx: unknown;
  env: unknown;

  constructor(ctx: unknown, bindings: unknown) {
    if (!isDurableObjectState(ctx)) {
      throw new TypeError("Failed to construct 'DurableObject': constructor parameter 1 is not of type 'DurableObjectState'.");
    }
    this.ctx = ctx;
    this.env = bindings;
  }
}
Object.defineProperty(DurableObject, 'length', { value: 0, configurable: true });

export class WorkerEntrypoint {
  ctx: unknown;
  env: unknown;

  constructor(ctx: unknown, bindings: unknown) {
    if (!isExecutionContext(ctx)) {
      throw new TypeError("Failed to construct 'WorkerEntrypoint': constructor parameter 1 is not of type 'ExecutionContext'.");
    }
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
  static [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Fetcher;
  }
}

// --- env and exports as imports: proxies over what is current

const overridden = new AsyncLocalStorage<{ env?: object; exports?: object }>();

function proxyOver(current: () => object): object {
  const refuse = (): boolean => false;
  return new Proxy({}, {
    get: (_target, key) => Reflect.get(current(), key),
    has: (_target, key) => Reflect.has(current(), key),
    ownKeys: () => Reflect.ownKeys(current()),
    getOwnPropertyDescriptor: (_target, key) => {
      const descriptor = Reflect.getOwnPropertyDescriptor(current(), key);
      if (descriptor !== undefined) descriptor.configurable = true;
      return descriptor;
    },
    set: refuse,
    defineProperty: refuse,
    deleteProperty: refuse,
  });
}

const isImportable = !flag('disallow_importable_env');

const importedEnv = proxyOver(() => overridden.getStore()?.env ?? (isImportable ? env() : {}));
const importedExports = proxyOver(() => overridden.getStore()?.exports ?? workerExports());

function withEnv<T>(replacement: object, run: () => T): T {
  return overridden.run({ ...overridden.getStore(), env: replacement }, run);
}

function withExports<T>(replacement: object, run: () => T): T {
  return overridden.run({ ...overridden.getStore(), exports: replacement }, run);
}

function withEnvAndExports<T>(envReplacement: object, exportsReplacement: object, run: () => T): T {
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
