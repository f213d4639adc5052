// Request (spec 7.1, 11). One made by the front door keeps what C++ handed over and makes the rest when asked.

import { moveAttributes } from './attributes.ts';
import {
  type BodyInit,
  type BodyState,
  Body,
  bodyState,
  cloneState,
  extractBody,
  isUsed,
  kBodyToken,
  kContentType,
  setBodyState,
  stateFromData,
  takeState,
} from './body.ts';
import { flag } from './compat.ts';
import { type HeadersInit, Headers, findHeader, flatHeaders, headersFromFlat, kIllegalInvocation } from './headers.ts';
import { showProperties } from './inspect.ts';
import { SafeSet, arrayPush, arraySlice, makeEnumerable, setTag, toUpperCase } from './primordials.ts';

export interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: BodyInit | null;
  redirect?: string;
  signal?: AbortSignal | null;
  cf?: unknown;
  cache?: string;
  integrity?: string;
  keepalive?: boolean;
}

// What a request is made of. `flat` counts until `headers` has been made.
export interface RequestState {
  method: string;
  url: string;
  flat: string[];
  headers: Headers | undefined;
  immutable: boolean;
  redirect: 'follow' | 'manual';
  signal: AbortSignal | undefined;
  // Made when the signal of an incoming request is looked at.
  controller: AbortController | undefined;
  aborted: boolean;
  abortable: boolean;
  cf: unknown;
  cache: string | undefined;
}

const NativeURL = URL;
const NativeAbortController = AbortController;
const NativeAbortSignal = AbortSignal;
const methods = new SafeSet<string>([
  'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PURGE', 'COPY', 'LOCK', 'MKCOL', 'MOVE',
  'PROPFIND', 'PROPPATCH', 'SEARCH', 'UNLOCK', 'ACL', 'REPORT', 'MKACTIVITY', 'CHECKOUT', 'MERGE', 'MSEARCH', 'NOTIFY',
  'SUBSCRIBE', 'UNSUBSCRIBE', 'QUERY', 'BAN',
]);
const upperCasesAll = flag('upper_case_all_http_methods');
const hasCacheOption = flag('cache_option_enabled');
const alwaysUpper = new SafeSet<string>(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']);

const kBadRedirect =
  'Invalid redirect value, must be one of "follow" or "manual" ("error" won\'t be implemented since it does not make ' +
  'sense at the edge; use "manual" and check the response status code).';

export function parseUrl(text: string): string {
  try {
    return new NativeURL(text).href;
  } catch {
    throw new TypeError(`Invalid URL: ${text}`);
  }
}

function checkMethod(given: string): string {
  const upper = toUpperCase(given);
  const method = upperCasesAll || alwaysUpper.has(upper) ? upper : given;
  if (!methods.has(method)) throw new TypeError(`Invalid HTTP method string: ${given}`);
  return method;
}

function checkRedirect(value: string): 'follow' | 'manual' {
  if (value !== 'follow' && value !== 'manual') throw new TypeError(kBadRedirect);
  return value;
}

function checkCache(value: string): string {
  if (value !== 'no-store' && value !== 'no-cache') throw new TypeError(`Unsupported cache mode: ${value}`);
  return value;
}

function blankState(url: string): RequestState {
  return {
    method: 'GET',
    url,
    flat: [],
    headers: undefined,
    immutable: false,
    redirect: 'follow',
    signal: undefined,
    controller: undefined,
    aborted: false,
    abortable: false,
    cf: undefined,
    cache: undefined,
  };
}

function currentFlat(state: RequestState): string[] {
  return state.headers === undefined ? state.flat : flatHeaders(state.headers);
}

function signalOf(state: RequestState): AbortSignal {
  if (state.signal !== undefined) return state.signal;
  state.controller = new NativeAbortController();
  if (state.aborted) state.controller.abort();
  return (state.signal = state.controller.signal);
}

let stateOf: (request: Request) => RequestState;
let isRequestValue: (value: unknown) => value is Request;

export class Request extends Body {
  #state: RequestState;

  static {
    stateOf = (request) => request.#state;
    isRequestValue = (value): value is Request => typeof value === 'object' && value !== null && #state in value;
  }

  constructor(input: Request | string | URL, init: RequestInit | Request | undefined = undefined) {
    super(kBodyToken);
    if ((input as unknown) === kBodyToken) {
      this.#state = init as unknown as RequestState;
      return;
    }
    if (input === undefined) {
      throw new TypeError("Failed to construct 'Request': constructor parameter 1 is not of type 'Request or string'.");
    }
    let body: BodyState | null = null;
    let moved: BodyState | null = null;
    if (isRequestValue(input)) {
      const from = input.#state;
      const state = blankState(from.url);
      state.method = from.method;
      state.flat = arraySlice(currentFlat(from));
      state.redirect = from.redirect;
      state.cf = from.cf;
      state.cache = from.cache;
      if (from.signal !== undefined || from.abortable) state.signal = signalOf(from);
      this.#state = state;
      moved = bodyState(input);
    } else {
      this.#state = blankState(parseUrl(`${input as string}`));
    }
    const state = this.#state;
    let contentType: string | null = null;
    let overridden = false;
    if (init !== undefined && init !== null) {
      if (typeof init !== 'object' && typeof init !== 'function') {
        throw new TypeError(
          "Failed to construct 'Request': constructor parameter 2 is not of type 'RequestInitializerDict or Request'.",
        );
      }
      if (isRequestValue(init)) {
        const from = init.#state;
        state.method = from.method;
        state.flat = arraySlice(currentFlat(from));
        state.redirect = from.redirect;
        state.cf = from.cf;
        state.cache = from.cache;
        if (from.signal !== undefined || from.abortable) state.signal = signalOf(from);
        overridden = true;
        body = bodyState(init);
        if (body !== null && isUsed(body)) throw new TypeError('Cannot reconstruct a Request with a used body.');
      } else {
        const { method, headers, body: given, redirect, signal, cf, cache } = init;
        if (method !== undefined) state.method = checkMethod(`${method}`);
        if (headers !== undefined) state.flat = arraySlice(flatHeaders(new Headers(headers)));
        if (redirect !== undefined) state.redirect = checkRedirect(`${redirect}`);
        if (cache !== undefined && !hasCacheOption) {
          throw new Error("The 'cache' field on 'RequestInitializerDict' is not implemented.");
        }
        if (cache !== undefined && cache !== null) state.cache = checkCache(`${cache}`);
        if (cf !== undefined) state.cf = cf;
        if (signal === null) {
          state.signal = undefined;
        } else if (signal !== undefined) {
          if (!(signal instanceof NativeAbortSignal)) {
            throw new TypeError(
              "Incorrect type for the 'signal' field on 'RequestInitializerDict': the provided value is not of type 'AbortSignal'.",
            );
          }
          state.signal = signal;
        }
        if (given !== undefined) {
          overridden = true;
          if (given !== null) {
            if (state.method === 'GET' || state.method === 'HEAD') {
              throw new TypeError('Request with a GET or HEAD method cannot have a body.');
            }
            ({ state: body, contentType } = extractBody(given));
          }
        }
      }
    }
    if (!overridden && moved !== null) {
      if (isUsed(moved)) throw new TypeError('Cannot reconstruct a Request with a used body.');
      body = stateFromData(takeState(moved));
      body!.shared = moved.shared;
    }
    if (contentType !== null && findHeader(state.flat, 'content-type') === undefined) {
      arrayPush(state.flat, 'Content-Type', contentType);
    }
    setBodyState(this, body);
  }

  #checked(): RequestState {
    return this.#state;
  }

  get method(): string {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.method;
  }

  get url(): string {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.url;
  }

  get headers(): Headers {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    const state = this.#state;
    return (state.headers ??= headersFromFlat(state.flat, state.immutable));
  }

  get redirect(): string {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.redirect;
  }

  get fetcher(): null {
    return null;
  }

  get signal(): AbortSignal {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return signalOf(this.#state);
  }

  get cf(): unknown {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.cf;
  }

  get integrity(): string {
    return '';
  }

  get keepalive(): boolean {
    return false;
  }

  get cache(): string | undefined {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    return this.#state.cache;
  }

  clone(): Request {
    if (!(#state in this)) throw new TypeError(kIllegalInvocation);
    const body = bodyState(this);
    const copied = body === null ? null : cloneState(body);
    const from = this.#state;
    const state: RequestState = {
      ...from,
      flat: arraySlice(currentFlat(from)),
      headers: undefined,
      immutable: false,
      signal: from.signal !== undefined || from.abortable ? signalOf(from) : undefined,
      controller: undefined,
      abortable: false,
    };
    const copy = new Request(kBodyToken as never, state as never);
    setBodyState(copy, copied);
    return copy;
  }

  [kContentType](): string | undefined {
    return findHeader(currentFlat(this.#checked()), 'content-type');
  }
}

setTag(Request.prototype, 'Request');
makeEnumerable(Request.prototype, [
  'clone', 'method', 'url', 'headers', 'redirect', 'fetcher', 'signal', 'cf', 'integrity', 'keepalive', 'cache',
]);
if (!hasCacheOption) Reflect.deleteProperty(Request.prototype, 'cache');
moveAttributes(Request.prototype, [
  'cf', 'fetcher', 'headers', 'integrity', 'keepalive', 'method', 'redirect', 'signal', 'url', 'cache',
]);

showProperties(Request.prototype, 'Request', [
  'method', 'url', 'headers', 'redirect', 'signal', 'cf', 'integrity', 'keepalive', 'cache', 'body', 'bodyUsed',
]);

export function isRequest(value: unknown): value is Request {
  return isRequestValue(value);
}

// The inside of a request; its owner may change it.
export function requestState(request: Request): RequestState {
  return stateOf(request);
}

// The headers as a flat list (not a copy): name, value, name, value ...
export function requestFlatHeaders(request: Request): string[] {
  return currentFlat(stateOf(request));
}

// The signal if somebody has given or looked at one, or if it may fire.
export function requestSignal(request: Request): AbortSignal | undefined {
  const state = stateOf(request);
  return state.signal === undefined && !state.abortable ? undefined : signalOf(state);
}

export interface IncomingRequest {
  method: string;
  url: string; // normalised
  flat: string[]; // taken over
  body: BodyState | null;
  cf: unknown;
  redirect: 'follow' | 'manual';
  abortable: boolean; // abortRequest may be called: the signal is linked when it is copied
}

// A request as a handler receives it: immutable headers, nothing validated.
export function makeIncomingRequest(incoming: IncomingRequest): Request {
  const request = new Request(
    kBodyToken as never,
    {
      method: incoming.method,
      url: incoming.url,
      flat: incoming.flat,
      headers: undefined,
      immutable: true,
      redirect: incoming.redirect,
      signal: undefined,
      controller: undefined,
      aborted: false,
      abortable: incoming.abortable,
      cf: incoming.cf,
      cache: undefined,
    } satisfies RequestState as never,
  );
  if (incoming.body !== null) setBodyState(request, incoming.body);
  return request;
}

// The caller of this request is gone. To be called within a turn: listeners run.
export function abortRequest(request: Request, reason: unknown): void {
  const state = stateOf(request);
  if (!state.abortable) return;
  state.aborted = true;
  state.controller?.abort(reason);
}
