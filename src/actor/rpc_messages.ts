// Calls between isolates (messages.ts): those that this isolate waits for, calls of exports, and calls on results.

import { type ErrorData, errorToData, failure } from '../web/errors.ts';
import { config, native } from '../web/host.ts';
import { SafeMap } from '../web/primordials.ts';
import { connectionLost } from './bodies.ts';
import { MessageKind } from './messages.ts';
import { type Incoming, RemoteReply, callersGone, findUnanswered } from './rpc_incoming.ts';
import { type Arguments, type Call, Outgoing, type RemotePlace } from './rpc_outgoing.ts';
import { Packed, type WireRefs, unsendAll } from './rpc_pack.ts';
import { passOn } from './rpc_refs.ts';
import {
  type Imported,
  exportsReached,
  findExport,
  importBroke,
  referencesPeerGone,
  remote,
  unexport,
} from './rpc_target.ts';

// ------------------------------------------------------------------------------------------------ waiting for answers

// A stub whose calls go to wherever an object lives.
export interface CallOrigin {
  // Its isolate, once it is known.
  reached(address: number): void;
  broke(error: ErrorData): void;
  readonly shard: number;
  readonly ns: string;
}

interface PendingCall {
  reply: Outgoing;
  origin: CallOrigin | undefined;
  address: number; // of the isolate that has the call; 0: not known yet
  sent: number[] | undefined; // exports that went with it
  piped: Piped | undefined;
}

// A call on the result of `base`, until it is known whether it has come in time.
interface Piped {
  base: Outgoing;
  args: unknown;
  refs: WireRefs | undefined;
}

let nextCall = 1;
const pending = new SafeMap<number, PendingCall>();

// A call to another isolate: answered by result, response, error or the isolate's end.
export function awaitAnswer(reply: Outgoing, address: number, origin: CallOrigin | undefined): number {
  const id = nextCall++;
  reply.answerId = id;
  pending.set(id, { reply, origin, address, sent: undefined, piped: undefined });
  return id;
}

// It will not be answered.
export function dropAnswer(id: number): void {
  const call = pending.get(id);
  pending.delete(id);
  call?.piped?.base.confirmed(undefined);
}

export function answered(id: number, from: number): Outgoing | undefined {
  const call = pending.get(id);
  if (call === undefined) return undefined;
  dropAnswer(id);
  call.origin?.reached(from);
  if (call.sent !== undefined) exportsReached(call.sent, from);
  return call.reply;
}

// The message came back, or went down with an isolate: nobody has what went with it.
export function lost(id: number): Outgoing | undefined {
  const call = pending.get(id);
  if (call === undefined) return undefined;
  dropAnswer(id);
  if (call.sent !== undefined && call.address === 0) for (let i = 0; i < call.sent.length; i++) unexport(call.sent[i]!);
  return call.reply;
}

export function answersComeFrom(origin: CallOrigin, address: number): void {
  pending.forEach((call) => {
    if (call.origin !== origin || call.address !== 0) return;
    call.address = address;
    if (call.sent !== undefined) exportsReached(call.sent, address);
  });
}

// ------------------------------------------------------------------------------------------------ sending

// Takes a call's arguments and sends them with `send`.
export function packedMessage(id: number, call: Outgoing, send: (args: unknown, refs: WireRefs | undefined) => void): void {
  const args = call.takeArguments();
  let refs: WireRefs | undefined;
  try {
    if (args instanceof Packed) {
      const waiting = pending.get(id)!;
      waiting.sent = [];
      refs = args.toWire(waiting.address, waiting.sent);
      send(args.root, refs);
    } else {
      send(args, undefined);
    }
  } catch (error) {
    dropAnswer(id);
    if (refs !== undefined) unsendAll(refs);
    call.threw(error);
  }
}

export function argumentsFromWire(args: unknown[] | undefined, refs: WireRefs | undefined, from: number): Arguments {
  return refs === undefined ? args : Packed.fromWire(args!, refs, from);
}

// Sends a call on the result of `base`, which is not told to its caller before this is known to have arrived.
export function pipeMessage(
  base: Outgoing,
  call: Outgoing,
  address: number,
  origin: CallOrigin | undefined,
  send: (id: number, args: unknown, refs: WireRefs | undefined) => void,
): void {
  const id = awaitAnswer(call, address, origin);
  const piped: Piped = { base, args: undefined, refs: undefined };
  pending.get(id)!.piped = piped;
  packedMessage(id, call, (args, refs) => {
    send(id, args, refs);
    piped.args = args;
    piped.refs = refs;
  });
}

// An isolate whose address is known.
export class IsolatePlace implements RemotePlace {
  readonly #address: number;

  constructor(address: number) {
    this.#address = address;
  }

  pipe(base: Outgoing, call: Outgoing): void {
    call.place = this;
    pipeMessage(base, call, this.#address, undefined, (id, args, refs) =>
      native.send(this.#address, [MessageKind.pipe, id, base.answerId, call.path, args, refs]),
    );
  }
}

// In time, or not: then it is made here, on the caller's copy of the result. Its references come back the way that they
// would have been used.
function pipedAnswer(id: number, found: boolean): void {
  const call = pending.get(id);
  const piped = call?.piped;
  if (call === undefined || piped === undefined) return;
  call.piped = undefined;
  if (found) {
    piped.base.confirmed(undefined);
    return;
  }
  pending.delete(id);
  if (call.sent !== undefined) exportsReached(call.sent, config.address);
  call.reply.args = argumentsFromWire(piped.args as unknown[] | undefined, piped.refs, config.address);
  call.reply.place = undefined;
  piped.base.confirmed(call.reply);
}

remote.call = (target: Imported, call: Call) => {
  if (!(call instanceof Outgoing)) {
    target.addRef();
    const relay = passOn(target);
    relay.dispatch(call);
    relay.release();
    return;
  }
  const { address } = target;
  const id = awaitAnswer(call, address, undefined);
  call.place = new IsolatePlace(address);
  packedMessage(id, call, (args, refs) => native.send(address, [MessageKind.stubCall, id, target.id, call.path, args, refs]));
};

// ------------------------------------------------------------------------------------------------ receiving

// A call that another isolate has sent.
class RemoteCall implements Call {
  readonly reply: RemoteReply;
  readonly path: readonly string[];
  #args: Arguments;

  constructor(from: number, id: number, path: string[], args: unknown[] | undefined, refs: WireRefs | undefined) {
    this.reply = new RemoteReply(from, id);
    this.path = path;
    this.#args = argumentsFromWire(args, refs, from);
  }

  takeArguments(): Arguments {
    return this.#args;
  }

  set serving(call: Incoming | undefined) {
    this.reply.serve(call!);
  }

  error(data: ErrorData, isRemote: boolean): void {
    if (this.#args instanceof Packed) this.#args.discard();
    this.reply.error(data, isRemote);
  }

  threw(error: unknown): void {
    this.error(errorToData(error), true);
  }
}

export type PipeMessage = [
  kind: number, channel: number, id: number, base: number, path: string[], args: unknown[] | undefined, refs: WireRefs | undefined,
];

export function receivePiped(
  from: number,
  id: number,
  base: number,
  path: string[],
  args: unknown[] | undefined,
  refs: WireRefs | undefined,
): void {
  const call = findUnanswered(from, base);
  native.send(from, [MessageKind.piped, id, call !== undefined]);
  if (call === undefined) return;
  call.pipeline(new RemoteCall(from, id, path, args, refs));
}

// False: the message is about something else.
export function rpcMessage(from: number, message: readonly unknown[]): boolean {
  const id = message[1] as number;
  switch (message[0]) {
    case MessageKind.result: {
      const [, , value, refs] = message as [number, number, unknown, WireRefs | undefined];
      const result = refs === undefined ? value : Packed.fromWire(value as unknown[], refs, from);
      const call = answered(id, from);
      if (call !== undefined) call.result(result);
      else if (result instanceof Packed) result.discard();
      return true;
    }
    case MessageKind.error:
      answered(id, from)?.error(message[2] as ErrorData, message[3] as boolean);
      return true;
    case MessageKind.stubCall: {
      const [, , target, path, args, refs] = message as [number, number, number, string[], unknown[] | undefined, WireRefs | undefined];
      const call = new RemoteCall(from, id, path, args, refs);
      const exported = findExport(target);
      if (exported === undefined) call.error(errorToData(connectionLost()), false);
      else exported.dispatch(call);
      return true;
    }
    case MessageKind.pipe: {
      const [, , base, path, args, refs] = message as [number, number, number, string[], unknown[] | undefined, WireRefs | undefined];
      receivePiped(from, id, base, path, args, refs);
      return true;
    }
    case MessageKind.piped:
      pipedAnswer(id, message[2] as boolean);
      return true;
    case MessageKind.release:
      unexport(id);
      return true;
    case MessageKind.exportBroken:
      importBroke(from, id, message[2] as ErrorData);
      return true;
    default:
      return false;
  }
}

// ------------------------------------------------------------------------------------------------ isolates that end

export type PeerEnd = 'ended' | 'cpu' | 'memory' | 'lost';

function objectLost(why: PeerEnd): Error {
  const reset = { overloaded: true, durableObjectReset: true };
  if (why === 'cpu') return failure('Durable Object exceeded its CPU time limit and was reset.', reset);
  if (why === 'memory') return failure("Durable Object's isolate exceeded its memory limit and was reset.", reset);
  return connectionLost();
}

function serviceLost(why: PeerEnd): Error {
  if (why === 'cpu') return new Error('Worker exceeded CPU time limit.');
  if (why === 'memory') return new Error('Worker exceeded memory limit.');
  return connectionLost();
}

export function rpcPeerGone(address: number, why: PeerEnd, namespaces: readonly string[]): void {
  callersGone(address);
  pending.forEach((call, id) => {
    const { origin } = call;
    // One that ended in order has answered every call of its objects: what is still pending has gone to another one.
    const mayHaveIt = origin === undefined || (why !== 'ended' && namespaces.includes(origin.ns));
    if (!mayHaveIt || (call.address === 0 ? origin?.shard !== address % 256 : call.address !== address)) return;
    lost(id);
    const error = errorToData(origin === undefined ? serviceLost(why) : objectLost(why));
    origin?.broke(error);
    call.reply.error(error, false);
  });
  referencesPeerGone(address);
}
