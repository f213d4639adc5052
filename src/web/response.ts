// Response (spec 7.1, 7.2, 11). `new Response("text")` makes one object more than a text: the headers are a shared list
// until somebody asks for them.

import { moveAttributes } from './attributes.ts';
import {
  type BodyInit,
  type BodyState,
  Body,
  BodyState as State,
  bodyState,
  cloneState,
  extractBody,
  kBodyToken,
  kContentType,
  setBodyState,
} from './body.ts';
import { type HeadersInit, Headers, findHeader, flatHeaders, headersFromFlat, kIllegalInvocation } from './headers.ts';
import {
  arrayPush,
  arraySlice,
  jsonStringify,
  makeEnumerable,
  regExpTest,
  setTag,
} from './primordials.ts';
import { showProperties } from './inspect.ts';
import { parseUrl } from './request.ts';
import { type WebSocket, isWebSocket } from './websocket/websocket.ts';

export interface ResponseInit {
  status?: number;
  statusText?: string;
  headers?: HeadersInit;
  webSocket?: WebSocket | null;
  cf?: unknown;
  encodeBody?: 'automatic' | 'manual';
}

// `flat` counts until `headers` has been made. It may be shared between responses: copy before writing.
export interface ResponseState {
  status: number;
  statusText: string;
  flat: readonly string[];
  headers: Headers | undefined;
  immutable: boolean;
  url: string;
  redirected: boolean;
  webSocket: WebSocket | null;
  cf: unknown;
  type: 'default' | 'error';
  manualEncoding: boolean;
}

// Not frozen: V8 copies a frozen array by another, slow way, and the copy is serialized as a sparse one.
const kNoHeaders: readonly string[] = [];
const kTextHeaders: readonly string[] = ['Content-Type', 'text/plain;charset=UTF-8'];
const kJsonHeaders: readonly string[] = ['Content-Type', 'application/json'];
const kBadStatusText = /[^\t\x20-\x7e\x80-\xff]/;

function makeState(status: number, flat: readonly string[]): ResponseState {
  return {
    status,
    statusText: '',
    flat,
    headers: undefined,
    immutable: false,
    url: '',
    redirected: false,
    webSocket: null,
    cf: undefined,
    type: 'default',
    manualEncoding: false,
  };
}

function isNullBodyStatus(status: number): boolean {
  return status === 101 || status === 204 || status === 205 || status === 304;
}

function currentFlat(state: ResponseState): readonly string[] {
  return state.headers === undefined ? state.flat : flatHeaders(state.headers);
}

function readInit(state: ResponseState, init: ResponseInit | Response): void {
  if (isResponseValue(init)) {
    const from = stateOf(init);
    state.status = from.status;
    state.statusText = from.statusText;
    state.flat = arraySlice(currentFlat(from));
    state.webSocket = from.webSocket;
    state.cf = from.cf;
    state.manualEncoding = from.manualEncoding;
  } else {
    const { status, statusText, headers, webSocket, cf, encodeBody } = init;
    if (status !== undefined) state.status = Math.trunc(Number(status));
    if (statusText !== undefined) {
      state.statusText = `${statusText}`;
      if (regExpTest(kBadStatusText, state.statusText)) throw new TypeError('Invalid statusText');
    }
    if (headers !== undefined) state.flat = arraySlice(flatHeaders(new Headers(headers)));
    if (webSocket !== undefined && webSocket !== null) {
      if (!isWebSocket(webSocket)) {
        throw new TypeError(
          "Incorrect type for the 'webSocket' field on 'InitializerDict': the provided value is not of type 'WebSocket'.",
        );
      }
      state.webSocket = webSocket;
    }
    if (cf !== undefined) state.cf = cf;
    if (encodeBody !== undefined) {
      if (encodeBody !== 'automatic' && encodeBody !== 'manual' && (encodeBody as string) !== 'auto') {
        throw new TypeError(`encodeBody: unexpected value: ${encodeBody as string}`);
      }
      state.manualEncoding = encodeBody === 'manual';
    }
  }
  const { status } = state;
  if (state.webSocket !== null) {
    if (status !== 101) throw new RangeError('Responses with a WebSocket must have status code 101.');
  } else if (!(status >= 200 && status <= 599)) {
    throw new RangeError('Responses may only be constructed with status codes in the range 200 to 599, inclusive.');
  }
}

let stateOf: (response: Response) => ResponseState;
let isResponseValue: (value: unknown) => value is Response;

export class Response extends Body {
  #state: ResponseState;

  static {
    stateOf = (response) => response.#state;
    isResponseValue = (value): value is Response => typeof value === 'object' && value !== null && #state in value;
  }

  constructor(body: BodyInit | null | undefined = undefined, init: ResponseInit | Response | undefined = undefined) {
    super(kBodyToken);
    if ((body as unknown) === kBodyToken) {
      this.#state = init as unknown as ResponseState;
      return;
    }
    const isText = typeof body === 'string';
    const state = makeState(200, isText && init === undefined ? kTextHeaders : kNoHeaders);
    this.#state = state;
    if (init !== undefined && init !== null) {
      if (typeof init !== 'object' && typeof init !== 'function') {
        throw new TypeError(
          "Failed to construct 'Response': constructor parameter 2 is not of type 'InitializerDict or Response'.",
        );
      }
      readInit(state, init);
    }
    if (body === undefined || body === null) return;
    if (isText && init === undefined) {
      setBodyState(this, new State(body, undefined));
      return;
    }
    if (isNullBodyStatus(state.status)) {
      if (body === '') return;
      throw new TypeError('Response with null body status (101, 204, 205, or 304) cannot have a body.');
    }
    const { state: made, contentType } = extractBody(body);
    if (contentType !== null && findHeader(state.flat, 'content-type') === undefined) {
      const flat = arraySlice(state.flat);
      arrayPush(flat, 'Content-Type', contentType);
      state.flat = flat;
    }
    setBodyState(this, made);
  }

  static json(value: unknown, init: ResponseInit | Response | undefined = undefined): Response {
    const text = jsonStringify(value) ?? 'undefined';
    const state = makeState(200, kJsonHeaders);
    if (init !== undefined && init !== null) {
      state.flat = kNoHeaders;
      readInit(state, init);
      if (findHeader(state.flat, 'content-type') === undefined) {
        const flat = arraySlice(state.flat);
        arrayPush(flat, 'Content-Type', 'application/json');
        state.flat = flat;
      }
    }
    if (isNullBodyStatus(state.status)) {
      throw new TypeError('Response with null body status (101, 204, 205, or 304) cannot have a body.');
    }
    return makeResponse(state, new State(text, undefined));
  }

  static redirect(url: string | URL, status: number = 302): Response {
    const code = Number(status);
    if (code !== 301 && code !== 302 && code !== 303 && code !== 307 && code !== 308) {
      throw new RangeError(
        `${code} is not a redirect status code. It must be one of: 301, 302, 303, 307, or 308.`,
      );
    }
    let location: string;
    try {
      location = parseUrl(`${url as string}`);
    } catch {
      throw new TypeError(`Unable to parse URL: ${url as string}`);
    }
    const state = makeState(code, ['Location', location]);
    state.immutable = true;
    return makeResponse(state, null);
  }

  static error(): Response {
    const state = makeState(0, []);
    state.immutable = true;
    state.type = 'error';
    return makeResponse(state, null);
  }

  get status(): number {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.status;
  }

  get statusText(): string {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.statusText;
  }

  get headers(): Headers {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    const state = this.#state;
    return (state.headers ??= headersFromFlat(arraySlice(state.flat), state.immutable));
  }

  get ok(): boolean {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.status >= 200 && this.#state.status <= 299;
  }

  get redirected(): boolean {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.redirected;
  }

  get url(): string {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.url;
  }

  get webSocket(): WebSocket | null {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.webSocket;
  }

  get cf(): unknown {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.cf;
  }

  get type(): string {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.type;
  }

  clone(): Response {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    const from = this.#state;
    if (from.webSocket !== null) throw new TypeError('Cannot clone a response to a WebSocket handshake.');
    const body = bodyState(this);
    const copied = body === null ? null : cloneState(body);
    return makeResponse({ ...from, flat: arraySlice(currentFlat(from)), headers: undefined, immutable: false }, copied);
  }

  [kContentType](): string | undefined {
    return findHeader(currentFlat(this.#state), 'content-type');
  }
}

setTag(Response.prototype, 'Response');
makeEnumerable(Response.prototype, [
  'clone', 'status', 'statusText', 'headers', 'ok', 'redirected', 'url', 'webSocket', 'cf', 'type',
]);
moveAttributes(Response.prototype, [
  'cf', 'headers', 'ok', 'redirected', 'status', 'statusText', 'type', 'url', 'webSocket',
]);
makeEnumerable(Response, ['json', 'redirect', 'error']);

showProperties(Response.prototype, 'Response', [
  'status', 'statusText', 'headers', 'ok', 'redirected', 'url', 'webSocket', 'cf', 'type', 'body', 'bodyUsed',
]);

export function isResponse(value: unknown): value is Response {
  return isResponseValue(value);
}

// A response from its parts, nothing validated; `state` is taken over.
export function makeResponse(state: ResponseState, body: BodyState | null): Response {
  const response = new Response(kBodyToken as never, state as never);
  if (body !== null) setBodyState(response, body);
  return response;
}

export interface ReceivedResponse {
  status: number;
  statusText: string;
  flat: string[]; // taken over
  body: BodyState | null;
  url: string;
  redirected: boolean;
  webSocket: WebSocket | null;
  cf: unknown;
}

// A response as a fetch receives it: immutable headers.
export function makeReceivedResponse(received: ReceivedResponse): Response {
  const state = makeState(received.status, received.flat);
  state.statusText = received.statusText;
  state.immutable = true;
  state.url = received.url;
  state.redirected = received.redirected;
  state.webSocket = received.webSocket;
  state.cf = received.cf;
  return makeResponse(state, received.body);
}

export function responseState(response: Response): ResponseState {
  return stateOf(response);
}

// The headers as a flat list, not a copy: name, value, name, value ...
export function responseFlatHeaders(response: Response): readonly string[] {
  return currentFlat(stateOf(response));
}
