// Calls and their answers. A caller makes an Outgoing; a Channel takes it to its target, here or in another isolate; the
// target's side is an Incoming that ends with exactly one answer to its Reply.
//
// 1. A call leaves after its caller's output gate, an answer after the callee's. Both keep their order.
// 2. Arguments and results are copied when they are given, not when they leave.

import { type BodyData, stateFromData, takeBody } from '../web/body.ts';
import { type ErrorData, errorFromData, errorToData } from '../web/errors.ts';
import { asksForUpgrade } from '../web/exchange.ts';
import { native } from '../web/host.ts';
import { type Frame, type IoContext, currentFrame } from '../web/io.ts';
import { NativePromise, arraySlice, noop, promiseReject } from '../web/primordials.ts';
import { type Request, makeIncomingRequest, requestFlatHeaders, requestSignal, requestState } from '../web/request.ts';
import { type Response, isResponse, makeReceivedResponse, responseFlatHeaders, responseState } from '../web/response.ts';
import { couple, socketFromEnd } from '../web/websocket/websocket.ts';
import { afterOutput, borrowBody, lendBody, localBody, outputIsOpen, unlendBody } from './bodies.ts';
import { MessageKind, type RequestMessage, type ResponseMessage } from './messages.ts';
import { checkTextSize, copyArguments, copyForRpc, isPrimitive, rpcCloneError } from './rpc_values.ts';

export const kNotResponse = "Incorrect type for Promise: the Promise did not resolve to 'Response'.";
export const kNoFetchHandler = 'Handler does not export a fetch() function.';
const kNotUpgrade =
  'Worker tried to return a WebSocket in a response to a request which did not contain the header "Upgrade: websocket".';

// ------------------------------------------------------------------------------------------------ the caller's side

// A request on its way to a target. The body is used by whoever takes the request there.
export interface OutgoingRequest {
  method: string;
  url: string;
  flat: string[];
  cf: unknown;
  data: BodyData | null;
}

// A response on its way back.
export interface ResponseParts {
  status: number;
  statusText: string;
  flat: string[];
  socketEnd: number; // 0: none
  cf: unknown;
  manualEncoding: boolean;
  data: BodyData | null; // of the producer, until it has been made local or lent
}

// Where a stub's calls go.
export interface Channel {
  // Takes a call to its target; runs no user code. Failures go to the call.
  dispatch(call: Outgoing): void;
  // The property that a stub was asked for last: most stubs are asked for one again and again.
  lastName: string | undefined;
  lastProperty: unknown;
  // Calls of this context need not wait for its output gate: it is the target's too (a facet's).
  readonly within?: IoContext;
}

// A call of this isolate on its way, and the place its answer comes to.
export class Outgoing implements Reply {
  readonly frame: Frame;
  readonly path: readonly string[];
  // undefined: reads a property. Not used by a fetch.
  readonly args: unknown[] | undefined;
  readonly request: OutgoingRequest | undefined;
  // Caller and target are committed together: neither the call nor its answer waits for their output gate.
  isWithin = false;
  readonly #resolve: (value: any) => void;
  readonly #reject: (error: unknown) => void;
  #settled = false;

  constructor(
    frame: Frame,
    path: readonly string[],
    args: unknown[] | undefined,
    request: OutgoingRequest | undefined,
    resolve: (value: any) => void,
    reject: (error: unknown) => void,
  ) {
    this.frame = frame;
    this.path = path;
    this.args = args;
    this.request = request;
    this.#resolve = resolve;
    this.#reject = reject;
    frame.context.beginIo();
  }

  // After the caller's output gate.
  leave(channel: Channel): void {
    const { context } = this.frame;
    if (outputIsOpen(context) || channel.within === context) {
      channel.dispatch(this);
      return;
    }
    afterOutput(
      context,
      () => channel.dispatch(this),
      (error) => this.threw(error),
    );
  }

  pack(value: unknown): unknown {
    return copyForRpc(value);
  }

  result(value: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    const { context, section } = this.frame;
    context.enter(section, () => {
      context.endIo();
      this.#resolve(value);
    });
  }

  packResponse(parts: ResponseParts, frame: Frame): ResponseParts {
    parts.data = localBody(parts.data, frame);
    return parts;
  }

  response(parts: unknown): void {
    this.result(parts);
  }

  error(data: ErrorData, remote: boolean): void {
    this.#fail(() => errorFromData(data, remote));
  }

  // An exception of the caller's own side.
  threw(error: unknown): void {
    this.#fail(() => error);
  }

  #fail(makeError: () => unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    const { context, section } = this.frame;
    context.enter(section, () => {
      context.endIo();
      this.#reject(makeError());
    });
  }
}

// `stub.method(...args)`, or `await stub.property` when args is undefined.
export function callThrough(channel: Channel, path: readonly string[], args: unknown[] | undefined): Promise<unknown> {
  let frame: Frame;
  let copied: unknown[] | undefined;
  try {
    frame = currentFrame();
    copied = args === undefined ? undefined : copyArguments(args);
  } catch (error) {
    return promiseReject(error);
  }
  return new NativePromise((resolve, reject) => {
    new Outgoing(frame, path, copied, undefined, resolve, reject).leave(channel);
  });
}

const noPath: readonly string[] = ['fetch'];

function sendRequest(channel: Channel, request: OutgoingRequest, signal: AbortSignal | undefined): Promise<ResponseParts> {
  const frame = currentFrame();
  return new NativePromise<ResponseParts>((resolve, reject) => {
    const call = new Outgoing(frame, noPath, undefined, request, resolve, reject);
    if (signal !== undefined) {
      if (signal.aborted) return call.threw(signal.reason);
      signal.addEventListener('abort', () => call.threw(signal.reason), { once: true });
    }
    call.leave(channel);
  });
}

function makeResponse(parts: ResponseParts, url: string, redirected: boolean, context: IoContext): Response {
  const response = makeReceivedResponse({
    status: parts.status,
    statusText: parts.statusText,
    flat: parts.flat,
    body: stateFromData(parts.data),
    url,
    redirected,
    webSocket: parts.socketEnd === 0 ? null : socketFromEnd(parts.socketEnd, context),
    cf: parts.cf,
  });
  responseState(response).manualEncoding = parts.manualEncoding;
  return response;
}

const kRedirectsMax = 20;

function locationOf(flat: readonly string[]): string | undefined {
  for (let i = 0; i < flat.length; i += 2) if (flat[i]!.toLowerCase() === 'location') return flat[i + 1];
  return undefined;
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

// `stub.fetch(request)`. Takes the request's body.
export async function fetchThrough(channel: Channel, request: Request): Promise<Response> {
  const { context } = currentFrame();
  const state = requestState(request);
  const signal = requestSignal(request);
  let { method, url } = state;
  let data = takeBody(request);
  let flat = arraySlice(requestFlatHeaders(request));
  const follows = state.redirect === 'follow';
  const fragment = url.indexOf('#');
  if (fragment >= 0) url = url.slice(0, fragment);
  for (let hops = 0; ; hops++) {
    const parts = await sendRequest(channel, { method, url, flat: arraySlice(flat), cf: state.cf, data }, signal);
    const location = follows && isRedirect(parts.status) ? locationOf(parts.flat) : undefined;
    if (location === undefined) return makeResponse(parts, url, hops > 0, context);
    if (hops === kRedirectsMax) throw new TypeError('Too many redirects.');
    if (parts.data !== null && typeof parts.data === 'object' && 'cancel' in parts.data) parts.data.cancel(undefined);
    if (parts.status === 303 ? method !== 'HEAD' : parts.status < 303 && method === 'POST') {
      method = 'GET';
      data = null;
      flat = withoutBodyHeaders(flat);
    } else if (data !== null && typeof data === 'object' && 'cancel' in data) {
      throw new TypeError(
        'A request with a one-time-use body (it was initialized from a stream, not a buffer) encountered a redirect ' +
          'requiring the body to be retransmitted. To avoid this error in the future, construct this request from a ' +
          'buffer-like body initializer.',
      );
    }
    url = new URL(location, url).href;
  }
}

function withoutBodyHeaders(flat: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    if (!/^content-(type|length|encoding|language|location)$/i.test(flat[i]!)) kept.push(flat[i]!, flat[i + 1]!);
  }
  return kept;
}

// ------------------------------------------------------------------------------------------------ the callee's side

// Where an answer goes. `pack` and `packResponse` run in the callee's turn and may throw; what they return is handed to
// `result` and `response` after the output gate.
export interface Reply {
  // See Outgoing.
  readonly isWithin?: boolean;
  pack(value: unknown, context: IoContext): unknown;
  result(packed: unknown): void;
  packResponse(parts: ResponseParts, frame: Frame): unknown;
  response(packed: unknown): void;
  error(data: ErrorData, remote: boolean): void;
}

// The answer to a caller in another isolate.
export class RemoteReply implements Reply {
  readonly #address: number;
  readonly #id: number;

  constructor(address: number, id: number) {
    this.#address = address;
    this.#id = id;
  }

  pack(value: unknown): unknown {
    // Serialised by `result`, unless that must wait: then it is a copy that waits.
    checkTextSize(value);
    return value;
  }

  result(value: unknown): void {
    try {
      native.send(this.#address, [MessageKind.result, this.#id, value]);
    } catch (error) {
      this.error(errorToData(rpcCloneError(error, value)), true);
    }
  }

  packResponse(parts: ResponseParts, frame: Frame): ResponseMessage {
    const { status, statusText, flat, socketEnd, cf, manualEncoding, data } = parts;
    return [status, statusText, flat, socketEnd, cf, manualEncoding, lendBody(data, frame)];
  }

  response(message: ResponseMessage): void {
    try {
      native.send(this.#address, [MessageKind.response, this.#id, message]);
    } catch (error) {
      unlendBody(message[6]);
      this.error(errorToData(error), true);
    }
  }

  error(data: ErrorData, remote: boolean): void {
    native.send(this.#address, [MessageKind.error, this.#id, data, remote]);
  }
}

// The callee's side of a call, told when its answer has left.
export interface Served {
  ended(): void;
}

// Answers with a value, after the callee's output gate.
export function answerValue(reply: Reply, context: IoContext, value: unknown, served: Served): void {
  let packed: unknown;
  try {
    packed = reply.pack(value, context);
    if (packed === value && !isPrimitive(value) && !outputIsOpen(context)) packed = copyForRpc(value);
  } catch (error) {
    answerError(reply, context, errorToData(error), served);
    return;
  }
  if (reply.isWithin === true || outputIsOpen(context)) {
    reply.result(packed);
    served.ended();
    return;
  }
  afterOutput(
    context,
    () => {
      reply.result(packed);
      served.ended();
    },
    noop, // the object broke: its container fails the call
  );
}

function afterAnswerGate(reply: Reply, context: IoContext, run: () => void, fail: (error: unknown) => void): void {
  if (reply.isWithin === true) run();
  else afterOutput(context, run, fail);
}

export function answerError(reply: Reply, context: IoContext, data: ErrorData, served: Served): void {
  afterAnswerGate(
    reply,
    context,
    () => {
      reply.error(data, true);
      served.ended();
    },
    noop, // the object broke: its container fails the call
  );
}

// Answers with what a fetch handler returned.
export function answerResponse(reply: Reply, frame: Frame, value: unknown, upgrade: boolean, served: Served): void {
  let packed: unknown;
  try {
    if (!isResponse(value)) throw new TypeError(kNotResponse);
    const state = responseState(value);
    if (state.webSocket !== null && !upgrade) throw new TypeError(kNotUpgrade);
    const parts: ResponseParts = {
      status: state.status,
      statusText: state.statusText,
      flat: arraySlice(responseFlatHeaders(value)),
      socketEnd: state.webSocket === null ? 0 : couple(state.webSocket),
      cf: state.cf,
      manualEncoding: state.manualEncoding,
      data: takeBody(value),
    };
    packed = reply.packResponse(parts, frame);
  } catch (error) {
    answerError(reply, frame.context, errorToData(error), served);
    return;
  }
  afterAnswerGate(
    reply,
    frame.context,
    () => {
      reply.response(packed);
      served.ended();
    },
    noop, // the object broke: its container fails the call
  );
}

// --- requests and responses as they cross

// The request for a target in this isolate. In a turn of the caller, or after its gate.
export function requestHere(request: OutgoingRequest, frame: Frame): Request {
  return makeIncomingRequest({
    method: request.method,
    url: request.url,
    flat: request.flat,
    body: stateFromData(localBody(request.data, frame)),
    cf: request.cf ?? {},
    redirect: 'manual',
    abortable: false,
  });
}

export function requestMessage(request: OutgoingRequest, frame: Frame): RequestMessage {
  return [request.method, request.url, request.flat, request.cf, lendBody(request.data, frame)];
}

export function requestFromMessage(message: RequestMessage, from: number): Request {
  const [method, url, flat, cf, body] = message;
  return makeIncomingRequest({
    method,
    url,
    flat,
    body: stateFromData(borrowBody(body, from)),
    cf: cf ?? {},
    redirect: 'manual',
    abortable: false,
  });
}

export function responseFromMessage(message: ResponseMessage, from: number): ResponseParts {
  const [status, statusText, flat, socketEnd, cf, manualEncoding, body] = message;
  return { status, statusText, flat, socketEnd, cf, manualEncoding, data: borrowBody(body, from) };
}

export function wantsUpgrade(request: Request): boolean {
  return asksForUpgrade(requestFlatHeaders(request));
}
