// fetch: outgoing HTTP through Node's client. The request leaves after the output gate; the answer and each chunk of its
// body come back as events of the context that asked.

import type { IncomingMessage } from 'node:http';
import {
  type ByteSource,
  BodyState,
  ioStreamSource,
  streamOfSource,
  takeBody,
} from './body.ts';
import { asksForUpgrade } from './exchange.ts';
import { failure } from './errors.ts';
import { findHeader, textOfWire, wireText } from './headers.ts';
import { hostFetch, nodeStream, webStreams } from './host_modules.ts';
import {
  type ContextResource,
  type Frame,
  type IoContext,
  addResource,
  awaitIo,
  currentFrame,
  removeResource,
  runAsHost,
} from './io.ts';
import {
  NativePromise,
  NativeUint8Array,
  SafeSet,
  arrayPush,
  promiseThen,
  split,
  startsWith,
  toLowerCase,
  trim,
} from './primordials.ts';
import {
  type RequestInit,
  Request,
  isRequest,
  requestFlatHeaders,
  requestSignal,
  requestState,
} from './request.ts';
import { type Response, makeReceivedResponse } from './response.ts';
import { type FetchedSocket, connectForFetch } from './websocket/client.ts';

const NativeAbortController = AbortController;
const anySignal = AbortSignal.any.bind(AbortSignal);

// What the transport decides itself: Node refuses some of these, others would contradict what it sends.
const transportHeaders = new SafeSet<string>([
  'connection', 'keep-alive', 'transfer-encoding', 'content-length', 'expect', 'upgrade', 'host', 'te', 'trailer',
  'proxy-connection',
]);
const handshakeHeaders = new SafeSet<string>([
  'sec-websocket-key', 'sec-websocket-version', 'sec-websocket-extensions', 'sec-websocket-protocol',
]);

function headerPairs(flat: readonly string[], handshake: boolean): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const lower = toLowerCase(flat[i]!);
    if (transportHeaders.has(lower) || (handshake && handshakeHeaders.has(lower))) continue;
    arrayPush(pairs, [flat[i]!, wireText(flat[i + 1]!)]);
  }
  return pairs;
}

// A body on its way out: Node pulls, the source is read in turns, each chunk waits for the output gate.
function outgoingBody(source: ByteSource, { context, section }: Frame): ReadableStream {
  const read = (): Promise<Uint8Array | null> =>
    new NativePromise((resolve, reject) => {
      context.enter(section, () => {
        promiseThen(
          source.read(),
          (chunk) => {
            const gate = context.waitForOutput();
            if (gate === undefined) resolve(chunk);
            else promiseThen(gate, () => resolve(chunk), reject);
          },
          reject,
        );
      });
    });
  return streamOfSource({
    length: source.length,
    read,
    cancel: (reason) => context.enter(section, () => source.cancel(reason)),
  });
}

// One fetch under way: dropped when its context ends.
class Flight implements ContextResource {
  readonly controller = new NativeAbortController();
  readonly context: IoContext;

  constructor(context: IoContext) {
    this.context = context;
    addResource(context, this);
  }

  landed(): void {
    removeResource(this.context, this);
  }

  stop(): void {
    this.controller.abort();
  }
}

// The body of the answer; the flight has landed when it has been read to the end.
function flownBody(source: ByteSource, flight: Flight): ByteSource {
  return {
    length: source.length,
    read: () =>
      promiseThen(
        source.read(),
        (chunk) => {
          if (chunk === null) flight.landed();
          return chunk;
        },
        (error) => {
          flight.landed();
          throw connectionLost(error);
        },
      ),
    cancel: (reason) => {
      flight.landed();
      source.cancel(reason);
    },
  };
}

function connectionLost(error: unknown): unknown {
  if (!Error.isError(error) || (error as Error).name === 'AbortError' || (error as Error).name === 'TimeoutError') return error;
  const cause = (error as { cause?: unknown }).cause ?? error;
  const lost = failure('Network connection lost.', { retryable: true });
  Object.defineProperty(lost, 'cause', { value: cause, configurable: true, writable: true });
  return lost;
}

// Node has decoded the body already: what said how it was encoded must not be passed on.
function receivedHeaders(inner: globalThis.Response, decoded: boolean): string[] {
  const flat: string[] = [];
  inner.headers.forEach((value, name) => {
    if (decoded && (name === 'content-encoding' || name === 'content-length')) return;
    arrayPush(flat, name, textOfWire(value));
  });
  return flat;
}

async function send(request: Request, frame: Frame, flight: Flight): Promise<globalThis.Response> {
  const { url, method, redirect } = requestState(request);
  const signal = requestSignal(request);
  const data = takeBody(request);
  const init: Record<string, unknown> = {
    method,
    redirect,
    headers: headerPairs(requestFlatHeaders(request), false),
    signal: signal === undefined ? flight.controller.signal : anySignal([signal, flight.controller.signal]),
  };
  if (data !== null) {
    if (typeof data === 'string' || data instanceof NativeUint8Array) {
      init['body'] = data;
    } else {
      webStreams();
      init['body'] = outgoingBody(data, frame);
      init['duplex'] = 'half';
    }
  }
  const gate = frame.context.waitForOutput();
  if (gate !== undefined) await gate;
  return runAsHost(() => hostFetch(url, init));
}

async function fetchHttp(request: Request, frame: Frame): Promise<Response> {
  const flight = new Flight(frame.context);
  let inner: globalThis.Response;
  try {
    inner = await awaitIo(send(request, frame, flight));
  } catch (error) {
    flight.landed();
    throw connectionLost(error);
  }
  const decoded = inner.body !== null && inner.headers.has('content-encoding');
  const lengthText = decoded ? null : inner.headers.get('content-length');
  let body: BodyState | null = null;
  if (inner.body === null) {
    flight.landed();
  } else {
    const source = ioStreamSource(inner.body as ReadableStream, lengthText === null ? -1 : Number(lengthText));
    body = new BodyState(flownBody(source, flight), undefined);
  }
  return makeReceivedResponse({
    status: inner.status,
    statusText: inner.statusText,
    flat: receivedHeaders(inner, decoded),
    body,
    url: inner.url,
    redirected: inner.redirected,
    webSocket: null,
    cf: undefined,
  });
}

function webBody(message: IncomingMessage): ReadableStream {
  webStreams();
  return runAsHost(() => nodeStream().Readable.toWeb(message)) as unknown as ReadableStream;
}

async function fetchSocket(request: Request, frame: Frame): Promise<Response> {
  const flat = requestFlatHeaders(request);
  const { url: given } = requestState(request);
  const url = new URL(given);
  url.hash = '';
  const protocols: string[] = [];
  const names = split(findHeader(flat, 'sec-websocket-protocol') ?? '', ',');
  for (let i = 0; i < names.length; i++) if (trim(names[i]!) !== '') arrayPush(protocols, trim(names[i]!));
  const flight = new Flight(frame.context);
  const asked = requestSignal(request);
  const signal = asked === undefined ? flight.controller.signal : anySignal([asked, flight.controller.signal]);
  const connect = async () => {
    const gate = frame.context.waitForOutput();
    if (gate !== undefined) await gate;
    return connectForFetch(url.href, headerPairs(flat, true), protocols, signal);
  };
  let result: FetchedSocket;
  try {
    result = await awaitIo(connect());
  } catch (error) {
    flight.landed();
    throw connectionLost(error);
  }
  const common = { url: given, redirected: false, webSocket: null, cf: undefined };
  if ('state' in result) {
    flight.landed();
    result.state.creator = frame.context;
    addResource(frame.context, result.state);
    return makeReceivedResponse({
      ...common,
      status: 101,
      statusText: 'Switching Protocols',
      flat: result.flat,
      body: null,
      webSocket: result.state.ws,
    });
  }
  if (result.kind === 'broken') {
    flight.landed();
    const body = new BodyState(result.text, undefined);
    return makeReceivedResponse({ ...common, status: 502, statusText: 'Bad Gateway', flat: ['content-type', 'text/plain;charset=UTF-8'], body });
  }
  const { message } = result;
  const body = new BodyState(flownBody(ioStreamSource(webBody(message), -1), flight), undefined);
  return makeReceivedResponse({
    ...common,
    status: message.statusCode!,
    statusText: message.statusMessage!,
    flat: message.rawHeaders,
    body,
  });
}

// Global fetch. Never throws: it rejects.
export async function fetch(
  input: Request | string | URL = undefined as never,
  init: RequestInit | Request | undefined = undefined,
): Promise<Response> {
  if (input === undefined) {
    throw new TypeError(
      "Failed to execute 'fetch' on 'ServiceWorkerGlobalScope': parameter 1 is not of type 'Request or string'.",
    );
  }
  const frame = currentFrame();
  const request = isRequest(input) && init === undefined ? input : new Request(input, init);
  const { url } = requestState(request);
  if (!startsWith(url, 'http:') && !startsWith(url, 'https:')) throw new TypeError(`Fetch API cannot load: ${url}`);
  const signal = requestSignal(request);
  if (signal?.aborted === true) throw signal.reason;
  return asksForUpgrade(requestFlatHeaders(request)) ? fetchSocket(request, frame) : fetchHttp(request, frame);
}

