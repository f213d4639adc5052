// `stub.fetch()`: requests and responses on their way between contexts. Method calls: rpc_outgoing.ts, rpc_incoming.ts.

import { type BodyData, stateFromData, takeBody } from '../web/body.ts';
import { flag } from '../web/compat.ts';
import { errorToData } from '../web/errors.ts';
import { asksForUpgrade } from '../web/exchange.ts';
import { findHeader } from '../web/headers.ts';
import { type Frame, type IoContext, currentFrame } from '../web/io.ts';
import { arraySlice, noop } from '../web/primordials.ts';
import { type Request, makeIncomingRequest, requestFlatHeaders, requestSignal, requestState } from '../web/request.ts';
import { type Response, isResponse, makeReceivedResponse, responseFlatHeaders, responseState } from '../web/response.ts';
import { couple, socketFromEnd } from '../web/websocket/websocket.ts';
import { borrowBody, lendBody, localBody } from './bodies.ts';
import { utf8Length } from './ids.ts';
import type { RequestMessage, ResponseMessage } from './messages.ts';
import { type Incoming, afterAnswerGate, answerError } from './rpc_incoming.ts';
import { type Channel, Outgoing } from './rpc_outgoing.ts';

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

const noPath: readonly string[] = ['fetch'];

function sendRequest(channel: Channel, request: OutgoingRequest, signal: AbortSignal | undefined): Promise<ResponseParts> {
  const frame = currentFrame();
  const call = new Outgoing(frame, noPath, undefined, request);
  if (signal !== undefined) {
    if (signal.aborted) {
      call.threw(signal.reason);
      return call.promise as Promise<ResponseParts>;
    }
    signal.addEventListener('abort', () => call.threw(signal.reason), { once: true });
  }
  call.leave(channel);
  return call.promise as Promise<ResponseParts>;
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
const refusesUnknown = flag('fetch_refuses_unknown_protocols');

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
  if (data !== null) addLength(flat, data);
  const fragment = url.indexOf('#');
  if (fragment >= 0) url = url.slice(0, fragment);
  if (url.indexOf('@') >= 0) url = withoutCredentials(url);
  if (refusesUnknown && !isHttp(url)) throw new TypeError(`Fetch API cannot load: ${url}`);
  const visited: string[] = [];
  for (let hops = 0; ; hops++) {
    const parts = await sendRequest(channel, { method, url, flat: arraySlice(flat), cf: state.cf, data }, signal);
    const location = follows && isRedirect(parts.status) ? locationOf(parts.flat) : undefined;
    if (method === 'HEAD' && parts.data !== null) {
      if (typeof parts.data === 'object' && 'cancel' in parts.data) parts.data.cancel(undefined);
      parts.data = null;
    }
    if (location === undefined) return makeResponse(parts, url, hops > 0, context);
    visited[hops] = url;
    if (hops === kRedirectsMax) throw new TypeError(`Too many redirects.${visited.join(', ')}`);
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

// The object sees how long a body is, where that is known.
function addLength(flat: string[], data: BodyData): void {
  const length = typeof data === 'string' ? utf8Length(data) : 'cancel' in data ? data.length : data.byteLength;
  if (length >= 0 && findHeader(flat, 'content-length') === undefined) flat.push('Content-Length', `${length}`);
}

function isHttp(url: string): boolean {
  return url.startsWith('http:') || url.startsWith('https:');
}

function withoutCredentials(url: string): string {
  const parsed = new URL(url);
  parsed.username = '';
  parsed.password = '';
  return parsed.href;
}

function withoutBodyHeaders(flat: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    if (!/^content-(type|length|encoding|language|location)$/i.test(flat[i]!)) kept.push(flat[i]!, flat[i + 1]!);
  }
  return kept;
}

// ------------------------------------------------------------------------------------------------ the callee's side

// Answers with what a fetch handler returned.
export function answerResponse(call: Incoming, frame: Frame, value: unknown, upgrade: boolean): void {
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
    packed = call.reply.packResponse(parts, frame);
  } catch (error) {
    answerError(call, frame.context, errorToData(error));
    return;
  }
  afterAnswerGate(
    call.reply,
    frame.context,
    () => {
      call.reply.response(packed);
      call.ended();
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
