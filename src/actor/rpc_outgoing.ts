// The caller's side of a call: what goes out, the promise that user code gets, and calls on results that are not there
// yet (promise pipelining, spec 9.1).
//
// 1. A call leaves after its caller's output gate. Calls of one context keep their order.
// 2. Arguments are copied when they are given, not when they leave.
// 3. A call on a result goes where the call itself went, without waiting. When that has been answered meanwhile, it is
//    made on the caller's copy of the result, before the caller sees it: calls made later cannot overtake it.

import { type ErrorData, errorFromData } from '../web/errors.ts';
import { type Frame, type IoContext, currentFrame } from '../web/io.ts';
import { NativePromise, arrayPush, charCodeAt, ignoreRejection, promiseReject, promiseThen } from '../web/primordials.ts';
import { afterOutput, localBody, outputIsOpen } from './bodies.ts';
import type { OutgoingRequest, ResponseParts } from './calls.ts';
import type { Incoming, Reply } from './rpc_incoming.ts';
import { Packed, packArguments, packResult, pipelineTarget, unpackResult } from './rpc_pack.ts';
import { RpcPromise, RpcProperty, callable } from './rpc_values.ts';

const kPathMax = 65; // 64 properties to go through, and one to use
const kPromiseDisposed = 'RPC promise used after being disposed.';
const kNotObject = "Can't pipeline on RPC that did not return an object.";

// Where a stub's calls go.
export interface Channel {
  // Takes a call to its target; runs no user code. Failures go to the call.
  dispatch(call: Outgoing): void;
  // For a call that must wait: where it would go now.
  capture?(): Dispatcher;
  // The property that a stub was asked for last: most stubs are asked for one again and again.
  lastName: string | undefined;
  lastProperty: unknown;
  // Calls of this context need not wait for its output gate: it is the target's too (a facet's).
  readonly within?: IoContext;
}

export interface Dispatcher {
  dispatch(call: Outgoing): void;
}

// Arguments on their way: plain values, or values with references; undefined: a property is read.
export type Arguments = unknown[] | Packed | undefined;

// A call as its target sees it.
export interface Call {
  readonly path: readonly string[];
  readonly reply: Reply;
  takeArguments(): Arguments;
  // Told who serves it.
  set serving(call: Incoming | undefined);
  error(data: ErrorData, remote: boolean): void;
  threw(error: unknown): void;
}

// ------------------------------------------------------------------------------------------------ promises

// What `stub.method()` returns: callable, awaitable, and any property of it is one of the result.
abstract class PromiseHandler implements ProxyHandler<Function> {
  #pipeline: Channel | undefined;

  abstract get promise(): Promise<unknown>;
  abstract dispatchOnResult(call: Outgoing): void;
  abstract dispose(): void;

  #channel(): Channel {
    return (this.#pipeline ??= {
      dispatch: (call) => this.dispatchOnResult(call),
      lastName: undefined,
      lastProperty: undefined,
    });
  }

  apply(_target: Function, _self: unknown, args: unknown[]): unknown {
    return startCall(this.#channel(), [], args);
  }

  construct(): never {
    throw new TypeError('Illegal constructor');
  }

  get(_target: Function, key: PropertyKey): unknown {
    switch (key) {
      case 'then':
        return (onValue?: any, onError?: any) => promiseThen(this.promise, onValue, onError);
      case 'catch':
        return (onError?: any) => promiseThen(this.promise, undefined as never, onError);
      case 'finally':
        return (onEnd?: any) => this.promise.finally(onEnd);
      case Symbol.dispose:
        return () => this.dispose();
    }
    if (typeof key === 'symbol') return (RpcPromise.prototype as any)[key];
    if (key in RpcPromise.prototype) return (RpcPromise.prototype as any)[key];
    if (isIndex(key as string)) return undefined;
    return makeProperty(this.#channel(), [key as string]);
  }

  has(_target: Function, key: PropertyKey): boolean {
    return isRemoteName(key) || key in RpcPromise.prototype;
  }

  getPrototypeOf(): object {
    return RpcPromise.prototype;
  }

  ownKeys(): string[] {
    return [];
  }

  getOwnPropertyDescriptor(): undefined {
    return undefined;
  }
}

// A call that has failed before it left.
class FailedCall extends PromiseHandler {
  readonly promise: Promise<never>;
  readonly #error: unknown;

  constructor(error: unknown) {
    super();
    this.#error = error;
    this.promise = promiseReject(error);
  }

  dispatchOnResult(call: Outgoing): void {
    ignoreRejection(this.promise);
    call.threw(this.#error);
  }

  dispose(): void {}
}

// ------------------------------------------------------------------------------------------------ calls

// Where a call was taken to that another isolate answers.
export interface RemotePlace {
  // Sends `call`, on the result of the unanswered call `base`.
  pipe(base: Outgoing, call: Outgoing): void;
}

const State = { pending: 0, resolved: 1, rejected: 2 } as const;

// A call of this isolate on its way, and the place its answer comes to.
export class Outgoing extends PromiseHandler implements Reply, Call {
  readonly frame: Frame;
  readonly path: readonly string[];
  // Not used by a fetch. Whoever takes the call to its target takes them.
  args: Arguments;
  readonly request: OutgoingRequest | undefined;
  readonly promise: Promise<unknown>;
  // The callee's side when it is in this isolate; or how to reach it.
  serving: Incoming | undefined = undefined;
  place: RemotePlace | undefined = undefined;
  answerId = 0;
  // Caller and target are committed together: neither the call nor its answer waits for their output gate.
  isWithin = false;
  #resolve!: (value: any) => void;
  #reject!: (error: unknown) => void;
  #answered = false;
  #state: 0 | 1 | 2 = State.pending;
  #value: unknown = undefined; // or the error
  #disposed = false;
  // Calls on the result that wait for it here, and how many are on their way without being known to have arrived.
  #waiting: Outgoing[] | undefined = undefined;
  #unconfirmed = 0;
  #held: (() => void) | undefined = undefined;

  constructor(frame: Frame, path: readonly string[], args: Arguments, request: OutgoingRequest | undefined) {
    super();
    this.frame = frame;
    this.path = path;
    this.args = args;
    this.request = request;
    this.promise = new NativePromise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    frame.context.beginIo();
  }

  // After the caller's output gate.
  leave(channel: Channel): void {
    const { context } = this.frame;
    if (outputIsOpen(context) || channel.within === context) {
      channel.dispatch(this);
      return;
    }
    const way = channel.capture?.() ?? channel;
    afterOutput(
      context,
      () => way.dispatch(this),
      (error) => this.threw(error),
    );
  }

  get reply(): Reply {
    return this;
  }

  takeArguments(): Arguments {
    const { args } = this;
    this.args = undefined;
    return args;
  }

  // --- the answer

  pack(value: unknown, frame: Frame): unknown {
    return packResult(value, frame);
  }

  result(value: unknown): undefined {
    if (this.#answered) {
      if (value instanceof Packed) value.discard();
      return undefined;
    }
    this.#answered = true;
    if (this.#unconfirmed > 0) this.#held = () => this.#resolved(value);
    else this.#resolved(value);
    return undefined;
  }

  #resolved(packed: unknown): void {
    const { context, section } = this.frame;
    if (packed instanceof Packed) packed.waitIn(context);
    context.enter(section, () => {
      context.endIo();
      if (packed instanceof Packed && !packed.arrive(context)) return;
      const value = unpackResult(packed, this.frame);
      this.#state = State.resolved;
      this.#value = value;
      this.#flush();
      this.#resolve(value);
      if (this.#disposed) disposeValue(value);
    });
  }

  packResponse(parts: ResponseParts, frame: Frame): ResponseParts {
    parts.data = localBody(parts.data, frame);
    return parts;
  }

  response(parts: unknown): void {
    if (this.#answered) return;
    this.#answered = true;
    const { context, section } = this.frame;
    context.enter(section, () => {
      context.endIo();
      this.#resolve(parts);
    });
  }

  error(data: ErrorData, remote: boolean): void {
    this.#fail(() => errorFromData(data, remote));
  }

  // An exception of the caller's own side.
  threw(error: unknown): void {
    this.#fail(() => error);
  }

  #fail(makeError: () => unknown): void {
    if (this.#answered) return;
    this.#answered = true;
    const { args } = this;
    this.args = undefined;
    if (args instanceof Packed) args.discard();
    if (this.#unconfirmed > 0) this.#held = () => this.#rejected(makeError);
    else this.#rejected(makeError);
  }

  #rejected(makeError: () => unknown): void {
    const { context, section } = this.frame;
    context.enter(section, () => {
      context.endIo();
      const error = makeError();
      this.#state = State.rejected;
      this.#value = error;
      this.#flush();
      this.#reject(error);
    });
  }

  // --- calls on the result

  dispatchOnResult(call: Outgoing): void {
    ignoreRejection(this.promise); // `call` fails with it
    if (this.#disposed) call.threw(new Error(kPromiseDisposed));
    else if (this.#state !== State.pending) this.#dispatchHere(call, false);
    else if (this.#answered) arrayPush((this.#waiting ??= []), call);
    else if (this.serving !== undefined) this.serving.pipeline(call);
    else if (this.place !== undefined) {
      this.#unconfirmed++;
      this.place.pipe(this, call);
    } else arrayPush((this.#waiting ??= []), call);
  }

  // A call on the result has arrived over there; or it has come too late and must be made here.
  confirmed(late: Outgoing | undefined): void {
    if (late !== undefined) arrayPush((this.#waiting ??= []), late);
    if (--this.#unconfirmed > 0) return;
    const held = this.#held;
    this.#held = undefined;
    held?.();
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) return;
    for (let i = 0; i < waiting.length; i++) this.#dispatchHere(waiting[i]!, true);
  }

  // `early`: it was made before the result was here, and what it finds is what the callee would have found.
  #dispatchHere(call: Outgoing, early: boolean): void {
    if (this.#state === State.rejected) {
      call.threw(this.#value);
      return;
    }
    const target = pipelineTarget(this.#value, this.frame, early);
    if (target === undefined) {
      call.threw(new TypeError(kNotObject));
      return;
    }
    target.dispatch(call);
    target.release();
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#state === State.resolved) disposeValue(this.#value);
  }
}

function disposeValue(value: unknown): void {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return;
  const dispose = (value as { [Symbol.dispose]?: unknown })[Symbol.dispose];
  if (typeof dispose === 'function') dispose.call(value);
}

// `stub.method(...args)`.
export function startCall(channel: Channel, path: readonly string[], args: unknown[]): unknown {
  let call: Outgoing | FailedCall;
  try {
    const frame = currentFrame();
    call = new Outgoing(frame, path, packArguments(args, frame), undefined);
    call.leave(channel);
  } catch (error) {
    call = new FailedCall(error);
  }
  return new Proxy(callable, call);
}

// `await stub.property`.
export function readProperty(channel: Channel, path: readonly string[]): Promise<unknown> {
  return callPlainly(channel, path, undefined);
}

// A call of the runtime's own: as a plain promise.
export function callPlainly(channel: Channel, path: readonly string[], args: unknown[] | undefined): Promise<unknown> {
  try {
    const frame = currentFrame();
    const call = new Outgoing(frame, path, args === undefined ? undefined : packArguments(args, frame), undefined);
    call.leave(channel);
    return call.promise;
  } catch (error) {
    return promiseReject(error);
  }
}

// ------------------------------------------------------------------------------------------------ properties

// `stub.foo`, `stub.foo.bar`: callable, and a promise of the property's value.
class PropertyHandler implements ProxyHandler<Function> {
  readonly channel: Channel;
  readonly path: readonly string[];

  constructor(channel: Channel, path: readonly string[]) {
    this.channel = channel;
    this.path = path;
  }

  apply(_target: Function, self: unknown, args: unknown[]): unknown {
    // JSON.stringify asks everything for this: it would make a call of it.
    if (this.path[this.path.length - 1] === 'toJSON' && args.length === 1 && typeof args[0] === 'string') return self;
    return startCall(this.channel, this.path, args);
  }

  construct(): never {
    throw new TypeError('Illegal constructor');
  }

  get(_target: Function, key: PropertyKey): unknown {
    if (typeof key === 'symbol') return (RpcProperty.prototype as any)[key];
    switch (key) {
      case 'then':
        return (onValue?: any, onError?: any) => promiseThen(readProperty(this.channel, this.path), onValue, onError);
      case 'catch':
        return (onError?: any) => promiseThen(readProperty(this.channel, this.path), undefined as never, onError);
      case 'finally':
        return (onEnd?: any) => readProperty(this.channel, this.path).finally(onEnd);
    }
    if (key in RpcProperty.prototype) return (RpcProperty.prototype as any)[key];
    if (isIndex(key as string)) return undefined;
    return makeProperty(this.channel, [...this.path, key as string]);
  }

  has(_target: Function, key: PropertyKey): boolean {
    return isRemoteName(key) || key in RpcProperty.prototype;
  }

  getPrototypeOf(): object {
    return RpcProperty.prototype;
  }

  ownKeys(): string[] {
    return [];
  }

  getOwnPropertyDescriptor(): undefined {
    return undefined;
  }
}

// `stub[0]` is not a member of the other side.
export function isIndex(name: string): boolean {
  const first = charCodeAt(name, 0);
  return first >= 48 && first <= 57 && `${Number(name) >>> 0}` === name;
}

export function isRemoteName(key: PropertyKey): boolean {
  return typeof key === 'string' && !isIndex(key);
}

export function makeProperty(channel: Channel, path: readonly string[]): unknown {
  if (path.length > kPathMax) throw new TypeError('RPC pipelined property path is too deep (max 64).');
  return new Proxy(callable, new PropertyHandler(channel, path));
}

