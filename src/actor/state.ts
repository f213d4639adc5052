// `ctx` of a Durable Object: DurableObjectState (spec 2.3).

import { flag } from '../web/compat.ts';
import { defineProperty, makeEnumerable, promiseReject, promiseResolve, setTag } from '../web/primordials.ts';
import type { WebSocket, WebSocketRequestResponsePair } from '../web/websocket/websocket.ts';
import { checkOptions } from './arguments.ts';
import { hibernationOf } from './hibernation.ts';
import { type DurableObjectId, parseId } from './ids.ts';
import type { Instance } from './instance.ts';
import { type DurableObjectStorage, makeStorage } from './storage.ts';

const kInternal = Symbol('internal');
const rejects = flag('capture_async_api_throws');
const hasExports = flag('enable_ctx_exports');

// What upper rooms, and facets.ts, provide.
export const actorHost: {
  exports: () => unknown;
  facets: (instance: Instance) => unknown;
  eraseFacets: (instance: Instance) => void;
} = {
  exports: () => undefined,
  facets: () => undefined,
  eraseFacets: () => {},
};

function wrongArgument(method: string, type: string): TypeError {
  return new TypeError(`Failed to execute '${method}' on 'DurableObjectState': parameter 1 is not of type '${type}'.`);
}

let isState: (value: unknown) => boolean;

export class DurableObjectState {
  readonly #instance: Instance;
  declare props: unknown;

  static {
    isState = (value) => typeof value === 'object' && value !== null && #instance in value;
  }

  constructor(token: symbol, instance: Instance) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#instance = instance;
    this.props = instance.container.props ?? {};
  }

  // Made on first look; ordinary properties from then on.
  get id(): DurableObjectId {
    const { actorClass, id: hex, name, contextId } = this.#instance.container;
    const id = (contextId as DurableObjectId | undefined) ?? parseId(actorClass.ns, hex, name);
    own(this, 'id', id);
    return id;
  }
  set id(value: unknown) {
    own(this, 'id', value);
  }

  get storage(): DurableObjectStorage {
    const storage = makeStorage(this.#instance);
    own(this, 'storage', storage);
    return storage;
  }
  set storage(value: unknown) {
    own(this, 'storage', value);
  }

  get exports(): unknown {
    const exports = hasExports ? actorHost.exports() : undefined;
    own(this, 'exports', exports);
    return exports;
  }
  set exports(value: unknown) {
    own(this, 'exports', value);
  }

  get facets(): unknown {
    const facets = actorHost.facets(this.#instance);
    own(this, 'facets', facets);
    return facets;
  }
  set facets(value: unknown) {
    own(this, 'facets', value);
  }

  get container(): undefined {
    return undefined;
  }

  waitUntil(promise: unknown): void {
    if (arguments.length === 0) throw wrongArgument('waitUntil', 'Promise');
    this.#instance.addTask(promiseResolve(promise));
  }

  blockConcurrencyWhile<T>(callback: () => T | PromiseLike<T>): Promise<T> {
    try {
      if (typeof callback !== 'function') throw wrongArgument('blockConcurrencyWhile', 'function');
      return this.#instance.blockConcurrencyWhile(callback);
    } catch (error) {
      if (!rejects) throw error;
      return promiseReject(error);
    }
  }

  abort(reason: unknown = undefined, options: { retryAlarm?: boolean } | undefined = undefined): never {
    checkOptions('DurableObjectState', 'abort', 2, 'AbortOptions', options);
    const text = reason === undefined ? 'Application called abort() to reset Durable Object.' : String(reason);
    return this.#instance.abort(text, options?.retryAlarm !== false);
  }

  acceptWebSocket(ws: WebSocket, tags: string[] | undefined = undefined): void {
    hibernationOf(this.#instance).accept(this.#instance, ws, tags);
  }

  getWebSockets(tag: string | undefined = undefined): WebSocket[] {
    return hibernationOf(this.#instance).list(tag === undefined || tag === null ? undefined : `${tag}`);
  }

  getTags(ws: WebSocket): string[] {
    return hibernationOf(this.#instance).tags(ws);
  }

  setWebSocketAutoResponse(pair: WebSocketRequestResponsePair | undefined = undefined): void {
    hibernationOf(this.#instance).setAutoResponse(pair);
  }

  getWebSocketAutoResponse(): WebSocketRequestResponsePair | null {
    return hibernationOf(this.#instance).autoResponse ?? null;
  }

  getWebSocketAutoResponseTimestamp(ws: WebSocket): Date | null {
    return hibernationOf(this.#instance).autoResponseTime(ws);
  }

  setHibernatableWebSocketEventTimeout(timeoutMs: number | undefined = undefined): void {
    hibernationOf(this.#instance).setEventTimeout(timeoutMs);
  }

  getHibernatableWebSocketEventTimeout(): number | null {
    return hibernationOf(this.#instance).eventTimeoutMs ?? null;
  }
}
setTag(DurableObjectState.prototype, 'DurableObjectState');
const methods = [
  'waitUntil', 'blockConcurrencyWhile', 'abort', 'acceptWebSocket', 'getWebSockets', 'getTags', 'setWebSocketAutoResponse',
  'getWebSocketAutoResponse', 'getWebSocketAutoResponseTimestamp', 'setHibernatableWebSocketEventTimeout',
  'getHibernatableWebSocketEventTimeout',
] as const;
makeEnumerable(DurableObjectState.prototype, methods);
for (const name of methods) defineProperty(DurableObjectState.prototype[name], 'length', { value: 0, configurable: true });

function own(state: DurableObjectState, name: string, value: unknown): void {
  defineProperty(state, name, { value, writable: true, enumerable: true, configurable: true });
}

export function makeState(instance: Instance): DurableObjectState {
  return new DurableObjectState(kInternal, instance);
}

export function isDurableObjectState(value: unknown): boolean {
  return isState(value);
}
