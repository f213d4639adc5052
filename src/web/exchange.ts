// The front door's exchanges: an HTTP request comes in as a Request, a Response goes out (native.ts: Runtime.fetch and
// the Native.respond... functions). Bodies stream both ways, one chunk at a time; nothing here holds a whole body.
//
// 1. Each exchange is answered once: by sendResponse or sendError.
// 2. Chunks of a response are pulled in turns of the context that answers; with back-pressure it waits for a drain.

import { type BodyData, type ByteSource, BodyState, takeBody } from './body.ts';
import { flag } from './compat.ts';
import { findHeader, textOfWire, wireText } from './headers.ts';
import { native } from './host.ts';
import { type IoContext, type Section, currentFrame, enqueueTurn, hostFrame } from './io.ts';
import {
  NativePromise,
  NativeUint8Array,
  SafeMap,
  arrayPush,
  promiseReject,
  promiseThen,
  startsWith,
  toLowerCase,
} from './primordials.ts';
import { reportException } from './report.ts';
import { type Request, abortRequest, makeIncomingRequest } from './request.ts';
import { type Response, isResponse, responseFlatHeaders, responseState } from './response.ts';
import { couple } from './websocket/websocket.ts';

const allowsDeflate = flag('web_socket_compression');
const signalsAbort = flag('enable_request_signal');
const kClientGone = 'The client disconnected';

// What is under way: bodies being read, responses being written. Exchanges that need neither are not here.
interface Reader {
  context: IoContext;
  section: Section | null;
  resolve: (chunk: Uint8Array | null) => void;
  reject: (error: Error) => void;
}
const readers = new SafeMap<number, Reader>();
const senders = new SafeMap<number, ResponseSender>();
const abortable = new SafeMap<number, { request: Request; context: IoContext }>();

// Bodies that can still be read.
const bodies = new SafeMap<number, RequestBody>();

class RequestBody implements ByteSource {
  readonly length: number;
  readonly #exchange: number;
  #ended = false;
  #lost: string | undefined;

  constructor(exchange: number, length: number) {
    this.#exchange = exchange;
    this.length = length;
    bodies.set(exchange, this);
  }

  read(): Promise<Uint8Array | null> {
    const exchange = this.#exchange;
    if (this.#lost !== undefined) return promiseReject(new TypeError(this.#lost));
    if (this.#ended) return promiseReject(new TypeError('The request body has ended.'));
    const { context, section } = currentFrame();
    context.beginIo();
    return new NativePromise((resolve, reject) => {
      readers.set(exchange, {
        context,
        section,
        resolve: (chunk) => {
          if (chunk === null) this.#end();
          resolve(chunk);
        },
        reject,
      });
      native.requestRead(exchange);
    });
  }

  #end(): void {
    this.#ended = true;
    bodies.delete(this.#exchange);
  }

  cancel(): void {
    if (this.#ended || this.#lost !== undefined) return;
    this.#end();
    native.requestCancel(this.#exchange);
  }

  // The exchange is over: nobody will answer a read.
  lose(why: string): void {
    if (this.#ended || this.#lost !== undefined) return;
    this.#lost = why;
    bodies.delete(this.#exchange);
    requestChunk(this.#exchange, why);
  }
}

const kAnswered = "Can't read from request stream after response has been sent.";

function exchangeOver(exchange: number, why: string): void {
  if (bodies.size > 0) bodies.get(exchange)?.lose(why);
}

// Runtime.requestChunk.
export function requestChunk(exchange: number, chunk: ArrayBuffer | null | string): void {
  const reader = readers.get(exchange);
  if (reader === undefined) return;
  readers.delete(exchange);
  reader.context.enter(reader.section, () => {
    reader.context.endIo();
    if (typeof chunk === 'string') reader.reject(new Error(chunk));
    else reader.resolve(chunk === null ? null : new NativeUint8Array(chunk));
  });
}

// The request of an exchange. `headers` is taken over. Runs no user code.
export function requestFromExchange(
  exchange: number,
  method: string,
  url: string,
  headers: string[],
  bodyLength: number,
): Request {
  for (let i = 1; i < headers.length; i += 2) headers[i] = textOfWire(headers[i]!);
  const body = bodyLength === -1 ? null : new BodyState(new RequestBody(exchange, bodyLength < 0 ? -1 : bodyLength), undefined);
  return makeIncomingRequest({
    method,
    url,
    flat: headers,
    body,
    cf: {},
    redirect: 'manual',
    abortable: signalsAbort,
  });
}

// With enable_request_signal: the request's signal fires in `context` when the client goes away before the end.
export function watchClient(exchange: number, request: Request, context: IoContext): void {
  if (signalsAbort) abortable.set(exchange, { request, context });
}

// ------------------------------------------------------------------------------------------------ responses

function isFraming(name: string): boolean {
  switch (name.length) {
    case 10:
      return toLowerCase(name) === 'connection' || toLowerCase(name) === 'keep-alive';
    case 14:
      return toLowerCase(name) === 'content-length';
    case 17:
      return toLowerCase(name) === 'transfer-encoding';
    default:
      return false;
  }
}

// The framing of a message is the server's: such headers of user code are dropped. A Content-Length may stay where there
// is no body to measure (an answer to HEAD).
function sendableHeaders(flat: readonly string[], hasBody: boolean): string[] {
  for (let i = 0; i < flat.length; i += 2) {
    if (!isFraming(flat[i]!) && wireText(flat[i + 1]!) === flat[i + 1]!) continue;
    const kept: string[] = [];
    for (let j = 0; j < flat.length; j += 2) {
      const isLength = flat[j]!.length === 14;
      if (!isFraming(flat[j]!) || (isLength && !hasBody)) arrayPush(kept, flat[j]!, wireText(flat[j + 1]!));
    }
    return kept;
  }
  return flat as string[];
}

// What the server writes itself when a connection becomes a WebSocket.
function upgradeHeaders(flat: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const name = toLowerCase(flat[i]!);
    const handshake = startsWith(name, 'sec-websocket-') && name !== 'sec-websocket-protocol';
    if (!handshake && name !== 'upgrade' && !isFraming(name)) arrayPush(kept, flat[i]!, wireText(flat[i + 1]!));
  }
  return kept;
}

class ResponseSender {
  readonly #exchange: number;
  readonly #source: ByteSource;
  readonly #context: IoContext;
  readonly #done: () => void;
  #closed = false;
  #waits = false;

  constructor(exchange: number, source: ByteSource, context: IoContext, done: () => void) {
    this.#exchange = exchange;
    this.#source = source;
    this.#context = context;
    this.#done = done;
  }

  pull(): void {
    let reading: Promise<Uint8Array | null>;
    try {
      reading = this.#source.read();
    } catch (error) {
      this.#failed(error);
      return;
    }
    promiseThen(
      reading,
      (chunk) => this.#got(chunk),
      (error) => this.#failed(error),
    );
  }

  #got(chunk: Uint8Array | null): void {
    if (this.#closed) return;
    const gate = this.#context.waitForOutput();
    if (gate === undefined) return this.#write(chunk);
    promiseThen(
      gate,
      () => this.#context.enter(null, () => this.#write(chunk)),
      () => this.#context.enter(null, () => this.#failed(new Error('Network connection lost.'))),
    );
  }

  #write(chunk: Uint8Array | null): void {
    if (this.#closed) return;
    if (chunk === null) {
      this.#finish();
      native.respondEnd(this.#exchange);
      exchangeOver(this.#exchange, kAnswered);
      this.#done();
      return;
    }
    if (native.respondWrite(this.#exchange, chunk)) this.pull();
    else this.#waits = true;
  }

  #finish(): void {
    this.#closed = true;
    senders.delete(this.#exchange);
  }

  #failed(error: unknown): void {
    if (this.#closed) return;
    this.#finish();
    native.respondAbort(this.#exchange);
    exchangeOver(this.#exchange, kAnswered);
    reportException('response body', error);
    this.#done();
  }

  drained(): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.#context.enter(null, () => this.pull());
  }

  clientGone(): void {
    if (this.#closed) return;
    this.#finish();
    this.#context.enter(null, () => {
      this.#source.cancel(new Error(kClientGone));
      this.#done();
    });
  }
}

// Runtime.responseDrain.
export function responseDrain(exchange: number): void {
  senders.get(exchange)?.drained();
}

// Runtime.responseClosed. As a turn, because the one that brings the request may still be queued.
export function responseClosed(exchange: number): void {
  enqueueTurn(hostFrame, () => clientHasGone(exchange));
}

function clientHasGone(exchange: number): void {
  const watched = abortable.get(exchange);
  if (watched !== undefined) {
    abortable.delete(exchange);
    watched.context.enter(null, () => abortRequest(watched.request, new DOMException(kClientGone, 'AbortError')));
  }
  const sender = senders.get(exchange);
  // Not begun: it may be answered all the same, and reads of the body are answered by whoever has them.
  if (sender === undefined) return;
  sender.clientGone();
  exchangeOver(exchange, kClientGone);
}

const kNotResponse = "Incorrect type for Promise: the Promise did not resolve to 'Response'.";
const kNotUpgrade =
  'Worker tried to return a WebSocket in a response to a request which did not contain the header "Upgrade: websocket".';

// Answers an exchange with what a handler returned. Call it in a turn of `context`, after the output gate. Throws
// TypeError, with nothing sent, when the value cannot be sent; then call sendError. `done` runs when the last byte has
// been handed to the network or the client is gone: at once, unless the body is a stream.
export function sendResponse(
  exchange: number,
  value: unknown,
  upgrade: boolean,
  context: IoContext,
  done: () => void,
): void {
  if (!isResponse(value)) throw new TypeError(kNotResponse);
  const state = responseState(value);
  if (state.webSocket !== null) {
    if (!upgrade) throw new TypeError(kNotUpgrade);
    const headers = upgradeHeaders(responseFlatHeaders(value));
    const end = couple(state.webSocket);
    if (signalsAbort) abortable.delete(exchange);
    native.respondUpgrade(exchange, headers, end, allowsDeflate);
    exchangeOver(exchange, kAnswered);
    done();
    return;
  }
  if (state.type === 'error') throw new TypeError('Worker returned Response.error().');
  const data: BodyData | null = takeBody(value);
  if (signalsAbort) abortable.delete(exchange);
  const flat = sendableHeaders(responseFlatHeaders(value), data !== null);
  if (data === null || typeof data === 'string' || data instanceof NativeUint8Array) {
    native.respond(exchange, state.status, state.statusText, flat, data ?? undefined);
    exchangeOver(exchange, kAnswered);
    done();
    return;
  }
  sendStream(exchange, value, flat, data, context, done);
}

function sendStream(
  exchange: number,
  response: Response,
  flat: string[],
  source: ByteSource,
  context: IoContext,
  done: () => void,
): void {
  const { status, statusText } = responseState(response);
  const sender = new ResponseSender(exchange, source, context, done);
  senders.set(exchange, sender);
  if (signalsAbort) abortable.delete(exchange);
  native.respondStart(exchange, status, statusText, flat, source.length);
  sender.pull();
}

// The handler failed: logs the exception and answers with the page for it.
export function sendError(exchange: number, error: unknown, context: IoContext): void {
  abortable.delete(exchange);
  reportException('fetch', error, context.where);
  const overloaded = Error.isError(error) && (error as { overloaded?: unknown }).overloaded === true;
  native.respondError(exchange, overloaded);
  exchangeOver(exchange, kAnswered);
}

// Whether a request asks for a WebSocket: for requests that did not come through the front door.
export function asksForUpgrade(flat: readonly string[]): boolean {
  const value = findHeader(flat, 'upgrade');
  return value !== undefined && toLowerCase(value) === 'websocket';
}

