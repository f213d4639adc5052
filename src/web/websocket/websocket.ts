// Server-side WebSockets over native pipes, and the socket class that clients (client.ts) share (spec 7.1 to 7.4).
//
//   fresh ──accept()──────────────► accepted ──┐
//     │───acceptHibernatable()────► hibernatable├─ close frames both ways, or the pipe gone ─► released
//     └───couple() (in a Response)► coupled     │
//   `new WebSocket(url)` starts as a client ────┘
//
// 1. Events reach user code only through `enter` of the context that accepted the socket, in the order they came.
// 2. What is sent leaves in order, each message after the output gate that was current when it was sent.
// 3. closedOut: our Close frame has been sent or queued. closedIn: the peer's Close frame has been delivered to user code.

import { giveAttributes, moveAttributes } from '../attributes.ts';
import { flag } from '../compat.ts';
import { CloseEvent, ErrorEvent, MessageEvent, fire } from '../events.ts';
import { kIllegalInvocation } from '../headers.ts';
import { native } from '../host.ts';
import { nodeBlob } from '../host_modules.ts';
import { showProperties } from '../inspect.ts';
import { type IoContext, type Section, addResource, currentFrame, frameIfAny, removeResource } from '../io.ts';
import {
  NativeArrayBuffer,
  NativeUint8Array,
  SafeMap,
  arrayPush,
  arrayShift,
  defineProperty,
  encodeUtf8,
  isView,
  makeEnumerable,
  promiseThen,
  setTag,
} from '../primordials.ts';
import { startClient } from './client.ts';

export const kDisconnected = 'WebSocket disconnected without sending Close frame.';
const kNotAccepted =
  'You must call one of accept() or state.acceptWebSocket() on this WebSocket before sending messages.';
const kTooLarge = "A WebSocket message does not fit into the Worker's memory.";
const kAttachmentBytesMax = 16_384;
const kReasonBytesMax = 123;
const kReadyStates = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 } as const;

export const repliesToClose = flag('web_socket_auto_reply_to_close');
const defaultBinaryType = flag('websocket_standard_binary_type') ? 'blob' : 'arraybuffer';
const limitsReason = flag('websocket_close_reason_byte_limit');
const NativeDOMException = DOMException;

// What a socket talks through: a pipe's end, or a client's connection.
export interface Transport {
  // False: the other side is gone.
  send(data: string | ArrayBuffer | Uint8Array): boolean;
  close(code: number, reason: string): void;
  abort(): void;
  // Both Close frames have been exchanged, or the other side is gone: nothing more will come or go.
  finish(): void;
  // The oldest message has been handled.
  ack(): void;
  // From now on `incoming` is called; what came before has waited.
  start(): void;
}

export type Incoming =
  | { kind: 'message'; data: string | ArrayBuffer }
  | { kind: 'close'; code: number; reason: string; wasClean: boolean }
  | { kind: 'error'; error: Error };

// Who takes the events of a hibernatable socket. Called outside a turn, in order. The sink makes a turn of it, calls
// `applyIncoming(ws, incoming)` there just before the handler, and `ackSocket(ws)` when the synchronous part of the
// handler of a message has run.
export interface HibernatableSink {
  deliver(ws: WebSocket, incoming: Incoming): void;
}

type Stage = 'fresh' | 'accepted' | 'hibernatable' | 'coupled' | 'client';

interface Outgoing {
  gate: Promise<unknown> | undefined;
  data: string | ArrayBuffer | Uint8Array | undefined; // undefined: a close
  code: number;
  reason: string;
}

export class SocketState {
  readonly ws: WebSocket;
  stage: Stage = 'fresh';
  end = 0; // the pipe's, 0 for a client
  transport: Transport | undefined;
  peer: SocketState | undefined; // the other end of a pair, while it is here
  owner: IoContext | undefined;
  section: Section | null = null;
  sink: HibernatableSink | undefined;
  connecting = false;
  closedOut = false;
  closedIn = false;
  ended = false; // the last event of the peer has arrived, though user code may not have seen it yet
  released = false;
  autoReply = false;
  url: string | null = null;
  protocol: string | null = '';
  extensions: string | null = '';
  binaryType: string = defaultBinaryType;
  attachment: ArrayBuffer | undefined;
  queue: Outgoing[] | undefined; // the first is waiting for its gate
  holdsIo = false;
  creator: IoContext | undefined;

  constructor(ws: WebSocket) {
    this.ws = ws;
  }

  // The context that owns this socket has ended.
  stop(): void {
    if (this.released || this.stage === 'coupled') return;
    this.queue = undefined;
    this.closedOut = true;
    this.closedIn = true;
    this.released = true;
    if (this.end !== 0) attached.delete(this.end);
    if (this.transport !== undefined) this.transport.abort();
  }
}

// Whether a socket that somebody still listens to keeps `context` up.
export function holdsSocket(context: IoContext): boolean {
  let holds = false;
  context.resources?.forEach((resource) => {
    if (resource instanceof SocketState && resource.holdsIo && !resource.released) holds = true;
  });
  return holds;
}

class PipeTransport implements Transport {
  readonly #end: number;
  constructor(end: number) {
    this.#end = end;
  }
  send(data: string | ArrayBuffer | Uint8Array): boolean {
    return native.pipeSend(this.#end, data);
  }
  close(code: number, reason: string): void {
    native.pipeClose(this.#end, code, reason);
  }
  abort(): void {
    native.pipeAbort(this.#end);
  }
  finish(): void {
    native.pipeAbort(this.#end); // the pipe can be forgotten
  }
  ack(): void {
    native.pipeAck(this.#end);
  }
  start(): void {
    native.pipeAttach(this.#end);
  }
}

// Ends that this isolate has attached.
export const attached = new SafeMap<number, SocketState>();

let stateOf: (ws: WebSocket) => SocketState;
let isSocket: (value: unknown) => value is WebSocket;
const kInternal = Symbol('internal');

function checkClose(code: number | undefined, reason: string | undefined): void {
  if (code !== undefined) {
    if (!(code >= 1000 && code <= 4999) || code === 1004 || code === 1005 || code === 1006 || code === 1015) {
      throw new NativeDOMException(`Invalid WebSocket close code: ${code}.`, 'InvalidAccessError');
    }
  }
  if (reason === undefined) return;
  if (code === undefined) {
    throw new NativeDOMException(
      'If you specify a WebSocket close reason, you must also specify a code.',
      'InvalidAccessError',
    );
  }
  if (limitsReason && encodeUtf8(reason).byteLength > kReasonBytesMax) {
    throw new NativeDOMException(
      'WebSocket close reason must not be longer than 123 bytes when UTF-8 encoded.',
      'SyntaxError',
    );
  }
}

export class WebSocket extends EventTarget {
  #state: SocketState;

  static {
    stateOf = (ws) => ws.#state;
    isSocket = (value): value is WebSocket => typeof value === 'object' && value !== null && #state in value;
  }

  declare static readonly CONNECTING: 0;
  declare static readonly OPEN: 1;
  declare static readonly CLOSING: 2;
  declare static readonly CLOSED: 3;
  declare static readonly READY_STATE_CONNECTING: 0;
  declare static readonly READY_STATE_OPEN: 1;
  declare static readonly READY_STATE_CLOSING: 2;
  declare static readonly READY_STATE_CLOSED: 3;

  constructor(url: string | URL = undefined as never, protocols: string | string[] | undefined = undefined) {
    super();
    this.#state = new SocketState(this);
    if (giveAttributes !== undefined) giveAttributes(this);
    if ((url as unknown) === kInternal) return;
    startClient(this.#state, url, protocols);
  }

  accept(options: { allowHalfOpen?: boolean } | undefined = undefined): void {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    const state = this.#state;
    switch (state.stage) {
      case 'client':
        throw new TypeError("Websockets obtained from the 'new WebSocket()' constructor cannot call accept");
      case 'coupled':
        throw new TypeError("Can't accept() WebSocket that was already used in a response.");
      case 'hibernatable':
        throw new TypeError("Can't accept() WebSocket after enabling hibernation.");
      case 'accepted':
        return;
      case 'fresh':
        break;
    }
    const { context, section } = currentFrame();
    state.stage = 'accepted';
    state.autoReply = repliesToClose && options?.allowHalfOpen !== true;
    own(state, context, section);
    context.beginIo();
    state.holdsIo = true;
    attach(state);
  }

  send(message: string | ArrayBuffer | ArrayBufferView | Blob): void {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    const state = this.#state;
    if (arguments.length === 0) {
      throw new TypeError(
        "Failed to execute 'send' on 'WebSocket': parameter 1 is not of type 'ArrayBuffer or ArrayBufferView or string'.",
      );
    }
    if (state.connecting || state.stage === 'fresh' || state.stage === 'coupled') throw new TypeError(kNotAccepted);
    if (state.closedOut) throw new TypeError("Can't call WebSocket send() after close().");
    if (state.released) return; // the peer has vanished
    if (typeof message === 'string') {
      enqueue(state, message, 0, '');
    } else if (message instanceof NativeArrayBuffer) {
      enqueue(state, message, 0, '');
    } else if (isView(message)) {
      enqueue(state, new NativeUint8Array(message.buffer, message.byteOffset, message.byteLength), 0, '');
    } else if (typeof message === 'object' && message !== null && message instanceof nodeBlob().Blob) {
      sendBlob(state, message);
    } else {
      enqueue(state, `${message as unknown as string}`, 0, '');
    }
  }

  close(code: number | undefined = undefined, reason: string | undefined = undefined): void {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    const state = this.#state;
    const status = code === undefined ? undefined : Math.trunc(Number(code)) || 0;
    const text = reason === undefined ? undefined : `${reason}`;
    checkClose(status, text);
    if (state.closedOut || state.released) return;
    if (state.stage === 'fresh' || state.stage === 'coupled') throw new TypeError(kNotAccepted);
    closeOut(state, status ?? 1005, text ?? '');
  }

  serializeAttachment(...args: unknown[]): void {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    if (args.length === 0) {
      throw new TypeError(
        "Failed to execute 'serializeAttachment' on 'WebSocket': parameter 1 is not of type 'Value'.",
      );
    }
    const value = args[0];
    const bytes = native.serialize(value, 0);
    if (bytes.byteLength > kAttachmentBytesMax) {
      throw new Error(
        `A WebSocket 'attachment' cannot be larger than ${kAttachmentBytesMax} bytes.'attachment' was ${bytes.byteLength} bytes.`,
      );
    }
    this.#state.attachment = bytes;
  }

  deserializeAttachment(): unknown {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    const bytes = this.#state.attachment;
    return bytes === undefined ? null : native.deserialize(bytes);
  }

  get readyState(): number {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    const state = this.#state;
    if (state.connecting) return kReadyStates.CONNECTING;
    if (state.released || (state.closedIn && state.closedOut)) return kReadyStates.CLOSED;
    return state.closedIn || state.closedOut ? kReadyStates.CLOSING : kReadyStates.OPEN;
  }

  get bufferedAmount(): number {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    let bytes = 0;
    const queue = this.#state.queue ?? [];
    for (let i = 0; i < queue.length; i++) {
      const data = queue[i]!.data;
      if (data !== undefined) bytes += typeof data === 'string' ? encodeUtf8(data).byteLength : data.byteLength;
    }
    return bytes;
  }

  get url(): string | null {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.url;
  }

  get protocol(): string | null {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.protocol;
  }

  get extensions(): string | null {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.extensions;
  }

  get binaryType(): string {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.binaryType;
  }

  set binaryType(value: string) {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    if (value === 'arraybuffer' || value === 'blob') this.#state.binaryType = value;
  }
}

setTag(WebSocket.prototype, 'WebSocket');
makeEnumerable(WebSocket.prototype, [
  'accept', 'send', 'close', 'serializeAttachment', 'deserializeAttachment', 'readyState', 'bufferedAmount', 'url',
  'protocol', 'extensions', 'binaryType',
]);
moveAttributes(WebSocket.prototype, ['readyState', 'bufferedAmount', 'url', 'protocol', 'extensions', 'binaryType']);
for (const holder of [WebSocket, WebSocket.prototype]) {
  for (const [name, value] of Object.entries(kReadyStates)) {
    defineProperty(holder, `READY_STATE_${name}`, { value, enumerable: true, configurable: true });
    defineProperty(holder, name, { value, enumerable: true, configurable: true });
  }
}

showProperties(WebSocket.prototype, 'WebSocket', ['readyState', 'url', 'protocol', 'extensions', 'binaryType']);

export function isWebSocket(value: unknown): value is WebSocket {
  return isSocket(value);
}

export function socketState(ws: WebSocket): SocketState {
  return stateOf(ws);
}

// A socket that user code did not make.
export function makeSocket(): SocketState {
  return stateOf(new WebSocket(kInternal as never));
}

export class WebSocketPair {
  declare 0: WebSocket;
  declare 1: WebSocket;

  constructor() {
    const [first, second] = native.pipeCreate();
    const a = pipeSocket(first);
    const b = pipeSocket(second);
    a.peer = b;
    b.peer = a;
    const context = frameIfAny()?.context;
    if (context !== undefined) {
      a.creator = b.creator = context;
      addResource(context, a);
      addResource(context, b);
    }
    this[0] = a.ws;
    this[1] = b.ws;
  }

  *[Symbol.iterator](): IterableIterator<WebSocket> {
    yield this[0];
    yield this[1];
  }
}
setTag(WebSocketPair.prototype, 'WebSocketPair');

export function pipeSocket(end: number): SocketState {
  const state = makeSocket();
  state.end = end;
  state.transport = new PipeTransport(end);
  return state;
}

// ------------------------------------------------------------------------------------------------ sending

function enqueue(state: SocketState, data: string | ArrayBuffer | Uint8Array | undefined, code: number, reason: string): void {
  const gate = state.owner?.waitForOutput();
  if (gate === undefined && state.queue === undefined) {
    if (data === undefined) state.transport!.close(code, reason);
    else state.transport!.send(data);
    return;
  }
  // Copied: user code may go on writing to it while it waits.
  let kept = data;
  if (data instanceof NativeArrayBuffer) kept = new NativeUint8Array(new NativeUint8Array(data));
  else if (data instanceof NativeUint8Array) kept = new NativeUint8Array(data);
  push(state, { gate, data: kept, code, reason });
}

function push(state: SocketState, outgoing: Outgoing): void {
  if (state.queue !== undefined) {
    arrayPush(state.queue, outgoing);
    return;
  }
  state.queue = [outgoing];
  awaitGate(state);
}

function awaitGate(state: SocketState): void {
  const queue = state.queue!;
  const { gate } = queue[0]!;
  const send = (): void => {
    if (state.queue !== queue) return; // stopped meanwhile
    for (;;) {
      const { data, code, reason } = arrayShift(queue)!;
      if (data === undefined) state.transport!.close(code, reason);
      else state.transport!.send(data);
      if (queue.length === 0) {
        state.queue = undefined;
        if (state.closedIn && state.closedOut) release(state);
        return;
      }
      if (queue[0]!.gate !== undefined) return awaitGate(state);
    }
  };
  if (gate === undefined) return send();
  // A broken gate: what waits must never be seen. Whoever broke it stops the socket.
  promiseThen(gate, send, () => {
    if (state.queue === queue) state.queue = [];
  });
}

function sendBlob(state: SocketState, blob: Blob): void {
  const gate = state.owner?.waitForOutput();
  const outgoing: Outgoing = { gate: undefined, data: undefined, code: 1005, reason: '' };
  outgoing.gate = promiseThen(nodeBlob().arrayBuffer(blob), (bytes) => {
    outgoing.data = bytes;
    return gate;
  });
  push(state, outgoing);
}

export function closeOut(state: SocketState, code: number, reason: string): void {
  state.closedOut = true;
  enqueue(state, undefined, code, reason);
  if (state.closedIn && state.queue === undefined) release(state);
}

// ------------------------------------------------------------------------------------------------ life

export function own(state: SocketState, context: IoContext, section: Section | null): void {
  state.peer = undefined; // asked for no more, and not to be kept alive
  if (state.creator !== undefined && state.creator !== context) removeResource(state.creator, state);
  state.creator = undefined;
  state.owner = context;
  state.section = section;
  addResource(context, state);
}

export function attach(state: SocketState): void {
  if (state.end !== 0) attached.set(state.end, state);
  state.transport!.start();
}

// Nothing more will come or go.
export function release(state: SocketState): void {
  if (state.released) return;
  state.released = true;
  if (state.end !== 0) attached.delete(state.end);
  state.transport!.finish();
  if (state.owner !== undefined) {
    removeResource(state.owner, state);
    if (state.holdsIo) {
      state.holdsIo = false;
      state.owner.endIo();
    }
  }
}

// Runtime.socketEvent.
export function socketEvent(
  end: number,
  kind: 'text' | 'binary' | 'close' | 'gone' | 'error',
  data: string | ArrayBuffer | undefined,
  code: number,
  reason: string,
): void {
  const state = attached.get(end);
  if (state === undefined) return; // stopped meanwhile
  switch (kind) {
    case 'text':
    case 'binary':
      if (data === undefined) {
        state.transport!.abort();
        return incoming(state, { kind: 'error', error: new Error(kTooLarge) });
      }
      return incoming(state, { kind: 'message', data });
    case 'close':
      return incoming(state, { kind: 'close', code, reason, wasClean: true });
    case 'gone':
      return incoming(state, gone());
    case 'error':
      return incoming(state, { kind: 'error', error: new Error(reason) });
  }
}

// The other side has gone without a Close frame.
export function gone(): Incoming {
  return { kind: 'close', code: 1006, reason: kDisconnected, wasClean: false };
}

// Something came out of a socket's transport.
export function incoming(state: SocketState, event: Incoming): void {
  if (state.ended) {
    // After its Close frame a peer can only vanish: nothing can be sent any more, once user code has seen the Close.
    if (state.owner === undefined) release(state);
    else state.owner.enter(state.section, () => release(state));
    return;
  }
  if (event.kind !== 'message') state.ended = true;
  if (state.sink !== undefined) {
    state.sink.deliver(state.ws, event);
    return;
  }
  state.owner?.enter(state.section, () => {
    if (state.released) return;
    applyIncoming(state.ws, event);
    dispatchIncoming(state, event);
    if (event.kind === 'message') state.transport!.ack();
  });
}

function dispatchIncoming(state: SocketState, event: Incoming): void {
  switch (event.kind) {
    case 'message': {
      const { data } = event;
      const asBlob = typeof data !== 'string' && state.binaryType === 'blob';
      fire(state.ws, new MessageEvent('message', { origin: null, data: asBlob ? new (nodeBlob().Blob)([data as ArrayBuffer]) : data }));
      return;
    }
    case 'close':
      fire(state.ws, new CloseEvent('close', { code: event.code, reason: event.reason, wasClean: event.wasClean }));
      return;
    case 'error':
      fire(state.ws, new ErrorEvent('error', { message: `Uncaught ${event.error.name}: ${event.error.message}`, error: event.error }));
      return;
  }
}

// Moves the socket's state as an event asks, just before user code sees the event. Call it within the event's turn.
export function applyIncoming(ws: WebSocket, event: Incoming): void {
  const state = stateOf(ws);
  if (event.kind === 'message') return;
  if (event.kind === 'error' || !event.wasClean) {
    state.closedIn = true;
    state.queue = undefined;
    release(state);
    return;
  }
  state.closedIn = true;
  // A hibernatable socket's is answered behind its handler (answerClose).
  if (state.autoReply && state.sink === undefined && !state.closedOut) closeOut(state, event.code, event.code === 1005 ? '' : event.reason);
  else if (state.closedOut && state.queue === undefined) release(state);
}

export { couple, coupleProblem, socketFromEnd } from './coupling.ts';
export { WebSocketRequestResponsePair, checkAutoResponse, isAutoResponsePair } from './auto_response.ts';
export {
  abortSocket,
  acceptHibernatable,
  ackSocket,
  answerClose,
  exportSleeping,
  importSleeping,
  isFresh,
  isHibernatable,
  isReleased,
  putToSleep,
  resumeSleeping,
  socketEnd,
  wakeSocket,
  type SleepingSocket,
} from './hibernatable.ts';
