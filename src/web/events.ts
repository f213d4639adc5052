// Event classes that Workers have and Node lacks or loads late, and dispatching them safely.

import { defineProperty, makeEnumerable, setTag, uncurryThis } from './primordials.ts';
import { reportException } from './report.ts';

const NativeEvent = Event;
const dispatch = uncurryThis(EventTarget.prototype.dispatchEvent as any) as (target: EventTarget, event: Event) => boolean;

export interface MessageEventInit extends EventInit {
  data?: unknown;
  origin?: string | null;
  lastEventId?: string;
  source?: unknown;
  ports?: unknown[];
}

export class MessageEvent extends NativeEvent {
  #data: unknown;
  #origin: string | null;
  #lastEventId: string;
  #source: unknown;
  #ports: unknown[];

  constructor(type: string, init: MessageEventInit = {}) {
    super(type, init);
    this.#data = init.data === undefined ? null : init.data;
    this.#origin = init.origin === undefined ? '' : init.origin;
    this.#lastEventId = init.lastEventId ?? '';
    this.#source = init.source ?? null;
    this.#ports = init.ports ?? [];
  }

  get data(): unknown {
    return this.#data;
  }
  get origin(): string | null {
    return this.#origin;
  }
  get lastEventId(): string {
    return this.#lastEventId;
  }
  get source(): unknown {
    return this.#source;
  }
  get ports(): unknown[] {
    return this.#ports;
  }
}
setTag(MessageEvent.prototype, 'MessageEvent');
makeEnumerable(MessageEvent.prototype, ['data', 'origin', 'lastEventId', 'source', 'ports']);

export interface CloseEventInit extends EventInit {
  code?: number;
  reason?: string;
  wasClean?: boolean;
}

export class CloseEvent extends NativeEvent {
  #code: number;
  #reason: string;
  #wasClean: boolean;

  constructor(type: string, init: CloseEventInit = {}) {
    if (type === undefined) {
      throw new TypeError("Failed to construct 'CloseEvent': constructor parameter 1 is not of type 'string'.");
    }
    super(type, init);
    this.#code = init.code ?? 0;
    this.#reason = init.reason ?? '';
    this.#wasClean = init.wasClean ?? false;
  }

  get code(): number {
    return this.#code;
  }
  get reason(): string {
    return this.#reason;
  }
  get wasClean(): boolean {
    return this.#wasClean;
  }
}
setTag(CloseEvent.prototype, 'CloseEvent');
makeEnumerable(CloseEvent.prototype, ['code', 'reason', 'wasClean']);

export interface ErrorEventInit extends EventInit {
  message?: string;
  filename?: string;
  lineno?: number;
  colno?: number;
  error?: unknown;
}

export class ErrorEvent extends NativeEvent {
  #init: ErrorEventInit;

  constructor(type: string, init: ErrorEventInit = {}) {
    super(type, init);
    this.#init = init;
  }

  get message(): string {
    return this.#init.message ?? '';
  }
  get filename(): string {
    return this.#init.filename ?? '';
  }
  get lineno(): number {
    return this.#init.lineno ?? 0;
  }
  get colno(): number {
    return this.#init.colno ?? 0;
  }
  get error(): unknown {
    return this.#init.error;
  }
}
setTag(ErrorEvent.prototype, 'ErrorEvent');
makeEnumerable(ErrorEvent.prototype, ['message', 'filename', 'lineno', 'colno', 'error']);

export class PromiseRejectionEvent extends NativeEvent {
  readonly #promise: Promise<unknown>;
  readonly #reason: unknown;

  constructor(type: string, init: EventInit & { promise: Promise<unknown>; reason?: unknown }) {
    super(type, init);
    this.#promise = init.promise;
    this.#reason = init.reason;
  }

  get promise(): Promise<unknown> {
    return this.#promise;
  }
  get reason(): unknown {
    return this.#reason;
  }
}
setTag(PromiseRejectionEvent.prototype, 'PromiseRejectionEvent');
makeEnumerable(PromiseRejectionEvent.prototype, ['promise', 'reason']);

// Dispatches within the current turn: to an `on<type>` property, then to listeners. What they throw is reported; the
// other listeners still run. (What listeners throw is reported by Node through the process, see globals.ts.)
export function fire(target: EventTarget, event: Event): void {
  const handler = (target as any)[`on${event.type}`];
  if (typeof handler === 'function') {
    // It is called as the first listener, before the dispatch gives the event its target.
    defineProperty(event, 'target', { value: target, configurable: true });
    defineProperty(event, 'currentTarget', { value: target, configurable: true });
    try {
      handler.call(target, event);
    } catch (error) {
      reportException(event.type, error);
    }
  }
  dispatch(target, event);
}
