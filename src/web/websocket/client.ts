// Outgoing WebSockets: a connection of Node's whose events arrive in turns of the context that made it.
//
// `new WebSocket(url)` starts at once; a fetch with `Upgrade: websocket` (connectForFetch) yields a socket that waits for
// accept(), or is bridged when it is returned in a Response.
//
// 1. At most kUnackedMessagesMax messages or kUnackedBytesMax bytes wait to be handled; beyond that nothing is read.
// 2. A server that does not read what is sent to it is cut when kBufferedBytesMax wait for it.
// 3. Our Close frame is the last frame that is sent; a server's is the last event but one: the connection's end.

import type { Socket } from 'node:net';
import { failure } from '../errors.ts';
import { ErrorEvent, CloseEvent, fire } from '../events.ts';
import { flag } from '../compat.ts';
import { addResource, currentFrame, runAsHost } from '../io.ts';
import { NativePromise, SafeSet, arrayPush, arrayShift, arraySlice, ignoreRejection, promiseThen, regExpTest } from '../primordials.ts';
import { FrameReader, ProtocolError, closeFrame, messageFrame, pongFrame } from './frames.ts';
import { type HandshakeResult, startHandshake } from './handshake.ts';
import { type Incoming, type SocketState, type Transport, gone, incoming, makeSocket, release, repliesToClose } from './websocket.ts';

const kUnackedMessagesMax = 64;
const kUnackedBytesMax = 1024 * 1024;
const kBufferedBytesMax = 64 * 1024 * 1024;
const kPongBufferedBytesMax = 64 * 1024;
const kLingerMs = 10_000; // for the server to end the connection, after both Close frames
const offersDeflate = flag('web_socket_compression');

const NativeDOMException = DOMException;
const NativeURL = URL;
const NativeEvent = Event;
const kToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

class ClientTransport implements Transport {
  readonly #state: SocketState;
  #socket: Socket | undefined;
  #waiting: Incoming[] | undefined = [];
  #deflates = false;
  #ended = false; // nothing is reported any more
  #unacked: number[] = []; // sizes, the oldest first
  #unackedBytes = 0;
  #giveUp: (() => void) | undefined;

  constructor(state: SocketState) {
    this.#state = state;
  }

  // How to cancel what goes on before open().
  connecting(giveUp: () => void): void {
    if (this.#ended) giveUp();
    else this.#giveUp = giveUp;
  }

  get aborted(): boolean {
    return this.#ended;
  }

  open(result: HandshakeResult & { kind: 'open' }): void {
    const { socket } = result;
    this.#giveUp = undefined;
    if (this.#ended) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    this.#deflates = result.extensions !== null;
    const reader = new FrameReader(
      {
        message: (data) => this.#message(data),
        close: (code, reason) => this.#take({ kind: 'close', code, reason, wasClean: true }),
        ping: (payload) => {
          // A server that does not read has no use for pongs.
          if (socket.writable && socket.writableLength <= kPongBufferedBytesMax) socket.write(pongFrame(payload));
        },
      },
      this.#deflates,
    );
    const read = (chunk: Uint8Array): void => {
      if (this.#ended) return;
      try {
        reader.read(chunk);
      } catch (error) {
        this.#fail(error as Error);
      }
    };
    socket.setNoDelay(true);
    socket.setTimeout(0);
    socket.on('data', read);
    socket.on('end', () => this.#lost());
    socket.on('error', () => this.#lost());
    socket.on('close', () => this.#lost());
    if (result.head.byteLength > 0) read(result.head);
  }

  #message(data: string | ArrayBuffer): void {
    const bytes = typeof data === 'string' ? data.length : data.byteLength;
    arrayPush(this.#unacked, bytes);
    this.#unackedBytes += bytes;
    if (this.#isFull()) this.#socket!.pause();
    this.#take({ kind: 'message', data });
  }

  #isFull(): boolean {
    return this.#unacked.length >= kUnackedMessagesMax || this.#unackedBytes >= kUnackedBytesMax;
  }

  // The server broke the protocol.
  #fail(error: Error): void {
    const socket = this.#socket!;
    this.#ended = true;
    if (error instanceof ProtocolError && socket.writable && !this.#state.closedOut) {
      socket.end(closeFrame(error.code, error.description));
      this.#linger(socket);
    } else {
      socket.destroy();
    }
    this.#take({ kind: 'error', error });
  }

  #lost(): void {
    if (this.#ended) return;
    this.#ended = true;
    // After the server's Close this only says that nothing can be sent any more (`incoming` knows).
    this.#take(gone());
    this.#socket?.destroy();
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
    return this.#write(messageFrame(data, this.#deflates));
  }

  close(code: number, reason: string): void {
    this.#write(closeFrame(code, reason));
  }

  #write(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    if (socket === undefined || this.#ended || !socket.writable) return false;
    if (socket.writableLength + bytes.byteLength > kBufferedBytesMax) {
      this.#lost();
      return false;
    }
    runAsHost(() => socket.write(bytes));
    return true;
  }

  // Both Close frames have been exchanged: the server ends the connection, or we do when it takes too long.
  finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    const socket = this.#socket;
    if (socket === undefined) return;
    socket.end();
    socket.resume();
    this.#linger(socket);
  }

  #linger(socket: Socket): void {
    socket.setTimeout(kLingerMs, () => socket.destroy());
  }

  abort(): void {
    this.#ended = true;
    this.#giveUp?.();
    this.#giveUp = undefined;
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return;
    socket.resetAndDestroy();
  }

  ack(): void {
    const wasFull = this.#isFull();
    this.#unackedBytes -= arrayShift(this.#unacked) ?? 0;
    if (wasFull && !this.#isFull() && !this.#ended) this.#socket!.resume();
  }
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

function httpUrl(url: string): string {
  return `http${url.slice(2)}`; // ws: and wss:
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
  state.autoReply = repliesToClose;
  state.url = url;
  state.transport = transport;
  state.owner = context;
  state.section = section;
  state.holdsIo = true;
  addResource(context, state);
  context.beginIo();
  transport.start();
  const connect = (): void => {
    if (transport.aborted) return;
    transport.connecting(
      startHandshake(
        { url: httpUrl(url), headers: [], protocols, offersDeflate },
        (result) => {
          if (result.kind === 'open') return opened(state, transport, result);
          const status = result.kind === 'broken' ? 502 : result.message.statusCode;
          if (result.kind === 'declined') result.message.destroy();
          connectFailed(
            state,
            new TypeError(
              'Failed to establish the WebSocket connection: expected server to reply with HTTP status code 101 ' +
                `(switching protocols), but received ${status} instead.`,
            ),
          );
        },
        () => connectFailed(state, failure('Network connection lost.', { retryable: true })),
      ),
    );
  };
  const gate = context.waitForOutput();
  if (gate === undefined) connect();
  else ignoreRejection(promiseThen(gate, connect));
}

function opened(state: SocketState, transport: ClientTransport, result: HandshakeResult & { kind: 'open' }): void {
  state.owner?.enter(state.section, () => {
    if (state.released) return;
    state.connecting = false;
    state.protocol = result.protocol;
    state.extensions = result.extensions;
    fire(state.ws, new NativeEvent('open'));
  });
  transport.open(result); // its events come behind the one above
}

function connectFailed(state: SocketState, error: Error): void {
  state.owner?.enter(state.section, () => {
    if (state.released) return;
    state.connecting = false;
    release(state);
    fire(state.ws, new ErrorEvent('error', { message: `Uncaught ${error.name}: ${error.message}`, error }));
    fire(state.ws, new CloseEvent('close', { code: 1006, reason: 'Failed to establish websocket connection', wasClean: false }));
  });
}

export type FetchedSocket = { state: SocketState; flat: string[] } | Exclude<HandshakeResult, { kind: 'open' }>;

// For fetch: resolves (outside a turn) with the state of a socket that waits for accept(), or with what the server says
// instead. `url`: http: or https:. Ends with the signal's reason when that fires before the server has answered.
export function connectForFetch(
  url: string,
  headers: [string, string][],
  protocols: string[],
  signal: AbortSignal | undefined,
): Promise<FetchedSocket> {
  const state = makeSocket();
  const transport = new ClientTransport(state);
  state.transport = transport;
  return new NativePromise<FetchedSocket>((resolve, reject) => {
    const onAbort = (): void => {
      giveUp();
      reject(signal!.reason as Error);
    };
    const forget = (): void => signal?.removeEventListener('abort', onAbort);
    const giveUp = startHandshake(
      { url, headers, protocols, offersDeflate: false },
      (result) => {
        forget();
        if (result.kind !== 'open') return resolve(result);
        state.protocol = result.protocol ?? '';
        transport.open(result);
        resolve({ state, flat: result.flat });
      },
      (error) => {
        forget();
        reject(error);
      },
    );
    signal?.addEventListener('abort', onAbort);
  });
}
