// What a stateless event runs in: RequestContext, and the `ctx` that its handler gets.

import { IoContext, type Section, enqueueTurn, stopResources } from '../web/io.ts';
import { flag } from '../web/compat.ts';
import { kIllegalInvocation } from '../web/headers.ts';
import { SafeSet, defineProperty, promiseResolve, promiseThen, setTag } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import { holdsSocket } from '../web/websocket/websocket.ts';

const kInternal = Symbol('internal');
const hasExports = flag('enable_ctx_exports');

const live = new SafeSet<RequestContext>();
let onQuiet: (() => void) | undefined;

// Contexts that still need this isolate.
export function contextCount(): number {
  return live.size;
}

// Of these, the ones that wait for more than a socket.
export function busyContextCount(): number {
  let busy = 0;
  live.forEach((context) => {
    if (context.isBusy) busy++;
  });
  return busy;
}

export function setContextListener(listener: () => void): void {
  onQuiet = listener;
}

// Lives while its handler runs, its response streams, its waitUntil tasks run or its sockets are open. What is still
// pending then is dropped.
export class RequestContext extends IoContext {
  readonly where: string = '';
  readonly frame = { context: this, section: null };
  #holds = 1;
  #ended = false;

  constructor() {
    super();
    live.add(this);
  }

  get isBusy(): boolean {
    return this.#holds > 0;
  }

  override get isOver(): boolean {
    return this.#ended;
  }

  enter(_section: Section | null, run: () => void): void {
    if (!this.#ended) enqueueTurn(this.frame, run);
  }

  waitForOutput(): undefined {
    return undefined;
  }

  override hold(): void {
    this.#holds++;
  }

  // The handler has ended and its answer has left: call it once for the context itself, and once for each hold.
  override release(): void {
    if (--this.#holds === 0) this.#endIfFree();
  }

  addTask(promise: Promise<unknown>): void {
    this.hold();
    promiseThen(
      promise,
      () => this.release(),
      (error) => {
        reportException('waitUntil', error, this.where);
        this.release();
      },
    );
  }

  beginIo(): void {}

  endIo(): void {
    if (this.#holds === 0) this.#endIfFree();
  }

  #endIfFree(): void {
    if (this.#ended || this.#holds > 0) return;
    if (!holdsSocket(this)) {
      this.#ended = true;
      live.delete(this);
      stopResources(this);
    }
    onQuiet?.();
  }
}

export class ExecutionContext {
  readonly #context: RequestContext;
  readonly #exports: () => unknown;
  declare props: unknown;

  constructor(token: symbol, context: RequestContext, props: unknown, exports: () => unknown) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#context = context;
    this.#exports = exports;
    this.props = props;
  }

  waitUntil(...args: [promise?: unknown]): void {
    if (!(#context in this)) throw new TypeError(kIllegalInvocation);
    if (args.length === 0) {
      throw new TypeError("Failed to execute 'waitUntil' on 'ExecutionContext': parameter 1 is not of type 'Promise'.");
    }
    this.#context.addTask(promiseResolve(args[0]));
  }

  passThroughOnException(): void {
    if (!(#context in this)) throw new TypeError(kIllegalInvocation);
  }

  // Made on first look; an ordinary property from then on.
  get exports(): unknown {
    const exports = hasExports ? this.#exports() : undefined;
    defineProperty(this, 'exports', { value: exports, writable: true, enumerable: true, configurable: true });
    return exports;
  }
  set exports(value: unknown) {
    defineProperty(this, 'exports', { value, writable: true, enumerable: true, configurable: true });
  }
}
setTag(ExecutionContext.prototype, 'ExecutionContext');

export function makeExecutionContext(context: RequestContext, props: unknown, exports: () => unknown): ExecutionContext {
  return new ExecutionContext(kInternal, context, props, exports);
}
