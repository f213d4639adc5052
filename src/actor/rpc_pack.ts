// Values on their way from one context to another. Most are structured clones. A value that refers to something that
// cannot be copied (a function, a stub, a stream: rpc_refs.ts) becomes a Packed: a copy with gaps, where the gaps are, and
// what belongs there.
//
// 1. A value is first tried as a plain clone, which runs no user code and fails where it would have to. Only then is it
//    walked, so that a getter runs once.
// 2. Identity and cycles hold: the copy and the list of gaps are cloned together.

import { enhanced, errorHead } from '../web/errors.ts';
import { flag } from '../web/compat.ts';
import { Headers } from '../web/headers.ts';
import { native, nodeRequire } from '../web/host.ts';
import { nodeBlob, webStreams } from '../web/host_modules.ts';
import { type ContextResource, type Frame, type IoContext, addResource, removeResource } from '../web/io.ts';
import { SafeMap, SafeSet, arrayPush, defineProperty, getPrototypeOf, isArray, noop, objectKeys } from '../web/primordials.ts';
import { isRequest } from '../web/request.ts';
import { isResponse } from '../web/response.ts';
import { isPlainFunction, ownReachable } from './rpc.ts';
import {
  BlobRef,
  ChannelRef,
  ErrorRef,
  HeadersRef,
  type Ref,
  StubRef,
  type WireRef,
  channels,
  refFromWire,
  unsend,
} from './rpc_refs.ts';
import { RequestRef, ResponseRef, takeReadable, takeWritable } from './rpc_streams.ts';
import { type Group, type StubHandler, disposeAll, disposerOf, stubHandler } from './rpc_stub.ts';
import { Exported, Imported, type Target, exportTo } from './rpc_target.ts';
import { NativeDOMException, RpcPromise, RpcProperty, RpcTarget, cloneError, isLongText, isPrimitive, measure } from './rpc_values.ts';

const ObjectPrototype = Object.prototype;
const kDispose: typeof Symbol.dispose = Symbol.dispose;
const dupsParameters = flag('rpc_params_dup_stubs');
const kStubDisposed = 'RPC stub used after being disposed.';
const kNotReceiver =
  'Proxy could not be serialized because it is not a valid RPC receiver type. The Proxy must emulate either a plain ' +
  "object or an RpcTarget, as indicated by the Proxy's prototype chain.";
const kFacetStub = 'Stubs pointing to Durable Object facets are not serializable.';
const kSignal = 'AbortSignal serialization is not enabled.';

type Types = typeof import('node:util').types;
let nodeTypes: Types | undefined;
function types(): Types {
  return (nodeTypes ??= (nodeRequire('node:util') as typeof import('node:util')).types);
}

// The way between isolates: [gaps, key gaps, references, number of the disposer's export or 0].
export type WireRefs = [gaps: unknown[], keyGaps: unknown[], refs: WireRef[], disposer: number];

export class Packed implements ContextResource {
  // The copy, in an array, so that a gap may be all there is; behind it the properties of errors.
  readonly root: unknown[];
  // container, key, index of the reference ...
  readonly gaps: unknown[];
  // A Map or Set, what stands for the key, index of the reference ...
  readonly keyGaps: unknown[];
  readonly refs: Ref[];
  // Of a result that wants to know when the caller has done with it.
  disposer: Target | undefined;
  // Stubs of the sender that the receiver has now.
  moved: Group | undefined;
  #open = true;

  constructor(root: unknown[], gaps: unknown[], keyGaps: unknown[], refs: Ref[]) {
    this.root = root;
    this.gaps = gaps;
    this.keyGaps = keyGaps;
    this.refs = refs;
  }

  // The value again, in a turn of `frame`.
  unpack(frame: Frame, group: Group, holds: boolean): unknown {
    this.#open = false;
    const { root, gaps, keyGaps, refs } = this;
    const made: unknown[] = [];
    for (let i = 0; i < refs.length; i++) arrayPush(made, refs[i]!.make(frame, group, holds));
    for (let i = 0; i < gaps.length; i += 3) {
      const container = gaps[i] as any;
      const value = made[gaps[i + 2] as number];
      if (container instanceof Map) container.set(gaps[i + 1], value);
      else container[gaps[i + 1] as string] = value;
    }
    if (keyGaps.length > 0) fillKeys(keyGaps, made);
    for (let i = 0; i < refs.length; i++) {
      const ref = refs[i]!;
      if (ref instanceof ErrorRef) fillError(made[i] as object, root[ref.properties] as Record<string, unknown>);
    }
    if (this.disposer !== undefined) arrayPush(group, new Disposer(this.disposer, frame.context));
    return root[0];
  }

  toWire(address: number, sent: number[]): WireRefs {
    const wires: WireRef[] = [];
    try {
      for (let i = 0; i < this.refs.length; i++) arrayPush(wires, this.refs[i]!.toWire(address, sent));
    } catch (error) {
      for (let i = 0; i < wires.length; i++) unsend(wires[i]!);
      for (let i = wires.length; i < this.refs.length; i++) this.refs[i]!.discard();
      this.#open = false;
      throw error;
    }
    this.#open = false;
    let disposer = 0;
    if (this.disposer !== undefined) arrayPush(sent, (disposer = exportTo(address, this.disposer)));
    return [this.gaps, this.keyGaps, wires, disposer];
  }

  static fromWire(root: unknown[], [gaps, keyGaps, wires, disposer]: WireRefs, from: number): Packed {
    const refs: Ref[] = [];
    for (let i = 0; i < wires.length; i++) arrayPush(refs, refFromWire(wires[i]!, from));
    const packed = new Packed(root, gaps, keyGaps, refs);
    if (disposer !== 0) packed.disposer = new Imported(from, disposer);
    return packed;
  }

  // For a turn of `context`, which may end before: then nobody gets it.
  waitIn(context: IoContext): void {
    if (context.isOver) this.discard();
    else addResource(context, this);
  }

  // False: it has been discarded.
  arrive(context: IoContext): boolean {
    removeResource(context, this);
    return this.#open;
  }

  stop(): void {
    this.discard();
  }

  discard(): void {
    if (!this.#open) return;
    this.#open = false;
    for (let i = 0; i < this.refs.length; i++) this.refs[i]!.discard();
    this.disposer?.release();
  }
}

// A wire that could not be sent.
export function unsendAll([, , wires, disposer]: WireRefs): void {
  for (let i = 0; i < wires.length; i++) unsend(wires[i]!);
  if (disposer !== 0) unsend([0, disposer]);
}

// The caller has a result whose owner wants to know when it is done with: at the latest when the caller's context ends.
class Disposer implements ContextResource {
  readonly #context: IoContext;
  #target: Target | undefined;

  constructor(target: Target, context: IoContext) {
    this.#target = target;
    this.#context = context;
    if (context.isOver) this.stop();
    else addResource(context, this);
  }

  dispose(): void {
    removeResource(this.#context, this);
    this.stop();
  }

  stop(): void {
    this.#target?.release();
    this.#target = undefined;
  }
}

function fillError(error: object, properties: Record<string, unknown>): void {
  const keys = objectKeys(properties);
  for (let i = 0; i < keys.length; i++) {
    defineProperty(error, keys[i]!, { value: properties[keys[i]!], writable: true, enumerable: enhanced, configurable: true });
  }
}

function fillKeys(keyGaps: unknown[], made: unknown[]): void {
  const replaced = new SafeMap<unknown, unknown>();
  const containers = new SafeSet<Map<unknown, unknown> | Set<unknown>>();
  for (let i = 0; i < keyGaps.length; i += 3) {
    containers.add(keyGaps[i] as Set<unknown>);
    replaced.set(keyGaps[i + 1], made[keyGaps[i + 2] as number]);
  }
  containers.forEach((container) => {
    const entries: unknown[] = [];
    container.forEach((value: unknown, key: unknown) => arrayPush(entries, key, value));
    container.clear();
    for (let i = 0; i < entries.length; i += 2) {
      const key = replaced.has(entries[i]) ? replaced.get(entries[i]) : entries[i];
      if (container instanceof Map) container.set(key, entries[i + 1]);
      else container.add(key);
    }
  });
}

// ------------------------------------------------------------------------------------------------ packing

function unsupported(type: string): DOMException {
  return cloneError(`Could not serialize object of type "${type}". This type does not support serialization.`);
}

type Purpose = 'arguments' | 'result';

class Packer {
  readonly #frame: Frame;
  readonly #purpose: Purpose;
  readonly #seen = new SafeMap<unknown, unknown>();
  readonly #refOf = new SafeMap<unknown, number>();
  readonly #gaps: unknown[] = [];
  readonly #keyGaps: unknown[] = [];
  readonly #refs: Ref[] = [];
  readonly #moved: StubHandler[] = [];
  readonly #root: unknown[] = [undefined];

  constructor(frame: Frame, purpose: Purpose) {
    this.#frame = frame;
    this.#purpose = purpose;
  }

  pack(value: unknown): Packed {
    try {
      this.#put(this.#root, 0, value);
      // What has no references is refused here, with its own size.
      if (this.#refs.length === 0) return new Packed([native.clone(this.#root[0], 1)], [], [], []);
      const [copy, gaps, keyGaps] = native.clone([this.#root, this.#gaps, this.#keyGaps], 1) as [unknown[], unknown[], unknown[]];
      const packed = new Packed(copy, gaps, keyGaps, this.#refs);
      if (this.#moved.length > 0) {
        // What was given away as a parameter is gone at once, unless it is shared; of a result it stays for calls on it.
        if (this.#purpose === 'result') packed.moved = this.#moved;
        else if (!dupsParameters) disposeAll(this.#moved);
      }
      return packed;
    } catch (error) {
      for (let i = 0; i < this.#refs.length; i++) this.#refs[i]!.discard();
      throw error;
    }
  }

  // Puts a copy of `value`, or a gap, into a container of the copy.
  #put(container: any, key: unknown, value: unknown): void {
    const ref = this.#reference(value);
    if (ref !== undefined) arrayPush(this.#gaps, container, key, ref);
    const copy = ref === undefined ? this.#copy(value) : undefined;
    if (container instanceof Map) container.set(key, copy);
    else if (isArray(container)) container[key as number] = copy;
    else defineProperty(container, key as string, { value: copy, writable: true, enumerable: true, configurable: true });
  }

  #key(container: any, value: unknown): unknown {
    const ref = this.#reference(value);
    if (ref === undefined) return this.#copy(value);
    const standIn = {};
    arrayPush(this.#keyGaps, container, standIn, ref);
    return standIn;
  }

  // Containers are copied, whatever else is left for the clone to copy or to refuse.
  #copy(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value;
    const seen = this.#seen.get(value);
    if (seen !== undefined) return seen;
    if (isArray(value)) {
      const copy: unknown[] = [];
      this.#seen.set(value, copy);
      const keys = objectKeys(value);
      for (let i = 0; i < keys.length; i++) this.#put(copy, keys[i]!, (value as any)[keys[i]!]);
      if (copy.length !== value.length) copy.length = value.length; // only then: an array with holes is written otherwise
      return copy;
    }
    if (getPrototypeOf(value) === ObjectPrototype) {
      const copy: Record<string, unknown> = {};
      this.#seen.set(value, copy);
      const keys = objectKeys(value);
      for (let i = 0; i < keys.length; i++) this.#put(copy, keys[i]!, (value as Record<string, unknown>)[keys[i]!]);
      return copy;
    }
    if (types().isMap(value)) {
      const copy = new Map<unknown, unknown>();
      this.#seen.set(value, copy);
      const entries: unknown[] = [];
      SafeMap.prototype.forEach.call(value, (entry, key) => arrayPush(entries, key, entry));
      for (let i = 0; i < entries.length; i += 2) this.#put(copy, this.#key(copy, entries[i]), entries[i + 1]);
      return copy;
    }
    if (types().isSet(value)) {
      const copy = new Set<unknown>();
      this.#seen.set(value, copy);
      const entries: unknown[] = [];
      SafeSet.prototype.forEach.call(value, (entry) => arrayPush(entries, entry));
      for (let i = 0; i < entries.length; i++) copy.add(this.#key(copy, entries[i]));
      return copy;
    }
    return value;
  }

  // The index of the reference that stands for `value`; undefined: it can be copied.
  #reference(value: unknown): number | undefined {
    const type = typeof value;
    if ((type !== 'object' && type !== 'function') || value === null) return undefined;
    const known = this.#refOf.get(value);
    if (known !== undefined) return known;
    if (this.#seen.has(value)) return undefined;
    const ref = type === 'function' ? this.#functionRef(value as Function) : this.#objectRef(value as object);
    if (ref === undefined) return undefined;
    const index = arrayPush(this.#refs, ref) - 1;
    this.#refOf.set(value, index);
    if (ref instanceof ErrorRef) ref.properties = this.#properties(value as Error);
    return index;
  }

  #functionRef(value: Function): Ref {
    const handler = stubHandler(value);
    if (handler !== undefined) {
      const { target } = handler;
      if (target === undefined) throw new Error(kStubDisposed);
      target.addRef();
      arrayPush(this.#moved, handler);
      // The caller will be its only holder.
      if (this.#purpose === 'result' && target instanceof Exported) target.keepSession(this.#frame.context);
      return new StubRef(target);
    }
    if (channels.isCallable(value)) throw unsupported('LoopbackServiceStub');
    if (types().isProxy(value)) {
      const tag = (value as unknown as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
      if (tag === 'LoopbackDurableObjectNamespace' || tag === 'LoopbackDurableObjectClass') throw unsupported(tag);
      for (const [Class, name] of [[RpcPromise, 'RpcPromise'], [RpcProperty, 'RpcProperty']] as const) {
        if ((value as unknown) instanceof Class) throw unsupported(name);
      }
      return this.#proxyRef(value);
    }
    return this.#export(value, true, isPlainFunction, 'function', 'another function', 'a function');
  }

  #objectRef(value: object): Ref | undefined {
    if (types().isProxy(value)) return this.#proxyRef(value);
    if (isArray(value)) return undefined;
    const prototype = getPrototypeOf(value);
    if (prototype === ObjectPrototype || prototype === null) return undefined;
    if (value instanceof RpcTarget) {
      return this.#export(value, false, (dup) => dup instanceof RpcTarget, 'RcpTarget', 'another RpcTarget', 'an RpcTarget');
    }
    if (Error.isError(value)) return new ErrorRef(errorHead(value), 0);
    const channel = channels.of(value);
    if (channel !== undefined) {
      if (channel.within !== undefined) throw new NativeDOMException(kFacetStub, 'DataCloneError');
      return new ChannelRef(channel);
    }
    if (isResponse(value)) return ResponseRef.of(value, this.#frame);
    if (isRequest(value)) return RequestRef.of(value, this.#frame);
    if (value instanceof Headers) return HeadersRef.of(value);
    switch ((value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag]) {
      case 'ReadableStream':
        if (value instanceof webStreams().ReadableStream) return takeReadable(value, this.#frame);
        break;
      case 'WritableStream':
        if (value instanceof webStreams().WritableStream) return takeWritable(value, this.#frame);
        break;
      case 'Blob':
        if (value instanceof nodeBlob().Blob) return new BlobRef(value);
        break;
      case 'AbortSignal':
        if (value instanceof AbortSignal) throw cloneError(kSignal);
        break;
    }
    return undefined;
  }

  // A copy of an error's own properties: where in the root.
  #properties(error: Error): number {
    const copy: Record<string, unknown> = {};
    const index = arrayPush(this.#root, copy) - 1;
    const keys = enhanced && !(error instanceof NativeDOMException) ? objectKeys(error) : [];
    if (Object.hasOwn(error, 'cause') && !keys.includes('cause')) arrayPush(keys, 'cause');
    if (enhanced && error instanceof AggregateError && !keys.includes('errors')) arrayPush(keys, 'errors');
    for (let i = 0; i < keys.length; i++) this.#put(copy, keys[i]!, (error as unknown as Record<string, unknown>)[keys[i]!]);
    return index;
  }

  #proxyRef(value: object): Ref {
    const own = ownReachable(value);
    if (own === undefined) throw cloneError(kNotReceiver);
    const isSame = (dup: unknown): boolean =>
      dup !== null && (typeof dup === 'object' || typeof dup === 'function') && ownReachable(dup) === own;
    return this.#export(value, own, isSame, 'Proxy', 'the same underlying type (RpcTarget or Function) as the Proxy itself represents', 'an RpcTarget');
  }

  #export(value: object, own: boolean, isSame: (dup: unknown) => boolean, what: string, wanted: string, hint: string): Ref {
    let target = value;
    if (this.#purpose === 'arguments' && dupsParameters) {
      const dup = (value as { dup?: unknown }).dup;
      if (typeof dup === 'function') {
        const made = dup.call(value) as unknown;
        if (!isSame(made)) {
          throw cloneError(
            `Couldn't create a stub for the ${what} because it has a dup() method which did not return ${wanted}. Either ` +
              `remove the dup() method or make sure it returns ${hint}.`,
          );
        }
        target = made as object;
      }
    }
    const holds = this.#purpose === 'result';
    return new StubRef(new Exported(target, this.#frame, { own, holds, dispose: disposerOf(target) }));
  }
}

// ------------------------------------------------------------------------------------------------ arguments

// A copy of arguments as the other side gets them.
export function packArguments(args: unknown[], frame: Frame): unknown[] | Packed {
  for (let i = 0; i < args.length; i++) {
    if (!isPrimitive(args[i])) return packSlowly(args, frame);
    if (isLongText(args[i])) {
      measure(args);
      break;
    }
  }
  return args;
}

function packSlowly(args: unknown[], frame: Frame): unknown[] | Packed {
  let plain = true;
  for (let i = 0; i < args.length; i++) if (typeof args[i] === 'function') plain = false;
  if (plain) {
    const copy = native.clone(args, 2) as unknown[] | undefined;
    if (copy !== undefined) return copy;
  }
  return new Packer(frame, 'arguments').pack(args);
}

// ------------------------------------------------------------------------------------------------ results

function wantsDisposal(value: object): boolean {
  return getPrototypeOf(value) === ObjectPrototype && (value as { [Symbol.dispose]?: unknown })[Symbol.dispose] !== undefined;
}

function packWithReferences(value: unknown, frame: Frame): Packed {
  const packed = new Packer(frame, 'result').pack(value);
  if (typeof value === 'object' && value !== null && !types().isProxy(value) && wantsDisposal(value)) {
    const dispose = disposerOf(value);
    if (dispose !== undefined) {
      const disposer = new Exported(value, frame, { own: true, holds: true, dispose });
      if (packed.moved !== undefined) disposer.owns(packed.moved);
      packed.moved = undefined;
      packed.disposer = disposer;
    }
  }
  return packed;
}

// A copy of a result as a caller in this isolate gets it: a plain value or a Packed.
export function packResult(value: unknown, frame: Frame): unknown {
  if (isPrimitive(value)) {
    if (isLongText(value)) measure(value);
    return value;
  }
  if (typeof value === 'object' && !wantsDisposal(value!)) {
    const copy = native.clone(value, 2, noop, kDispose);
    if (copy !== undefined) return copy;
  }
  return packWithReferences(value, frame);
}

// For another isolate: plain values are copied when they are sent, unless they must wait.
export function packRemoteResult(value: unknown, frame: Frame, mustWait: boolean): unknown {
  if (isPrimitive(value) || mustWait) return packResult(value, frame);
  return typeof value === 'object' && !wantsDisposal(value!) ? value : packWithReferences(value, frame);
}

const disposeNothing = { value: noop, writable: true, enumerable: false, configurable: true };

// What a caller gets: an object with a disposer, or a stub. In a turn of `frame`.
export function unpackResult(packed: unknown, frame: Frame): unknown {
  if (typeof packed !== 'object' || packed === null) return packed;
  if (!(packed instanceof Packed)) {
    // A copy made here has it already; one that came from another isolate has not.
    if ((packed as { [Symbol.dispose]?: unknown })[kDispose] === undefined) defineProperty(packed, kDispose, disposeNothing);
    return packed;
  }
  const group: Group = [];
  const value = packed.unpack(frame, group, false);
  for (let i = 0; i < group.length; i++) group[i]!.watchLoss?.();
  if (typeof value === 'object' && value !== null && channels.of(value) === undefined) {
    const dispose = (): void => disposeAll(group);
    defineProperty(value, kDispose, { value: dispose, writable: true, enumerable: false, configurable: true });
  }
  return value;
}

// What calls on a value are made on; undefined: it is none that has members. One reference is counted for the caller.
// `serving`: on the callee's own value, otherwise on the caller's copy.
export function pipelineTarget(value: unknown, frame: Frame, serving: boolean): Target | undefined {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) {
    return serving ? new Exported({}, frame, { own: true, holds: true, dispose: undefined }) : undefined;
  }
  const handler = stubHandler(value);
  if (handler !== undefined) {
    const { target } = handler;
    if (target !== undefined) {
      target.addRef();
      return target;
    }
    return new Exported({}, frame, { own: true, holds: true, dispose: undefined });
  }
  let own: boolean | undefined = true;
  if (serving) own = ownReachable(value);
  const target = own === undefined ? {} : value;
  return new Exported(target, frame, { own: own ?? true, holds: true, dispose: undefined });
}
