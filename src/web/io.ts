// Turns and contexts: who is running, and how results of I/O get back into JavaScript.
//
// Everything asynchronous enters user code through a turn (see native.ts). A turn belongs to one `IoContext`: a request
// of a stateless entrypoint, or a live Durable Object. The context, with the critical section that was current, travels
// through promises in an AsyncLocalStorage, so that whatever user code starts (a timer, a fetch, a crypto operation) is
// handed back to the right object, through the right gate. This is the only door: an object's code never resumes by
// another way.

import type { ErrorData } from './errors.ts';
import { AsyncLocalStorage, native } from './host.ts';
import { NativePromise, SafeSet, arrayPush, arraySlice, promiseThen } from './primordials.ts';

// One nested input gate (blockConcurrencyWhile, transaction); opaque here, owned by actor/.
export interface Section {
  readonly depth: number;
}

// Something that stops when its context ends: a timer, a socket, a fetch.
export interface ContextResource {
  stop(): void;
}

export abstract class IoContext {
  // "" or the object's id, for the log.
  abstract readonly where: string;
  // Queues `run` as an event of this context under `section`'s gate (null: the context's own gate). Runs in a turn of
  // its own, or never, when the context has ended (aborted, evicted) by then.
  abstract enter(section: Section | null, run: () => void): void;
  // Undefined when everything written so far is durable; otherwise resolves (outside a turn!) when it is, and rejects
  // when the gate is broken. Output that leaves the context waits for it.
  abstract waitForOutput(): Promise<void> | undefined;
  // Keeps the context alive until `promise` settles (waitUntil and pending I/O). Rejections are logged.
  abstract addTask(promise: Promise<unknown>): void;
  // Counts I/O that is under way (timers, fetches): the context is not idle meanwhile.
  abstract beginIo(): void;
  abstract endIo(): void;
  // Keeps the context alive for something that is not I/O of its own: what it has lent to others.
  hold(): void {
    this.beginIo();
  }
  release(): void {
    this.endIo();
  }
  // A stub that this context got stays usable until it is disposed: the context waits for it.
  holdsStubs: boolean = false;
  // It serves one call from outside, and ends behind the calls on that one's result.
  isSession: boolean = false;
  // Nothing runs in it any more.
  get isOver(): boolean {
    return false;
  }
  // Why it is over, when it was reset.
  get resetError(): ErrorData | undefined {
    return undefined;
  }
  // Kept by addResource and removeResource.
  resources: Set<ContextResource> | undefined = undefined;
}

export function addResource(context: IoContext, resource: ContextResource): void {
  (context.resources ??= new SafeSet<ContextResource>()).add(resource);
}

export function removeResource(context: IoContext, resource: ContextResource): void {
  context.resources?.delete(resource);
}

// To be called when a context ends: its timers fire no more, its sockets are cut, its fetches are dropped.
export function stopResources(context: IoContext): void {
  const { resources } = context;
  context.resources = undefined;
  if (resources === undefined) return;
  resources.forEach((resource) => resource.stop());
}

export interface Frame {
  readonly context: IoContext;
  readonly section: Section | null;
}

// Under this frame Node's own machinery runs for us (its HTTP client): no turn, no user code.
export const hostFrame: Frame = { context: undefined as never, section: null };

export const frames: InstanceType<typeof AsyncLocalStorage<Frame>> = new AsyncLocalStorage<Frame>();

const kNoContext =
  'Disallowed operation called within global scope. Asynchronous I/O (ex: fetch() or connect()), setting a timeout, and ' +
  'generating random values are not allowed within global scope. To fix this error, perform this operation within a handler. ' +
  'https://developers.cloudflare.com/workers/runtime-apis/handlers/';

// The running frame. Throws Cloudflare's text at global scope.
export function currentFrame(): Frame {
  const frame = frames.getStore();
  if (frame === undefined || frame === hostFrame) throw new Error(kNoContext);
  return frame;
}

// The running frame, or undefined at global scope.
export function frameIfAny(): Frame | undefined {
  const frame = frames.getStore();
  return frame === hostFrame ? undefined : frame;
}

// For the log: "" or the id of the object that is running.
export function currentWhere(): string {
  return frameIfAny()?.context.where ?? '';
}

// Runs Node's own code so that what it starts belongs to no context.
export function runAsHost<T>(run: () => T): T {
  return frames.run(hostFrame, run);
}

// User code has got AsyncLocalStorage. What it keeps there passes through promises by itself; a callback that waits for
// something else has to be bound to it, which costs more than most callbacks.
let storesAreUsed = false;
const bindToStores: (run: () => void) => () => void = AsyncLocalStorage.bind.bind(AsyncLocalStorage);
export function userStoresAreUsed(): void {
  storesAreUsed = true;
}
export function withUserStores(run: () => void): () => void {
  return storesAreUsed ? bindToStores(run) : run;
}

let turnsHaveRun = false;

// True when the caller is Node's own code: it finds our timers in the global object. (User code runs without a frame only
// while modules are evaluated, before the first turn.)
export function isHost(): boolean {
  const frame = frames.getStore();
  return frame === hostFrame || (frame === undefined && turnsHaveRun);
}

interface Turn {
  frame: Frame;
  run: () => void;
}

// A ring would save the shift; arrays of a few entries do as well.
let queue: Turn[] = [];
let head = 0;

// Queues one turn. `run` must not throw: what user code throws is caught by whoever made the turn.
export function enqueueTurn(frame: Frame, run: () => void): void {
  arrayPush(queue, { frame, run });
  if (queue.length - head === 1) native.wake();
}

// Runs the oldest queued turn; true when more are queued. Called by C++ only, inside a node::CallbackScope.
export function runTurn(): boolean {
  const turn = queue[head];
  if (turn === undefined) return false;
  head++;
  if (head === queue.length) {
    queue = [];
    head = 0;
  } else if (head > 1024) {
    queue = arraySlice(queue, head);
    head = 0;
  }
  turnsHaveRun = true;
  // The caller's scope ends what this begins. frames.run() would end it here and cost two maps, a scope kept by the frame
  // ten times as much as the map that is made here.
  frames.enterWith(turn.frame);
  turn.run();
  return head < queue.length;
}

// Wraps a promise of Node's own I/O: it settles inside a turn of the context that called this.
// Every API that user code can await and that Node completes by itself goes through here.
export function awaitIo<T>(promise: PromiseLike<T>): Promise<T> {
  const { context, section } = currentFrame();
  context.beginIo();
  return new NativePromise<T>((resolve, reject) => {
    const back = (settle: () => void): void => {
      context.enter(section, () => {
        context.endIo();
        settle();
      });
    };
    promiseThen(
      promise as Promise<T>,
      (value) => back(() => resolve(value)),
      (error: unknown) => back(() => reject(error as Error)),
    );
  });
}
