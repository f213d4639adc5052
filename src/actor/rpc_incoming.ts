// The callee's side of a call: running it, its one answer, and the calls on its result that have come before that.
//
// An answer leaves after the callee's output gate. Stubs among the arguments are disposed with the end of the call,
// after the result has been packed, which may contain them.

import { type ErrorData, errorToData } from '../web/errors.ts';
import { native } from '../web/host.ts';
import type { Frame, IoContext } from '../web/io.ts';
import { SafeMap, arrayPush, noop, promiseResolve, promiseThen } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import { afterOutput, lendBody, outputIsOpen, unlendBody } from './bodies.ts';
import type { ResponseParts } from './calls.ts';
import { MessageKind, type ResponseMessage } from './messages.ts';
import { weigh } from './overload.ts';
import { callMember, findOnTarget } from './rpc.ts';
import type { Arguments, Call } from './rpc_outgoing.ts';
import { Packed, packRemoteResult, packResult, pipelineTarget, unsendAll } from './rpc_pack.ts';
import { type Group, disposeAll } from './rpc_stub.ts';
import { isPrimitive } from './rpc_values.ts';
import { type Exported, type RunningCall, type Target, exportsReached, incoming, relayFrame } from './rpc_target.ts';

// Where an answer goes. `pack` and `packResponse` run in the callee's turn and may throw; what they return is handed to
// `result` and `response` after the output gate.
export interface Reply {
  // See Outgoing.
  readonly isWithin?: boolean;
  pack(value: unknown, frame: Frame): unknown;
  // Gives the callee's stubs that went with the result, if it was packed only now.
  result(packed: unknown): Group | undefined;
  packResponse(parts: ResponseParts, frame: Frame): unknown;
  response(packed: unknown): void;
  error(data: ErrorData, remote: boolean): void;
}

// ------------------------------------------------------------------------------------------------ answers by message

// Calls of other isolates that have not been answered, by the caller's address and number.
const unanswered = new SafeMap<number, Map<number, Incoming>>();

export function findUnanswered(address: number, id: number): Incoming | undefined {
  return unanswered.get(address)?.get(id);
}

export function callersGone(address: number): void {
  unanswered.delete(address);
}

// The answer to a caller in another isolate.
export class RemoteReply implements Reply {
  readonly #address: number;
  readonly #id: number;
  #frame: Frame = relayFrame; // the callee's

  constructor(address: number, id: number) {
    this.#address = address;
    this.#id = id;
  }

  // The call may be asked for things of its result.
  serve(call: Incoming): void {
    let ofPeer = unanswered.get(this.#address);
    if (ofPeer === undefined) unanswered.set(this.#address, (ofPeer = new SafeMap()));
    ofPeer.set(this.#id, call);
  }

  #answered(): void {
    unanswered.get(this.#address)?.delete(this.#id);
  }

  pack(value: unknown, frame: Frame): unknown {
    this.#frame = frame;
    return packRemoteResult(value, frame, !outputIsOpen(frame.context));
  }

  result(value: unknown): Group | undefined {
    this.#answered();
    try {
      if (value instanceof Packed) this.#sendPacked(value);
      else if (isPrimitive(value)) native.send(this.#address, [MessageKind.result, this.#id, value]);
      else return this.#sendObject(value);
    } catch (error) {
      this.error(errorToData(error), true);
    }
    return undefined;
  }

  // Serialised here for the first time, unless it had to wait.
  #sendObject(value: unknown): Group | undefined {
    try {
      native.send(this.#address, [MessageKind.result, this.#id, value], true);
      return undefined;
    } catch {
      // It is walked, which says what is wrong with it.
    }
    const packed = packResult(value, this.#frame);
    if (packed instanceof Packed) {
      this.#sendPacked(packed);
      return packed.moved;
    }
    native.send(this.#address, [MessageKind.result, this.#id, packed]); // just within the limit
    return undefined;
  }

  #sendPacked(packed: Packed): void {
    const sent: number[] = [];
    const refs = packed.toWire(this.#address, sent);
    try {
      native.send(this.#address, [MessageKind.result, this.#id, packed.root, refs]);
    } catch (error) {
      unsendAll(refs);
      throw error;
    }
    exportsReached(sent, this.#address);
  }

  packResponse(parts: ResponseParts, frame: Frame): ResponseMessage {
    const { status, statusText, flat, socketEnd, cf, manualEncoding, data } = parts;
    return [status, statusText, flat, socketEnd, cf, manualEncoding, lendBody(data, frame)];
  }

  response(message: ResponseMessage): void {
    this.#answered();
    try {
      native.send(this.#address, [MessageKind.response, this.#id, message]);
    } catch (error) {
      unlendBody(message[6]);
      this.error(errorToData(error), true);
    }
  }

  error(data: ErrorData, remote: boolean): void {
    this.#answered();
    native.send(this.#address, [MessageKind.error, this.#id, data, remote]);
  }
}

// ------------------------------------------------------------------------------------------------ calls

export abstract class Incoming {
  readonly reply: Reply;
  readonly path: readonly string[];
  #args: Arguments;
  #group: Group | undefined;
  // Calls on the result, in order.
  #pipelined: Call[] | undefined;

  constructor(reply: Reply, path: readonly string[], args: Arguments) {
    this.reply = reply;
    this.path = path;
    this.#args = args;
  }

  // Its answer has left.
  abstract ended(): void;

  get isCall(): boolean {
    return this.#args !== undefined;
  }

  // In a turn of the callee. Call it once.
  arguments(frame: Frame): unknown[] | undefined {
    const args = this.#args;
    if (!(args instanceof Packed)) return args;
    this.#group = [];
    return args.unpack(frame, this.#group, frame.context.holdsStubs) as unknown[];
  }

  // About their bytes.
  argumentsWeight(): number {
    const args = this.#args;
    return weigh(args instanceof Packed ? args.root : args);
  }

  pipeline(call: Call): void {
    arrayPush((this.#pipelined ??= []), call);
  }

  get isPipelined(): boolean {
    return this.#pipelined !== undefined;
  }

  // The call has ended, or will never run.
  disposeArguments(): void {
    const group = this.#group;
    this.#group = undefined;
    if (group !== undefined) disposeAll(group);
    else if (this.#args instanceof Packed) this.#args.discard();
  }

  flushTo(target: Target): void {
    const calls = this.#pipelined!;
    this.#pipelined = undefined;
    for (let i = 0; i < calls.length; i++) target.dispatch(calls[i]!);
  }

  failPipelined(data: ErrorData, remote: boolean): void {
    const calls = this.#pipelined;
    this.#pipelined = undefined;
    if (calls === undefined) return;
    for (let i = 0; i < calls.length; i++) calls[i]!.error(data, remote);
  }
}

function leave(call: Incoming, packed: unknown, value: unknown, frame: Frame): void {
  let target: Target | undefined;
  if (call.isPipelined) target = pipelineTarget(value, frame, true)!;
  const packedNow = call.reply.result(packed);
  const moved = packed instanceof Packed ? packed.moved : packedNow;
  if (target !== undefined) {
    if (call.isPipelined) call.flushTo(target);
    target.release();
  }
  if (moved !== undefined) {
    // Calls on the result run in turns of their own: the stubs in it must still be there.
    if (target === undefined) disposeAll(moved);
    else frame.context.enter(frame.section, () => disposeAll(moved));
  }
  call.ended();
}

// Answers with a value.
export function answerValue(call: Incoming, frame: Frame, value: unknown): void {
  const { context } = frame;
  let packed: unknown;
  try {
    packed = call.reply.pack(value, frame);
  } catch (error) {
    answerError(call, context, errorToData(error));
    return;
  }
  if (call.reply.isWithin === true || outputIsOpen(context)) {
    leave(call, packed, value, frame);
    call.disposeArguments();
    return;
  }
  call.disposeArguments();
  afterOutput(
    context,
    () => leave(call, packed, value, frame),
    () => {
      // The object broke: its container fails the call.
      if (packed instanceof Packed) packed.discard();
    },
  );
}

// Runs `run` when an answer may leave.
export function afterAnswerGate(reply: Reply, context: IoContext, run: () => void, fail: (error: unknown) => void): void {
  if (reply.isWithin === true) run();
  else afterOutput(context, run, fail);
}

export function answerError(call: Incoming, context: IoContext, data: ErrorData): void {
  call.disposeArguments();
  afterAnswerGate(
    call.reply,
    context,
    () => {
      call.reply.error(data, true);
      call.failPipelined(data, true);
      call.ended();
    },
    noop, // the object broke: its container fails the call
  );
}

export function isThenable(value: unknown): boolean {
  return (typeof value === 'object' || typeof value === 'function') && value !== null &&
    typeof (value as PromiseLike<unknown>).then === 'function';
}

// Calls `returned` or `threw` with what has come of `result`, at once when it is no promise.
export function settle(result: unknown, returned: (value: unknown) => void, threw: (error: unknown) => void): void {
  if (isThenable(result)) promiseThen(promiseResolve(result), returned, threw);
  else returned(result);
}

// ------------------------------------------------------------------------------------------------ calls of exports

class ExportCall extends Incoming implements RunningCall {
  readonly #target: Exported;
  #isOpen = true;

  constructor(target: Exported, reply: Reply, path: readonly string[], args: Arguments) {
    super(reply, path, args);
    this.#target = target;
  }

  run(): void {
    if (!this.#isOpen) return;
    const { frame, value, own } = this.#target;
    let result: unknown;
    try {
      const found = findOnTarget(value, this.path, own);
      const args = this.arguments(frame);
      result = args === undefined ? found.fn : callMember(found, this.path, args);
    } catch (error) {
      this.#threw(error);
      return;
    }
    // A function is answered with, not called: it has no `then` of its own.
    settle(
      result,
      (returned) => {
        if (this.#isOpen) answerValue(this, frame, returned);
      },
      (error) => this.#threw(error),
    );
  }

  #threw(error: unknown): void {
    if (!this.#isOpen) return;
    const { context } = this.#target.frame;
    reportException(`rpc ${this.path.length === 0 ? '(this)' : this.path.join('.')}`, error, context.where);
    answerError(this, context, throwData(error, context.where));
  }

  ended(): void {
    this.#isOpen = false;
    this.#target.ended(this);
  }

  fail(error: ErrorData, remote: boolean): void {
    this.#isOpen = false;
    this.disposeArguments();
    this.reply.error(error, remote);
    this.failPipelined(error, remote);
  }
}

// Not on what is no plain error (a thrown text, a DOMException).
export function throwData(error: unknown, where: string): ErrorData {
  const data = errorToData(error);
  if (where !== '' && (data.hasDetails || data.type === 'Value')) arrayPush(data.props, 'durableObjectId', where);
  return data;
}

incoming.start = (target, call) => {
  const { context, section } = target.frame;
  const running = new ExportCall(target, call.reply, call.path, call.takeArguments());
  call.serving = running;
  target.began(running);
  context.enter(section, () => running.run());
};
