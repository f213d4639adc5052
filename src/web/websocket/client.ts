// Outgoing WebSockets: Node's client behind our class, so that its events arrive in turns of the context that made it.
//
// `new WebSocket(url)` starts at once; a fetch with `Upgrade: websocket` (connectForFetch) yields a socket that waits for
// accept(), or is bridged when it is returned in a Response.

import { fire } from '../events.ts';
import { nodeWebSocket } from '../host_modules.ts';
import { addResource, currentFrame, runAsHost } from '../io.ts';
import {
  NativePromise,
  SafeSet,
  arrayPush,
  arraySlice,
  ignoreRejection,
  promiseThen,
  regExpTest,
} from '../primordials.ts';
import { type Incoming, type SocketState, type Transport, incoming, makeSocket } from './websocket.ts';

type NodeSocket = globalThis.WebSocket;
type NodeSocketClass = new (
  url: string,
  options: { protocols: string[]; headers?: [string, string][] },
) => NodeSocket;

const NativeDOMException = DOMException;
const NativeURL = URL;
const NativeEvent = Event;
const kToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const kNormalClosure = 1000;

class ClientTransport implements Transport {
  readonly #state: SocketState;
  #inner: NodeSocket | undefined;
  #waiting: Incoming[] | undefined = [];
  #aborted = false;

  constructor(state: SocketState) {
    this.#state = state;
  }

  // `opened` and `failed` are called once in all, outside a turn.
  open(
    url: string,
    protocols: string[],
    headers: [string, string][] | undefined,
    opened: (inner: NodeSocket) => void,
    failed: (error: Error) => void,
  ): void {
    if (this.#aborted) return;
    const options = headers === undefined ? { protocols } : { protocols, headers };
    const inner = runAsHost(() => new (nodeWebSocket() as NodeSocketClass)(url, options));
    this.#inner = inner;
    inner.binaryType = 'arraybuffer';
    let open = false;
    inner.onopen = () => {
      open = true;
      opened(inner);
    };
    inner.onmessage = (event) => this.#take({ kind: 'message', data: event.data as string | ArrayBuffer });
    inner.onerror = (event) => {
      const cause = (event as ErrorEvent).error as unknown;
      const error = Error.isError(cause) ? (cause as Error) : new Error('WebSocket connection failed.');
      if (!open) failed(error);
      if (open || this.#waiting === undefined) this.#take({ kind: 'error', error });
    };
    inner.onclose = (event) => {
      if (!open) failed(new Error('WebSocket connection failed.'));
      this.#take({ kind: 'close', code: event.code, reason: event.reason, wasClean: event.wasClean });
    };
  }

  #take(event: Incoming): void {
    if (this.#waiting !== undefined) arrayPush(this.#waiting, event);
    else incoming(this.#state, event);
  }

  start(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (let i = 0; i < waiting.length; i++) incoming(this.#state, waiting[i]!);
  }

  send(data: string | ArrayBuffer | Uint8Array): boolean {
    const inner = this.#inner;
    if (inner === undefined || inner.readyState !== 1) return false;
    inner.send(data as string);
    return true;
  }

  close(code: number, reason: string): void {
    const inner = this.#inner;
    if (inner === undefined) return;
    if (code === 1005) inner.close();
    // Browsers' rules are stricter than ours: a code of the protocol itself is sent as a normal closure.
    else if (code === kNormalClosure || code >= 3000) inner.close(code, reason);
    else inner.close(kNormalClosure, reason);
  }

  abort(): void {
    this.#aborted = true;
    this.#inner?.close();
  }

  ack(): void {}
}

function syntaxError(text: string): Error {
  return new NativeDOMException(`WebSocket Constructor: ${text}`, 'SyntaxError');
}

function checkUrl(given: string): string {
  let url: URL;
  try {
    url = new NativeURL(given);
  } catch {
    throw syntaxError('The url is invalid.');
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') throw syntaxError('The url scheme must be ws or wss.');
  if (url.hash !== '') throw syntaxError('The url fragment must be empty.');
  return url.href;
}

function checkProtocols(given: string | string[] | undefined): string[] {
  if (given === undefined) return [];
  const protocols = typeof given === 'string' ? [given] : arraySlice(given);
  const seen = new SafeSet<string>();
  for (let i = 0; i < protocols.length; i++) {
    const name = `${protocols[i]}`;
    if (!regExpTest(kToken, name)) {
      throw syntaxError(typeof given === 'string' ? 'The protocol header token is invalid.' : 'One of the protocol header tokens is invalid.');
    }
    if (seen.has(name)) throw syntaxError('The protocols header cannot have repeating values.');
    seen.add(name);
  }
  return protocols;
}

// The constructor's work. The connection waits for the output gate of whoever opens it.
export function startClient(state: SocketState, givenUrl: unknown, givenProtocols: string | string[] | undefined): void {
  if (givenUrl === undefined) {
    throw new TypeError("Failed to construct 'WebSocket': constructor parameter 1 is not of type 'string'.");
  }
  const url = checkUrl(`${givenUrl as string}`);
  const protocols = checkProtocols(givenProtocols);
  const { context, section } = currentFrame();
  const transport = new ClientTransport(state);
  state.stage = 'client';
  state.connecting = true;
  state.url = url;
  state.transport = transport;
  state.owner = context;
  state.section = section;
  state.holdsIo = true;
  addResource(context, state);
  context.beginIo();
  const open = (): void => {
    transport.open(
      url,
      protocols,
      undefined,
      (inner) => {
        state.protocol = inner.protocol;
        state.extensions = inner.extensions;
        incomingOpen(state);
      },
      () => {
        state.connecting = false;
      },
    );
  };
  transport.start();
  const gate = context.waitForOutput();
  if (gate === undefined) open();
  else ignoreRejection(promiseThen(gate, open));
}

function incomingOpen(state: SocketState): void {
  state.owner?.enter(state.section, () => {
    if (state.released) return;
    state.connecting = false;
    fire(state.ws, new NativeEvent('open'));
  });
}

// For fetch: resolves (outside a turn) with the state of a socket that waits for accept(), rejects when the server does
// not upgrade.
export function connectForFetch(url: string, headers: [string, string][], protocols: string[]): Promise<SocketState> {
  const state = makeSocket();
  const transport = new ClientTransport(state);
  state.transport = transport;
  return new NativePromise<SocketState>((resolve, reject) => {
    transport.open(
      url,
      protocols,
      headers,
      (inner) => {
        state.protocol = inner.protocol;
        state.extensions = inner.extensions;
        resolve(state);
      },
      reject,
    );
  });
}
