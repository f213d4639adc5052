// Built-ins captured before user code runs, so that code that patches prototypes does not break the runtime.
//
// Kept to what the runtime calls again and again after start-up: promises, collections, bytes, text, timers. Loops in
// the runtime go by index, not by iterator, for the same reason.

type Uncurried<F> = F extends (this: infer T, ...args: infer A) => infer R ? (self: T, ...args: A) => R : never;

const { call } = Function.prototype;
const { bind } = Function.prototype;
const callBind = bind.bind(call) as (fn: Function) => any;

// f.call as a function of its own: uncurryThis(f)(self, a, b) === f.call(self, a, b), whatever is patched later.
export function uncurryThis<F extends (...args: any[]) => any>(fn: F): Uncurried<F> {
  return callBind(fn) as Uncurried<F>;
}

export const { apply: reflectApply, ownKeys, construct: reflectConstruct, getPrototypeOf: reflectGetPrototypeOf } = Reflect;
export const {
  create: objectCreate,
  defineProperty,
  defineProperties,
  freeze,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  keys: objectKeys,
  setPrototypeOf,
} = Object;

// --- promises
export const NativePromise = Promise;
const then = callBind(Promise.prototype.then);
export const promiseThen: <T, A, B = never>(
  promise: Promise<T>,
  onValue: (value: T) => A | PromiseLike<A>,
  onError?: (error: unknown) => B | PromiseLike<B>,
) => Promise<A | B> = then;
export const promiseResolve: <T>(value: T | PromiseLike<T>) => Promise<Awaited<T>> = Promise.resolve.bind(Promise) as any;
export const promiseReject: (error: unknown) => Promise<never> = Promise.reject.bind(Promise);
export const withResolvers: <T>() => PromiseWithResolvers<T> = Promise.withResolvers.bind(Promise);
export function ignoreRejection(promise: Promise<unknown>): void {
  then(promise, undefined, noop);
}
export function noop(): void {}

// --- collections: subclasses whose methods are their own, so that patching Map.prototype does not reach them.
function makeSafe<T extends new (...args: any[]) => any>(unsafe: T, safe: T): T {
  const iterated = new Set<PropertyKey>(['keys', 'values', 'entries', Symbol.iterator]);
  for (const key of ownKeys(unsafe.prototype)) {
    if (key === 'constructor') continue;
    const descriptor = getOwnPropertyDescriptor(unsafe.prototype, key)!;
    if (iterated.has(key) && typeof descriptor.value === 'function') {
      const make = callBind(descriptor.value);
      const sample = make(new unsafe());
      const next = callBind(sample.next);
      descriptor.value = function (this: unknown): Iterator<unknown> {
        const inner = make(this);
        const iterator = { next: () => next(inner), [Symbol.iterator]: () => iterator } as any;
        return iterator;
      };
    }
    defineProperty(safe.prototype, key, descriptor);
  }
  setPrototypeOf(safe.prototype, null);
  freeze(safe.prototype);
  return safe;
}

export const SafeMap: typeof Map = makeSafe(Map, class SafeMap extends Map {} as typeof Map);
export const SafeSet: typeof Set = makeSafe(Set, class SafeSet extends Set {} as typeof Set);
export const SafeWeakMap: typeof WeakMap = makeSafe(WeakMap, class SafeWeakMap extends WeakMap {} as typeof WeakMap);
export const SafeWeakSet: typeof WeakSet = makeSafe(WeakSet, class SafeWeakSet extends WeakSet {} as typeof WeakSet);

// --- text
export const toLowerCase: (text: string) => string = callBind(String.prototype.toLowerCase);
export const toUpperCase: (text: string) => string = callBind(String.prototype.toUpperCase);
export const charCodeAt: (text: string, index: number) => number = callBind(String.prototype.charCodeAt);
export const indexOf: (text: string, search: string, from?: number) => number = callBind(String.prototype.indexOf);
export const slice: (text: string, start: number, end?: number) => string = callBind(String.prototype.slice);
export const startsWith: (text: string, search: string) => boolean = callBind(String.prototype.startsWith);
export const split: (text: string, separator: string, limit?: number) => string[] = callBind(String.prototype.split);
export const trim: (text: string) => string = callBind(String.prototype.trim);
export const regExpExec: (pattern: RegExp, text: string) => RegExpExecArray | null = callBind(RegExp.prototype.exec);
export const regExpTest: (pattern: RegExp, text: string) => boolean = callBind(RegExp.prototype.test);
export const { parse: jsonParse, stringify: jsonStringify } = JSON;

// --- arrays
export const arrayPush: <T>(array: T[], ...items: T[]) => number = callBind(Array.prototype.push);
export const arrayShift: <T>(array: T[]) => T | undefined = callBind(Array.prototype.shift);
export const arraySlice: <T>(array: readonly T[], start?: number, end?: number) => T[] = callBind(Array.prototype.slice);
export const arraySplice: <T>(array: T[], start: number, count: number) => T[] = callBind(Array.prototype.splice);
export const arraySort: <T>(array: T[], compare?: (a: T, b: T) => number) => T[] = callBind(Array.prototype.sort);
export const arrayJoin: (array: readonly unknown[], separator: string) => string = callBind(Array.prototype.join);
export const { isArray } = Array;

// --- bytes
export const NativeUint8Array = Uint8Array;
export const NativeArrayBuffer = ArrayBuffer;
export const isView = ArrayBuffer.isView;
const encoder = new TextEncoder();
const encode = callBind(TextEncoder.prototype.encode);
export function encodeUtf8(text: string): Uint8Array<ArrayBuffer> {
  return encode(encoder, text);
}
const decoder = new TextDecoder('utf-8');
const bomKeeper = new TextDecoder('utf-8', { ignoreBOM: true });
const decode = callBind(TextDecoder.prototype.decode);
// As the `text()` of a body does: a byte order mark at the start is dropped.
export function decodeUtf8(bytes: Uint8Array | ArrayBuffer): string {
  return decode(decoder, bytes);
}
export function decodeUtf8KeepBom(bytes: Uint8Array | ArrayBuffer): string {
  return decode(bomKeeper, bytes);
}

// --- host functions that user code sees wrapped or not at all
export const hostQueueMicrotask = queueMicrotask;
export const hostStructuredClone = structuredClone;

// Methods and accessors that classes define are not enumerable; those of Web platform classes are, in the order given.
export function makeEnumerable(holder: object, names: readonly string[]): void {
  for (const name of names) {
    const descriptor = getOwnPropertyDescriptor(holder, name)!;
    Reflect.deleteProperty(holder, name);
    descriptor.enumerable = true;
    defineProperty(holder, name, descriptor);
  }
}

const tagged = new SafeSet<object>();
export function taggedPrototypes(): Set<object> {
  return tagged;
}

// The class's name, for Object.prototype.toString and as `name`: the bundler renames classes that mention themselves.
export function setTag(prototype: object, tag: string): void {
  tagged.add(prototype);
  defineProperty(prototype, Symbol.toStringTag, { value: tag, configurable: true });
  const constructor = getOwnPropertyDescriptor(prototype, 'constructor')?.value as unknown;
  if (typeof constructor === 'function') defineProperty(constructor, 'name', { value: tag, configurable: true });
}
