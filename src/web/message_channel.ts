// MessageChannel within one isolate: a message is a structured clone, delivered as an event of the context that started
// the receiving port.

import { MessageEvent, fire } from './events.ts';
import { type Frame, frameIfAny } from './io.ts';
import { arrayPush, hostQueueMicrotask, setTag } from './primordials.ts';
import { structuredCloneHere } from './reentry.ts';

const kInternal = Symbol('internal');
let entangle: (a: MessagePort, b: MessagePort) => void;

export class MessagePort extends EventTarget {
  #peer: MessagePort | undefined;
  #frame: Frame | undefined;
  #started = false;
  #waiting: unknown[] = [];
  #handler: unknown = null;

  static {
    entangle = (a, b) => {
      a.#peer = b;
      b.#peer = a;
    };
  }

  constructor(token: symbol) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    super();
  }

  postMessage(value: unknown, options: Transferable[] | StructuredSerializeOptions | undefined = undefined): void {
    const transfer = Array.isArray(options) ? { transfer: options } : options;
    const copy = structuredCloneHere(value, transfer);
    const peer = this.#peer;
    if (peer !== undefined) peer.#take(copy);
  }

  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#frame = frameIfAny();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let i = 0; i < waiting.length; i++) this.#take(waiting[i]);
  }

  close(): void {
    const peer = this.#peer;
    if (peer !== undefined) peer.#peer = undefined;
    this.#peer = undefined;
  }

  get onmessage(): unknown {
    return this.#handler;
  }

  set onmessage(handler: unknown) {
    this.#handler = handler;
    this.start();
  }

  #take(data: unknown): void {
    if (!this.#started) {
      arrayPush(this.#waiting, data);
      return;
    }
    const deliver = (): void => fire(this, new MessageEvent('message', { data }));
    if (this.#frame === undefined) hostQueueMicrotask(deliver);
    else this.#frame.context.enter(this.#frame.section, deliver);
  }
}
setTag(MessagePort.prototype, 'MessagePort');

export class MessageChannel {
  readonly port1: MessagePort;
  readonly port2: MessagePort;

  constructor() {
    this.port1 = new MessagePort(kInternal);
    this.port2 = new MessagePort(kInternal);
    entangle(this.port1, this.port2);
  }
}
setTag(MessageChannel.prototype, 'MessageChannel');
