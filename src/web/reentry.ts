// Built-ins of V8 and Node that call user code, or settle its promises, from outside any turn: each comes back as an event
// of the context that used it. (Timers, fetch, crypto and the like have files of their own.)
//
//   Atomics.waitAsync, FinalizationRegistry, PerformanceObserver   re-enter
//   WebAssembly.compile and instantiate of bytes                   are refused in handlers, as Workers do
//   streams and ports in structuredClone's `transfer`              are refused: Node would pump them by itself

import { webStreams } from './host_modules.ts';
import { awaitIo, frameIfAny, isHost } from './io.ts';
import {
  NativeArrayBuffer,
  defineProperty,
  hostStructuredClone,
  promiseReject,
  reflectApply,
  reflectConstruct,
} from './primordials.ts';
import { reportException } from './report.ts';

type AnyFunction = (...args: any[]) => any;

// A callback that Node calls whenever it likes.
function reentering(name: string, callback: unknown): unknown {
  const frame = frameIfAny();
  if (frame === undefined || typeof callback !== 'function') return callback;
  return function (this: unknown, ...args: unknown[]): void {
    frame.context.enter(frame.section, () => {
      try {
        reflectApply(callback as AnyFunction, this, args);
      } catch (error) {
        reportException(name, error);
      }
    });
  };
}

// A class whose constructor's first argument is such a callback.
export function reenteringClass(name: string, original: Function): Function {
  const replaced: Function = new Proxy(original, {
    construct: (target, args, newTarget): object =>
      reflectConstruct(target, [reentering(name, args[0]), ...args.slice(1)], newTarget === replaced ? target : newTarget) as object,
  });
  defineProperty(original.prototype, 'constructor', { value: replaced, writable: true, configurable: true });
  return replaced;
}

export function repairAtomics(): void {
  const { waitAsync } = Atomics as unknown as { waitAsync: AnyFunction };
  defineProperty(Atomics, 'waitAsync', {
    value: function (...args: unknown[]): { async: boolean; value: unknown } {
      const result = reflectApply(waitAsync, Atomics, args) as { async: boolean; value: unknown };
      if (result.async && frameIfAny() !== undefined) result.value = awaitIo(result.value as Promise<unknown>);
      return result;
    },
    writable: true,
    configurable: true,
  });
}

// Node's HTTP client compiles its parser at run time, and finds it here as well.
export function repairWebAssembly(): void {
  const wasm = WebAssembly as unknown as Record<string, any>;
  const { compile, instantiate, Module, CompileError } = wasm as Record<string, AnyFunction & Function>;
  const isAllowed = (): boolean => frameIfAny() === undefined || isHost();
  const refusal = (name: string): Error =>
    reflectConstruct(CompileError as Function, [`WebAssembly.${name}(): Wasm code generation disallowed by embedder`]) as Error;
  const replace = (name: string, value: Function): void => {
    defineProperty(value, 'name', { value: name, configurable: true });
    defineProperty(wasm, name, { value, writable: true, configurable: true });
  };
  replace('compile', (...args: unknown[]) =>
    isAllowed() ? reflectApply(compile!, wasm, args) : promiseReject(refusal('compile')));
  replace('instantiate', (...args: unknown[]) =>
    isAllowed() || args[0] instanceof Module!
      ? reflectApply(instantiate!, wasm, args)
      : promiseReject(refusal('instantiate')));
  const replaced: Function = new Proxy(Module!, {
    construct(target, args, newTarget): object {
      if (!isAllowed()) throw refusal('Module');
      return reflectConstruct(target, args, newTarget === replaced ? target : newTarget) as object;
    },
  });
  defineProperty(Module!.prototype as object, 'constructor', { value: replaced, writable: true, configurable: true });
  defineProperty(wasm, 'Module', { value: replaced, writable: true, configurable: true });
  delete wasm['compileStreaming'];
  delete wasm['instantiateStreaming'];
}

// Of Node's classes only ArrayBuffers may be given away.
function checkTransfer(transfer: unknown): void {
  if (transfer === undefined || transfer === null) return;
  for (const item of transfer as Iterable<unknown>) {
    if (!(item instanceof NativeArrayBuffer)) throw new TypeError('Object is not transferable');
  }
}

export function structuredCloneHere(...args: [value: unknown, options?: StructuredSerializeOptions]): unknown {
  if (args.length > 1) checkTransfer(args[1]?.transfer);
  return reflectApply(hostStructuredClone as AnyFunction, undefined, args);
}
defineProperty(structuredCloneHere, 'name', { value: 'structuredClone', configurable: true });

// Node decodes a Blob's text as a stream by itself.
export function textStreamOf(blob: Blob): ReadableStream {
  const { TextDecoderStream } = webStreams().module as unknown as typeof globalThis;
  return blob.stream().pipeThrough(new TextDecoderStream() as never);
}
