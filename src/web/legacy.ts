// What an old compatibility date takes away from the global object, or leaves there as it once was. Everything that a
// flag changes elsewhere asks flag() where it happens.

import { flag } from './compat.ts';
import { SafeWeakMap, defineProperty, reflectApply, taggedPrototypes } from './primordials.ts';
import { streamClasses } from './streams.ts';

const { deleteProperty } = Reflect;
const NativeProxy = Proxy;

// Without the flag: not there.
const kAdded: readonly [string, readonly string[]][] = [
  ['global_navigator', ['navigator', 'Navigator']],
  // MessagePort stays: Node's HTTP client looks for it here. So do WeakRef and FinalizationRegistry (enable_weak_ref).
  ['expose_global_message_channel', ['MessageChannel']],
  [
    'streams_enable_constructors',
    [
      'ReadableByteStreamController', 'ReadableStreamBYOBRequest', 'ReadableStreamDefaultController',
      'TransformStreamDefaultController', 'WritableStreamDefaultController',
    ],
  ],
  [
    'enable_global_performance_classes',
    [
      'PerformanceEntry', 'PerformanceMark', 'PerformanceMeasure', 'PerformanceObserver', 'PerformanceObserverEntryList',
      'PerformanceResourceTiming',
    ],
  ],
];

function hasFlag(name: string): boolean {
  return flag(name);
}

// A class whose `new` does something else; for `instanceof` and subclasses' prototypes it is the class.
function constructing(original: unknown, construct: (args: unknown[]) => object): unknown {
  return new NativeProxy(original as Function, { construct: (_target, args) => construct(args) });
}

function refusing(name: string, original: unknown): unknown {
  return constructing(original, () => {
    throw new Error(
      `To use the new ${name}() constructor, enable the streams_enable_constructors compatibility flag. Refer to the ` +
        'docs for more information: https://developers.cloudflare.com/workers/platform/compatibility-dates/#compatibility-flags',
    );
  });
}

function withoutTag(value: unknown): void {
  const prototype = typeof value === 'function' ? (value.prototype as object | undefined) : undefined;
  if (prototype !== undefined && prototype !== null) deleteProperty(prototype, Symbol.toStringTag);
}

const tags = hasFlag('set_tostring_tag');
const streams = hasFlag('streams_enable_constructors');
const standardTransform = hasFlag('transformstream_enable_standard_constructor');

// A global of ours, as it is first looked at.
export function adaptGlobal(name: string, value: unknown): unknown {
  if (!tags) withoutTag(value);
  if (!streams && (name === 'ReadableStream' || name === 'WritableStream')) return refusing(name, value);
  if (!standardTransform && name === 'TransformStream') {
    return constructing(value, () => {
      const { IdentityTransformStream } = streamClasses();
      return new IdentityTransformStream();
    });
  }
  return value;
}

// Node's own, which are there from the start. Looking at its lazy ones would load them.
const kTagged = [
  'AbortController', 'AbortSignal', 'Blob', 'CustomEvent', 'Event', 'EventTarget', 'Performance', 'TextDecoder',
  'TextEncoder', 'URL', 'URLSearchParams',
];

// spec_compliant_dispatch_exceptions (2026-09-15): before it dispatchEvent() throws what a listener throws, and the listeners
// after it are not called.
function installThrowingDispatch(): void {
  const { addEventListener, removeEventListener, dispatchEvent } = EventTarget.prototype;
  const wrappers = new SafeWeakMap<object, (event: Event) => unknown>();
  let dispatched: { event: Event; failed: boolean; error: unknown } | undefined;
  const wrap = (listener: unknown): unknown => {
    if (typeof listener !== 'function' && (typeof listener !== 'object' || listener === null)) return listener;
    const known = wrappers.get(listener);
    if (known !== undefined) return known;
    const wrapper = function (this: unknown, event: Event): unknown {
      const own = dispatched?.event === event ? dispatched : undefined;
      if (own?.failed === true) return undefined;
      try {
        if (typeof listener === 'function') return reflectApply(listener as never, this, [event]);
        return (listener as EventListenerObject).handleEvent(event);
      } catch (error) {
        if (own === undefined) throw error;
        own.failed = true;
        own.error = error;
        return undefined;
      }
    };
    wrappers.set(listener, wrapper);
    return wrapper;
  };
  const replaced = {
    addEventListener(this: EventTarget, type: string, listener: unknown, ...rest: unknown[]): void {
      reflectApply(addEventListener, this, [type, wrap(listener), ...rest] as never);
    },
    removeEventListener(this: EventTarget, type: string, listener: unknown, ...rest: unknown[]): void {
      reflectApply(removeEventListener, this, [type, wrap(listener), ...rest] as never);
    },
    dispatchEvent(this: EventTarget, event: Event): boolean {
      const outer = dispatched;
      const own = { event, failed: false, error: undefined as unknown };
      dispatched = own;
      try {
        const result = reflectApply(dispatchEvent, this, [event]) as boolean;
        if (own.failed) throw own.error;
        return result;
      } finally {
        dispatched = outer;
      }
    },
  };
  for (const [name, value] of Object.entries(replaced)) {
    defineProperty(EventTarget.prototype, name, { value, writable: true, enumerable: true, configurable: true });
  }
}

// Once, when all the globals are there.
export function adaptGlobals(global: Record<string, any>): void {
  for (const [name, globals] of kAdded) {
    if (hasFlag(name)) continue;
    for (const gone of globals) deleteProperty(global, gone);
  }
  if (!tags) {
    for (const name of kTagged) withoutTag(global[name]);
    taggedPrototypes().forEach((prototype) => deleteProperty(prototype, Symbol.toStringTag));
  }
  if (!hasFlag('spec_compliant_dispatch_exceptions')) installThrowingDispatch();
  const { navigator } = global;
  if (!hasFlag('enable_navigator_language') && navigator !== undefined) {
    deleteProperty(Object.getPrototypeOf(navigator), 'language');
  }
  if (!hasFlag('no_global_importscripts')) {
    const importScripts = (): never => {
      throw new Error("Failed to execute 'importScripts' on 'WorkerGlobalScope': the method is not implemented.");
    };
    defineProperty(global, 'importScripts', { value: importScripts, writable: true, enumerable: true, configurable: true });
  }
  if (!hasFlag('urlsearchparams_delete_has_value_arg')) {
    const prototype = URLSearchParams.prototype as unknown as Record<string, (name: unknown) => unknown>;
    for (const method of ['delete', 'has']) {
      const original = prototype[method]!;
      const value = {
        [method](this: URLSearchParams, name: unknown): unknown {
          return reflectApply(original, this, [name]);
        },
      }[method];
      defineProperty(prototype, method, { value, writable: true, enumerable: true, configurable: true });
    }
  }
}
