// RpcStub: what user code holds of something that was passed by reference (spec 9.1, 9.4).
//
// A stub belongs to the context that got it and is disposed with it at the latest. Behind the proxy stands a handler,
// which properties of the stub keep as well; the context keeps only its state. So a stub that an object has lost without
// disposing it can still be let go.

import { type ContextResource, type IoContext, addResource, currentFrame, removeResource } from '../web/io.ts';
import { SafeWeakMap, makeEnumerable } from '../web/primordials.ts';
import { Instance } from './instance.ts';
import { ownReachable, stubTest } from './rpc.ts';
import { type Channel, type Dispatcher, type Outgoing, isIndex, isRemoteName, makeProperty, startCall } from './rpc_outgoing.ts';
import { Exported, type Target } from './rpc_target.ts';
import { callable, stubNames } from './rpc_values.ts';

const kDisposed = 'RPC stub used after being disposed.';
const kNotWrappable = 'RpcStubs can only wrap plain objects, functions, and RpcTarget derivatives.';

class StubState implements ContextResource {
  target: Target | undefined;
  readonly context: IoContext;
  // The context is kept while the stub is: what a caller gave to an entrypoint that goes on using it.
  readonly #holds: boolean;
  readonly #onBroken: (() => void) | undefined;

  constructor(target: Target, context: IoContext, holds: boolean) {
    this.target = target;
    this.context = context;
    this.#holds = holds && target.broken === undefined && !context.isOver;
    if (context.isOver) {
      this.stop();
      return;
    }
    addResource(context, this);
    if (!this.#holds) return;
    context.hold();
    this.#onBroken = () => context.release();
    target.watch(this.#onBroken);
  }

  dispose(): void {
    const { target } = this;
    if (target === undefined) return;
    this.target = undefined;
    lost.unregister(this);
    removeResource(this.context, this);
    if (this.#holds && target.broken === undefined) {
      target.unwatch(this.#onBroken!);
      this.context.release();
    }
    target.release();
  }

  // The context has ended.
  stop(): void {
    const { target } = this;
    this.target = undefined;
    if (target === undefined) return;
    if (this.#onBroken !== undefined) target.unwatch(this.#onBroken);
    target.release();
  }
}

// The last resort. Of a request nothing is let go before it ends, so that collecting garbage cannot be observed.
const lost = new FinalizationRegistry<StubState>((state) => state.dispose());

let handlerOf: (value: unknown) => StubHandler | undefined;

export class StubHandler implements ProxyHandler<Function>, Channel {
  lastName: string | undefined = undefined;
  lastProperty: unknown = undefined;
  readonly #state: StubState;
  // What user code has put on the stub.
  #own: Record<PropertyKey, unknown> | undefined;

  constructor(state: StubState) {
    this.#state = state;
  }

  get target(): Target | undefined {
    return this.#state.target;
  }

  watchLoss(): void {
    if (this.#state.context instanceof Instance) lost.register(this, this.#state, this.#state);
  }

  dispatch(call: Outgoing): void {
    const { target } = this.#state;
    if (target === undefined) call.threw(new Error(kDisposed));
    else target.dispatch(call);
  }

  // The stub may be disposed before the call leaves.
  capture(): Dispatcher {
    const { target } = this.#state;
    if (target === undefined) return this;
    target.addRef();
    return {
      dispatch: (call) => {
        target.dispatch(call);
        target.release();
      },
    };
  }

  dispose(): void {
    this.#state.dispose();
  }

  // --- ProxyHandler

  apply(_target: Function, _self: unknown, args: unknown[]): unknown {
    return startCall(this, [], args);
  }

  construct(): never {
    throw new TypeError('Illegal constructor');
  }

  get(_target: Function, key: PropertyKey, stub: unknown): unknown {
    if (this.#own !== undefined && Object.hasOwn(this.#own, key)) return this.#own[key];
    if (typeof key === 'symbol' || key in RpcStub.prototype) return Reflect.get(RpcStub.prototype, key, stub);
    if (key === 'then') return undefined;
    if (this.lastName === key) return this.lastProperty;
    if (isIndex(key as string)) return undefined;
    this.lastName = key as string;
    return (this.lastProperty = makeProperty(this, [key as string]));
  }

  set(_target: Function, key: PropertyKey, value: unknown): boolean {
    (this.#own ??= Object.create(null) as Record<PropertyKey, unknown>)[key] = value;
    return true;
  }

  has(_target: Function, key: PropertyKey): boolean {
    return (isRemoteName(key) && key !== 'then') || key in RpcStub.prototype;
  }

  deleteProperty(_target: Function, key: PropertyKey): boolean {
    if (this.#own !== undefined) Reflect.deleteProperty(this.#own, key);
    return true;
  }

  defineProperty(target: Function, key: PropertyKey, descriptor: PropertyDescriptor): boolean {
    return 'value' in descriptor && this.set(target, key, descriptor.value);
  }

  getPrototypeOf(): object {
    return RpcStub.prototype;
  }

  setPrototypeOf(): boolean {
    return false;
  }

  preventExtensions(): boolean {
    return false;
  }

  ownKeys(): (string | symbol)[] {
    return this.#own === undefined ? [] : Reflect.ownKeys(this.#own);
  }

  getOwnPropertyDescriptor(_target: Function, key: PropertyKey): PropertyDescriptor | undefined {
    if (this.#own === undefined || !Object.hasOwn(this.#own, key)) return undefined;
    return { value: this.#own[key], writable: true, enumerable: true, configurable: true };
  }
}

const handlers = new SafeWeakMap<object, StubHandler>();
handlerOf = (value) => (typeof value === 'function' ? handlers.get(value) : undefined);

// The stub that `value` is; undefined: it is none.
export function stubHandler(value: unknown): StubHandler | undefined {
  return handlerOf(value);
}
stubTest.isStub = (value) => handlerOf(value) !== undefined;
stubNames.push((value) => (stubTest.isStub(value) ? 'RpcStub' : undefined));

function wrap(handler: StubHandler): RpcStub {
  const stub = new Proxy(callable, handler) as unknown as RpcStub;
  handlers.set(stub, handler);
  return stub;
}

// A stub in `context`. Takes over one reference that is counted in `target`.
export function makeRpcStub(target: Target, context: IoContext, holds: boolean): { stub: RpcStub; handler: StubHandler } {
  const handler = new StubHandler(new StubState(target, context, holds));
  return { stub: wrap(handler), handler };
}

function handlerFor(stub: unknown): StubHandler {
  const handler = handlerOf(stub);
  if (handler === undefined) throw new TypeError('Illegal invocation');
  return handler;
}

export class RpcStub {
  constructor(value: unknown) {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) {
      throw new TypeError("Failed to construct 'JsRpcStub': constructor parameter 1 is not of type 'Object'.");
    }
    const own = ownReachable(value);
    if (own === undefined) throw new TypeError(kNotWrappable);
    const frame = currentFrame();
    const target = new Exported(value, frame, { own, holds: false, dispose: disposerOf(value) });
    const { stub, handler } = makeRpcStub(target, frame.context, false);
    handler.watchLoss();
    return stub;
  }

  dup(): RpcStub {
    const { target } = handlerFor(this);
    if (target === undefined) throw new Error(kDisposed);
    const { context } = currentFrame();
    target.addRef();
    const { stub, handler } = makeRpcStub(target, context, context.holdsStubs);
    handler.watchLoss();
    return stub;
  }

  [Symbol.dispose](): void {
    handlerFor(this).dispose();
  }
}
Object.defineProperty(RpcStub.prototype, Symbol.toStringTag, { value: 'JsRpcStub', configurable: true });
Object.defineProperty(RpcStub, 'name', { value: 'RpcStub', configurable: true });
makeEnumerable(RpcStub.prototype, ['dup']);

export function disposerOf(value: object): Function | undefined {
  const dispose = (value as { [Symbol.dispose]?: unknown })[Symbol.dispose];
  return typeof dispose === 'function' ? dispose : undefined;
}

// Stubs that are disposed together.
export type Group = { dispose(): void; watchLoss?(): void }[];

export function disposeAll(group: Group | undefined): void {
  if (group === undefined) return;
  for (let i = 0; i < group.length; i++) group[i]!.dispose();
}

