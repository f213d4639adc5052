// The global object as user code finds it: what Workers have, and nothing else of Node.
//
// Costly parts of Node (streams, crypto, undici) are put behind getters that load them on first look.

import { Body } from './body.ts';
import { Cache, CacheStorage } from './caches.ts';
import { flag, flagReport, requireValidFlags } from './compat.ts';
import { webConsole } from './console.ts';
import { cryptoGlobals } from './crypto.ts';
import { CloseEvent, ErrorEvent, MessageEvent, PromiseRejectionEvent, fire } from './events.ts';
import { fetch } from './fetch.ts';
import { Headers } from './headers.ts';
import { nodeRequire } from './host.ts';
import { nodeBlob, webStreams } from './host_modules.ts';
import { awaitIo, frameIfAny } from './io.ts';
import { adaptGlobal, adaptGlobals } from './legacy.ts';
import { MessageChannel, MessagePort } from './message_channel.ts';
import {
  SafeSet,
  defineProperty,
  ownKeys,
  reflectApply,
  setTag,
} from './primordials.ts';
import { realProcess, webProcess } from './process.ts';
import { streamOfSource, ioStreamSource } from './body.ts';
import { reportException } from './report.ts';
import { reenteringClass, repairAtomics, repairWebAssembly, structuredCloneHere, textStreamOf } from './reentry.ts';
import { Request } from './request.ts';
import { Response } from './response.ts';
import { streamClasses } from './streams.ts';
import { scheduler, webTimers } from './timers.ts';
import { WebSocket, WebSocketPair, WebSocketRequestResponsePair } from './websocket/websocket.ts';

const NativeDOMException = DOMException;
const language = [
  'AggregateError', 'Array', 'ArrayBuffer', 'AsyncDisposableStack', 'Atomics', 'BigInt', 'BigInt64Array',
  'BigUint64Array', 'Boolean', 'DataView', 'Date', 'DisposableStack', 'Error', 'EvalError', 'FinalizationRegistry',
  'Float16Array', 'Float32Array', 'Float64Array', 'Function', 'Infinity', 'Int16Array', 'Int32Array', 'Int8Array',
  'Intl', 'Iterator', 'JSON', 'Map', 'Math', 'NaN', 'Number', 'Object', 'Promise', 'Proxy', 'RangeError',
  'ReferenceError', 'Reflect', 'RegExp', 'Set', 'SharedArrayBuffer', 'String', 'SuppressedError', 'Symbol',
  'SyntaxError', 'TypeError', 'URIError', 'Uint16Array', 'Uint32Array', 'Uint8Array', 'Uint8ClampedArray', 'WeakMap',
  'WeakRef', 'WeakSet', 'WebAssembly', 'decodeURI', 'decodeURIComponent', 'encodeURI', 'encodeURIComponent', 'escape',
  'eval', 'globalThis', 'isFinite', 'isNaN', 'parseFloat', 'parseInt', 'undefined', 'unescape',
];
// Node's own, as they are.
const kept = [
  'AbortController', 'AbortSignal', 'Blob', 'CryptoKey', 'CustomEvent', 'DOMException', 'Event', 'EventTarget', 'File',
  'FormData', 'Performance', 'PerformanceEntry', 'PerformanceMark', 'PerformanceMeasure', 'PerformanceObserver', 'PerformanceObserverEntryList', 'PerformanceResourceTiming',
  'TextDecoder', 'TextEncoder', 'URL', 'URLPattern', 'URLSearchParams', 'atob', 'btoa', 'performance',
  // Not of Workers without nodejs_compat, but Node's HTTP client, which loads with the first fetch, looks for it here.
  'Buffer',
];
// Loading one loads all of Node's streams: our captured copies must be taken first.
const streamNames = [
  'ByteLengthQueuingStrategy', 'CountQueuingStrategy', 'ReadableByteStreamController', 'ReadableStream',
  'ReadableStreamBYOBReader', 'ReadableStreamBYOBRequest', 'ReadableStreamDefaultController',
  'ReadableStreamDefaultReader', 'TextDecoderStream', 'TextEncoderStream', 'TransformStream',
  'TransformStreamDefaultController', 'WritableStream', 'WritableStreamDefaultController', 'WritableStreamDefaultWriter',
];

function setValue(name: string, value: unknown): void {
  defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable: true });
}

// A global that is made on first look, and is an ordinary property from then on.
function setLazy(name: string, make: () => unknown): void {
  defineProperty(globalThis, name, {
    get(): unknown {
      const value = adaptGlobal(name, make());
      setValue(name, value);
      return value;
    },
    set: (value: unknown) => setValue(name, value),
    enumerable: true,
    configurable: true,
  });
}

class Navigator {
  get userAgent(): string {
    return 'Cloudflare-Workers';
  }
  get hardwareConcurrency(): number {
    return 1;
  }
  get language(): string {
    return 'en';
  }
  get languages(): string[] {
    return ['en'];
  }
  get platform(): string {
    return '';
  }
  sendBeacon(): never {
    throw new Error('navigator.sendBeacon is not supported by Holdfast.');
  }
}
setTag(Navigator.prototype, 'Navigator');

function unsupportedClass(name: string): Function {
  const made = {
    [name]: class {
      constructor() {
        throw new Error(`${name} is not supported by Holdfast yet.`);
      }
    },
  };
  return made[name]!;
}

// ------------------------------------------------------------------------------------------------ events of the isolate

const globalTarget = new EventTarget();
const listened = new SafeSet<string>();

function installGlobalEvents(): void {
  setValue('addEventListener', (type: string, ...rest: unknown[]) => {
    listened.add(`${type}`);
    reflectApply(globalTarget.addEventListener, globalTarget, [type, ...rest]);
  });
  setValue('removeEventListener', (...args: unknown[]) =>
    reflectApply(globalTarget.removeEventListener, globalTarget, args),
  );
  setValue('dispatchEvent', (event: Event) => globalTarget.dispatchEvent(event));
  setValue('reportError', (error: unknown) => {
    if (listened.has('error')) {
      const message = Error.isError(error) ? (error as Error).message : String(error);
      const event = new ErrorEvent('error', { error, message, cancelable: true });
      fire(globalTarget, event);
      if (event.defaultPrevented) return;
    }
    reportException('reportError', error);
  });
}

// Rejections that nobody handles: an event for user code, then the log.
function installRejectionEvents(): void {
  realProcess.removeAllListeners('unhandledRejection');
  realProcess.on('unhandledRejection', (reason: unknown, promise: Promise<unknown>) => {
    if (listened.has('unhandledrejection')) {
      const event = new PromiseRejectionEvent('unhandledrejection', { promise, reason, cancelable: true });
      fire(globalTarget, event);
      if (event.defaultPrevented) return;
    }
    reportException('unhandled rejection', reason);
  });
  realProcess.removeAllListeners('rejectionHandled');
  realProcess.on('rejectionHandled', (promise: Promise<unknown>) => {
    if (listened.has('rejectionhandled')) fire(globalTarget, new PromiseRejectionEvent('rejectionhandled', { promise }));
  });
}

// ------------------------------------------------------------------------------------------------ repairs of Node's own

// Node reads a Blob on another thread, and its timer of AbortSignal.timeout is not ours.
function repairHostClasses(): void {
  const { Blob, stream, arrayBuffer } = nodeBlob();
  const here = <T>(promise: Promise<T>): Promise<T> => (frameIfAny() === undefined ? promise : awaitIo(promise));
  const replaced: Record<string, (this: Blob) => unknown> = {
    arrayBuffer() {
      return here(arrayBuffer(this));
    },
    async text() {
      return new TextDecoder().decode(await here(arrayBuffer(this)));
    },
    async bytes() {
      return new Uint8Array(await here(arrayBuffer(this)));
    },
    stream() {
      return streamOfSource(ioStreamSource(stream(this), this.size));
    },
    textStream() {
      return textStreamOf(this);
    },
  };
  for (const name of Object.keys(replaced)) {
    defineProperty(Blob.prototype, name, { value: replaced[name], writable: true, enumerable: true, configurable: true });
  }
  // Workers' text for an abort without a reason.
  const aborted = (): DOMException => new NativeDOMException('The operation was aborted', 'AbortError');
  const { abort } = AbortController.prototype;
  const abortSignal = AbortSignal.abort;
  defineProperty(AbortController.prototype, 'abort', {
    value: function (this: AbortController, reason: unknown = aborted()): void {
      reflectApply(abort, this, [reason]);
    },
    writable: true,
    enumerable: true,
    configurable: true,
  });
  defineProperty(AbortSignal, 'abort', {
    value: (reason: unknown = aborted()): AbortSignal => reflectApply(abortSignal, AbortSignal, [reason]) as AbortSignal,
    writable: true,
    enumerable: true,
    configurable: true,
  });
  const { setTimeout } = webTimers;
  defineProperty(AbortSignal, 'timeout', {
    value: function timeout(delay: number): AbortSignal {
      const controller = new AbortController();
      setTimeout(
        () => controller.abort(new NativeDOMException('The operation was aborted due to timeout', 'TimeoutError')),
        delay,
      );
      return controller.signal;
    },
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

function installNodeGlobals(): void {
  const { Buffer } = nodeRequire('node:buffer') as typeof import('node:buffer');
  setValue('global', globalThis);
  setValue('process', webProcess);
  setValue('Buffer', Buffer);
  setValue('setImmediate', webTimers.setImmediate);
  setValue('clearImmediate', webTimers.clearImmediate);
  const { promisify } = nodeRequire('node:util') as typeof import('node:util');
  defineProperty(webTimers.setTimeout, promisify.custom, {
    value: (delay: number, value: unknown) => scheduler.wait(delay).then(() => value),
  });
}

// Looking at a lazy global of Node, or defining over it, loads it (60 ms for its HTTP client); deleting does not.
function removeForeign(): void {
  const allowed = new SafeSet<PropertyKey>([...language, ...kept]);
  for (const name of ownKeys(globalThis)) {
    if (typeof name !== 'symbol' && !allowed.has(name)) Reflect.deleteProperty(globalThis, name);
  }
}

// Makes the global object what Workers have. Once, before user code is compiled. Throws when the compatibility flags are
// wrong: the text is for whoever deploys.
export function installGlobals(): void {
  requireValidFlags();
  // What is replaced must be captured by then: every module of the runtime has been evaluated.
  const global = globalThis as Record<string, any>;
  repairHostClasses();
  repairAtomics();
  repairWebAssembly();
  removeForeign();
  for (const name of streamNames) {
    setLazy(name, () => {
      const { module } = webStreams();
      return (module as Record<string, unknown>)[name];
    });
  }
  for (const [name, value] of Object.entries({
    Body, Headers, Request, Response, fetch, WebSocket, WebSocketPair, WebSocketRequestResponsePair, MessageEvent,
    CloseEvent, ErrorEvent, PromiseRejectionEvent, MessageChannel, MessagePort, Cache, CacheStorage, Navigator, scheduler,
    setTimeout: webTimers.setTimeout,
    clearTimeout: webTimers.clearTimeout,
    setInterval: webTimers.setInterval,
    clearInterval: webTimers.clearInterval,
    queueMicrotask: webTimers.queueMicrotask,
    structuredClone: structuredCloneHere,
    FinalizationRegistry: reenteringClass('FinalizationRegistry', FinalizationRegistry),
    self: globalThis,
    navigator: new Navigator(),
    caches: new CacheStorage(),
    origin: 'null',
    Cloudflare: { compatibilityFlags: Object.freeze(flagReport()) },
    HTMLRewriter: unsupportedClass('HTMLRewriter'),
    EventSource: unsupportedClass('EventSource'),
  })) {
    setValue(name, value);
  }
  for (const name of ['IdentityTransformStream', 'FixedLengthStream', 'CompressionStream', 'DecompressionStream'] as const) {
    setLazy(name, () => streamClasses()[name]);
  }
  const { get, value } = Object.getOwnPropertyDescriptor(globalThis, 'PerformanceObserver')!;
  setLazy('PerformanceObserver', () =>
    reenteringClass('PerformanceObserver', (get === undefined ? value : reflectApply(get, globalThis, [])) as Function),
  );
  for (const name of ['crypto', 'Crypto', 'SubtleCrypto'] as const) {
    setLazy(name, () => cryptoGlobals()[name]);
  }
  defineProperty(global, 'console', { value: webConsole, writable: true, enumerable: false, configurable: true });
  defineProperty(global, Symbol.toStringTag, { value: 'ServiceWorkerGlobalScope', configurable: true });
  installGlobalEvents();
  installRejectionEvents();
  if (flag('nodejs_compat_v2')) installNodeGlobals();
  else hideForHost();
  adaptGlobals(global);
}

// What Node's HTTP client needs at run time and user code is not told of.
function hideForHost(): void {
  for (const name of ['setImmediate', 'clearImmediate'] as const) {
    defineProperty(globalThis, name, { value: webTimers[name], writable: true, enumerable: false, configurable: true });
  }
}
