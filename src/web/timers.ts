// setTimeout and its family: each callback is an event of the context that set it, under the critical section that was
// current then (spec A.2). Timers end with their context.

import { flag } from './compat.ts';
import {
  type ContextResource,
  type IoContext,
  type Section,
  addResource,
  currentFrame,
  isHost,
  removeResource,
  withUserStores,
} from './io.ts';
import { NativePromise, SafeMap, defineProperty, hostQueueMicrotask, promiseReject, reflectApply, setTag } from './primordials.ts';
import { reportException } from './report.ts';
import { type Due, addDue, removeDue } from './timer_queue.ts';

const nodeSetTimeout = setTimeout;
const nodeSetInterval = setInterval;
const nodeClearTimeout = clearTimeout;
const kDelayMax = 2_147_483_647;

let lastId = 0;
const timers = new SafeMap<number, Timer>();

class Timer implements ContextResource, Due {
  readonly id = ++lastId;
  readonly context: IoContext;
  readonly section: Section | null;
  readonly delay: number;
  readonly repeats: boolean;
  readonly run: () => void;
  place = -1;

  constructor(delay: number, repeats: boolean, run: () => void) {
    const { context, section } = currentFrame();
    this.context = context;
    this.section = section;
    this.delay = delay;
    this.repeats = repeats;
    this.run = run;
    timers.set(this.id, this);
    addResource(context, this);
    context.beginIo();
    this.arm();
  }

  arm(): void {
    addDue(this, this.delay);
  }

  due(): void {
    this.context.enter(this.section, () => {
      if (!timers.has(this.id)) return; // cleared while it was queued
      if (!this.repeats) this.end();
      this.run();
      if (this.repeats && timers.has(this.id)) this.arm();
    });
  }

  end(): void {
    if (!timers.has(this.id)) return;
    timers.delete(this.id);
    removeResource(this.context, this);
    removeDue(this);
    this.context.endIo();
  }

  stop(): void {
    timers.delete(this.id);
    removeDue(this);
  }
}

// What setTimeout returns under enable_nodejs_global_timers.
class Timeout {
  readonly #timer: Timer;

  constructor(timer: Timer) {
    this.#timer = timer;
  }

  refresh(): this {
    const timer = this.#timer;
    if (timers.has(timer.id) && timer.place >= 0) {
      removeDue(timer);
      timer.arm();
    }
    return this;
  }

  unref(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  hasRef(): boolean {
    return timers.has(this.#timer.id);
  }

  close(): this {
    this.#timer.end();
    return this;
  }

  [Symbol.toPrimitive](): number {
    return this.#timer.id;
  }

  [Symbol.dispose](): void {
    this.#timer.end();
  }
}
setTag(Timeout.prototype, 'Timeout');

const returnsObjects = flag('enable_nodejs_global_timers');

function delayOf(value: unknown): number {
  const delay = Number(value);
  return delay >= 1 && delay <= kDelayMax ? Math.trunc(delay) : delay > kDelayMax ? kDelayMax : 0;
}

function notFunction(name: string): TypeError {
  return new TypeError(`Failed to execute '${name}' on 'ServiceWorkerGlobalScope': parameter 1 is not of type 'function'.`);
}

function callbackRunner(name: string, callback: unknown, args: unknown[]): () => void {
  if (typeof callback !== 'function') {
    throw notFunction(name);
  }
  return withUserStores(() => {
    try {
      reflectApply(callback as () => void, undefined, args);
    } catch (error) {
      reportException(name, error);
    }
  });
}

export type TimerHandle = number | Timeout;

function handleOf(timer: Timer): TimerHandle {
  return returnsObjects ? new Timeout(timer) : timer.id;
}

function setTimeoutHere(callback: (...args: any[]) => void, delay?: number, ...args: unknown[]): TimerHandle {
  if (isHost()) return nodeSetTimeout(callback, delay, ...args) as never;
  return handleOf(new Timer(delayOf(delay), false, callbackRunner('setTimeout', callback, args)));
}

function setIntervalHere(callback: (...args: any[]) => void, delay?: number, ...args: unknown[]): TimerHandle {
  if (isHost()) return nodeSetInterval(callback, delay, ...args) as never;
  return handleOf(new Timer(delayOf(delay), true, callbackRunner('setInterval', callback, args)));
}

function setImmediateHere(callback: (...args: any[]) => void, ...args: unknown[]): TimerHandle {
  if (isHost()) return nodeSetTimeout(callback, 0, ...args) as never;
  return handleOf(new Timer(0, false, callbackRunner('setImmediate', callback, args)));
}

function clear(handle: unknown): void {
  if (handle === undefined || handle === null) return;
  if (isHost()) return nodeClearTimeout(handle as NodeJS.Timeout);
  const id = typeof handle === 'number' ? handle : Number(handle as number);
  timers.get(id)?.end();
}

function named<F extends (...args: any[]) => any>(name: string, fn: F): F {
  defineProperty(fn, 'name', { value: name, configurable: true });
  return fn;
}

export const webTimers = {
  setTimeout: named('setTimeout', setTimeoutHere),
  setInterval: named('setInterval', setIntervalHere),
  setImmediate: named('setImmediate', setImmediateHere),
  clearTimeout: named('clearTimeout', (handle?: unknown) => clear(handle)),
  clearInterval: named('clearInterval', (handle?: unknown) => clear(handle)),
  queueMicrotask: named('queueMicrotask', (callback: () => void) => {
    if (typeof callback !== 'function') throw notFunction('queueMicrotask');
    hostQueueMicrotask(callback);
  }),
  clearImmediate: named('clearImmediate', (handle?: unknown) => clear(handle)),
};

// A promise that resolves after `delay` in a turn; rejects with the signal's reason when that fires first.
export function wait(delay: number, signal: AbortSignal | undefined): Promise<void> {
  return new NativePromise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const timer = new Timer(delayOf(delay), false, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    const abort = (): void => {
      timer.end();
      reject(signal!.reason as Error);
    };
    signal?.addEventListener('abort', abort, { once: true });
  });
}

class Scheduler {
  wait(delay: number, options: { signal?: AbortSignal } | undefined = undefined): Promise<void> {
    if (delay === undefined) {
      return promiseReject(new TypeError("Failed to execute 'wait' on 'Scheduler': parameter 1 is not of type 'number'."));
    }
    return wait(delay, options?.signal);
  }
}
setTag(Scheduler.prototype, 'Scheduler');

export const scheduler = new Scheduler();

// How many timers are set in this isolate.
export function timerCount(): number {
  return timers.size;
}

