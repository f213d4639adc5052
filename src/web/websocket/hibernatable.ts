// Sockets that ctx.acceptWebSocket has taken, for `actor/`: their events go to a sink, and they outlive the instance that
// accepted them, also in another isolate. Their states are those of websocket.ts.

import type { IoContext } from '../io.ts';
import { removeResource } from '../io.ts';
import {
  type HibernatableSink,
  type Incoming,
  type SocketState,
  type WebSocket,
  attach,
  attached,
  closeOut,
  makeSocket,
  own,
  pipeSocket,
  repliesToClose,
  socketState,
} from './websocket.ts';

// ctx.acceptWebSocket: events go to `sink`. Throws the texts of spec 7.3.
export function acceptHibernatable(ws: WebSocket, sink: HibernatableSink, context: IoContext): void {
  const state = socketState(ws);
  if (state.stage === 'accepted' || state.stage === 'hibernatable') {
    throw new Error('Cannot call `acceptWebSocket()` if the WebSocket was already accepted via `accept()`');
  }
  // Without a peer here it is a client's, which came with a Response.
  if (state.stage !== 'fresh' || state.peer === undefined || state.peer.stage !== 'fresh') {
    throw new Error(
      'Cannot call `acceptWebSocket()` on this WebSocket because its pair has already been accepted or used in a Response.',
    );
  }
  adoptHibernatable(state, sink, context);
  attach(state);
}

function adoptHibernatable(state: SocketState, sink: HibernatableSink, context: IoContext): void {
  state.stage = 'hibernatable';
  state.sink = sink;
  state.autoReply = repliesToClose;
  own(state, context, null);
}

// The number of the pipe's end, for Native.pipeAutoResponse and the like; 0: not a pipe.
export function socketEnd(ws: WebSocket): number {
  return socketState(ws).end;
}

export function ackSocket(ws: WebSocket): void {
  const state = socketState(ws);
  if (!state.released) state.transport!.ack();
}

// The synchronous part of the handler of a Close has run: what it did not answer is answered now, when the runtime does.
export function answerClose(ws: WebSocket, event: Incoming): void {
  const state = socketState(ws);
  if (event.kind !== 'close' || !event.wasClean || !state.autoReply || state.closedOut || state.released) return;
  closeOut(state, event.code, event.code === 1005 ? '' : event.reason);
}

export function isHibernatable(ws: WebSocket): boolean {
  return socketState(ws).stage === 'hibernatable';
}

// Neither accepted nor used in a Response yet.
export function isFresh(ws: WebSocket): boolean {
  return socketState(ws).stage === 'fresh';
}

// True when nothing more will come or go: a hibernatable socket is then no longer listed.
export function isReleased(ws: WebSocket): boolean {
  return socketState(ws).released;
}

// Cuts the connection without a Close frame: the peer sees 1006.
export function abortSocket(ws: WebSocket): void {
  const state = socketState(ws);
  if (state.released) return;
  if (state.owner !== undefined) removeResource(state.owner, state);
  state.stop();
}

// The instance that accepted a hibernatable socket goes, the socket stays: nothing stops it, and nobody sends.
export function putToSleep(ws: WebSocket): void {
  const state = socketState(ws);
  if (state.owner !== undefined) removeResource(state.owner, state);
  state.owner = undefined;
}

// A sleeping socket on its way to another isolate.
export interface SleepingSocket {
  end: number;
  closedOut: boolean;
  closedIn: boolean;
  url: string | null;
  protocol: string | null;
  extensions: string | null;
  attachment: ArrayBuffer | undefined;
}

function restore(state: SocketState, from: SleepingSocket): void {
  state.closedOut = from.closedOut;
  state.closedIn = from.closedIn;
  state.url = from.url;
  state.protocol = from.protocol;
  state.extensions = from.extensions;
  state.attachment = from.attachment;
}

// The socket as a WebSocket object of the object's next instance.
export function wakeSocket(asleep: WebSocket, context: IoContext): WebSocket {
  const from = socketState(asleep);
  const state = makeSocket();
  state.end = from.end;
  state.transport = from.transport;
  restore(state, from);
  adoptHibernatable(state, from.sink!, context);
  from.sink = undefined;
  from.released = true;
  if (!state.released) attached.set(state.end, state);
  return state.ws;
}

// This isolate knows the socket no more; its pipe is left to Native.handOver.
export function exportSleeping(asleep: WebSocket): SleepingSocket {
  const state = socketState(asleep);
  const { end, closedOut, closedIn, url, protocol, extensions, attachment } = state;
  attached.delete(end);
  state.sink = undefined;
  state.released = true;
  return { end, closedOut, closedIn, url, protocol, extensions, attachment };
}

// The socket here, still asleep; `resumeSleeping` lets its events come.
export function importSleeping(from: SleepingSocket, sink: HibernatableSink): WebSocket {
  const state = pipeSocket(from.end);
  state.stage = 'hibernatable';
  state.sink = sink;
  restore(state, from);
  return state.ws;
}

export function resumeSleeping(asleep: WebSocket): void {
  attach(socketState(asleep));
}
