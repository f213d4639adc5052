// Sockets in Responses: an end of a pipe leaves for the network, another isolate or another context, or arrives from one.

import { native } from '../host.ts';
import { type IoContext, addResource, removeResource } from '../io.ts';
import { type Incoming, type SocketState, type WebSocket, attach, pipeSocket, release, socketState } from './websocket.ts';

// Why a socket cannot be returned in a Response; undefined: it can.
export function coupleProblem(ws: WebSocket): string | undefined {
  const state = socketState(ws);
  switch (state.stage) {
    case 'accepted':
      return "Can't return WebSocket in a Response after calling accept().";
    case 'hibernatable':
      return "Can't return WebSocket in a Response after calling acceptWebSocket().";
    case 'coupled':
      return "Can't return WebSocket that was already used in a response.";
    case 'client':
      return "Can't return WebSocket in a Response if it was created with `new WebSocket()`";
    case 'fresh':
      return undefined;
  }
}

// Takes a socket's pipe end for a Response that leaves: respondUpgrade, or a message to another isolate.
export function couple(ws: WebSocket): number {
  const problem = coupleProblem(ws);
  if (problem !== undefined) throw new TypeError(problem);
  const state = socketState(ws);
  state.stage = 'coupled';
  state.peer = undefined;
  if (state.creator !== undefined) removeResource(state.creator, state);
  state.creator = undefined;
  if (state.end !== 0) return state.end;
  return bridge(state);
}

// A client's connection (from a fetch) that is returned in a Response: its messages go through a pipe from now on.
function bridge(client: SocketState): number {
  const [near, far] = native.pipeCreate();
  const inner = pipeSocket(near);
  inner.stage = 'coupled';
  forward(client, inner);
  forward(inner, client);
  attach(inner);
  client.transport!.start();
  return far;
}

function forward(from: SocketState, to: SocketState): void {
  from.sink = {
    deliver(_ws: WebSocket, event: Incoming): void {
      if (event.kind === 'message') {
        to.transport!.send(event.data);
        from.transport!.ack();
        return;
      }
      from.closedIn = true;
      if (event.kind === 'close' && event.wasClean) {
        to.transport!.close(event.code, event.code === 1005 ? '' : event.reason);
      } else {
        to.closedIn = true;
        to.transport!.abort();
      }
      if (from.closedIn && to.closedIn) {
        release(from);
        release(to);
      }
    },
  };
}

// A socket for an end that came with a Response from another context or isolate.
export function socketFromEnd(end: number, context: IoContext | undefined): WebSocket {
  const state = pipeSocket(end);
  if (context !== undefined) {
    state.creator = context;
    addResource(context, state);
  }
  return state.ws;
}
