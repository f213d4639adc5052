// Stateless entrypoints: running one here, and reaching one from a service binding or `ctx.exports`, in this isolate or in
// another script's isolate on this shard.

import { unlendBody } from '../actor/bodies.ts';
import {
  answerResponse,
  kNoFetchHandler,
  requestFromMessage,
  requestHere,
  requestMessage,
  wantsUpgrade,
} from '../actor/calls.ts';
import { MessageKind, type RequestMessage } from '../actor/messages.ts';
import { callMember, findMember, useHandlerObject } from '../actor/rpc.ts';
import { Incoming, RemoteReply, type Reply, answerError, answerValue, settle } from '../actor/rpc_incoming.ts';
import { IsolatePlace, argumentsFromWire, awaitAnswer, dropAnswer, packedMessage } from '../actor/rpc_messages.ts';
import type { Arguments, Channel, Outgoing } from '../actor/rpc_outgoing.ts';
import type { WireRefs } from '../actor/rpc_pack.ts';
import { type Fetcher, makeFetcher } from '../actor/stubs.ts';
import { errorToData } from '../web/errors.ts';
import { config, native } from '../web/host.ts';
import { getPrototypeOf, objectKeys, reflectConstruct } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import type { Request } from '../web/request.ts';
import { RequestContext, makeExecutionContext } from './context.ts';
import { entrypoints, workerExports } from './exports.ts';
import { env } from './env.ts';

const kNotFound = 'Worker not found.';

export interface Target {
  entrypoint: string; // '' = default
  props: unknown;
}

// What a handler is called on, and how.
export interface Invocation {
  fetch(request: Request): unknown;
  // `args` undefined: a property is read.
  call(path: readonly string[], args: () => unknown[] | undefined): unknown;
}

// Each instance has props of its own. Those with stubs among them are shared: stubs have no copies.
function ownProps(props: unknown): unknown {
  if (getPrototypeOf(props as object) === Object.prototype && objectKeys(props as object).length === 0) return {};
  try {
    return native.clone(props, 0);
  } catch {
    return props;
  }
}

// A fresh instance of a class, or the handlers of an object. In a turn of `context`. Throws what the constructor throws.
export function invoke(target: Target, context: RequestContext): Invocation {
  const found = entrypoints.get(target.entrypoint === '' ? 'default' : target.entrypoint);
  if (found === undefined) {
    if (target.entrypoint === '') throw new Error(kNoFetchHandler);
    throw new Error(`Worker has no entrypoint named "${target.entrypoint}".`);
  }
  const ctx = makeExecutionContext(context, ownProps(target.props), workerExports);
  const { value } = found;
  if (found.kind === 'entrypoint') {
    const instance = reflectConstruct(value as Function, [ctx, env()]) as Record<string, unknown>;
    return {
      fetch: (request) => {
        const handler = instance['fetch'];
        if (typeof handler !== 'function') throw new Error(kNoFetchHandler);
        return handler.call(instance, request);
      },
      call: (path, takeArguments) => {
        const member = findMember(instance, path);
        const args = takeArguments();
        return args === undefined ? member.fn : callMember(member, path, args);
      },
    };
  }
  const object = value as Record<string, unknown>;
  return {
    fetch: (request) => {
      const handler = object['fetch'];
      if (typeof handler !== 'function') throw new Error(kNoFetchHandler);
      return handler.call(object, request, env(), ctx);
    },
    call: (path, takeArguments) => useHandlerObject(object, path, takeArguments(), env(), ctx),
  };
}

// One call of a stateless entrypoint, in a context of its own: it lives as long as somebody holds what the call gave out.
class ServiceCall extends Incoming {
  readonly #target: Target;
  readonly #request: Request | undefined;
  readonly #context = new RequestContext();

  constructor(target: Target, reply: Reply, path: readonly string[], args: Arguments, request: Request | undefined) {
    super(reply, path, args);
    this.#target = target;
    this.#request = request;
    this.#context.isSession = true;
  }

  start(): void {
    this.#context.enter(null, () => this.#run());
  }

  ended(): void {
    this.#context.release();
  }

  #run(): void {
    const { frame } = this.#context;
    const threw = (error: unknown): void => {
      // The caller gets a copy without this stack.
      reportException(this.#request === undefined ? `rpc ${this.path.join('.')}` : 'fetch', error, '');
      answerError(this, this.#context, errorToData(error));
    };
    let result: unknown;
    try {
      const invocation = invoke(this.#target, this.#context);
      if (this.#request === undefined) result = invocation.call(this.path, () => this.arguments(frame));
      else result = invocation.fetch(this.#request);
    } catch (error) {
      threw(error);
      return;
    }
    settle(
      result,
      (value) => {
        if (this.#request === undefined) answerValue(this, frame, value);
        else answerResponse(this, frame, value, wantsUpgrade(this.#request));
      },
      threw,
    );
  }
}

export class ServiceChannel implements Channel {
  lastName: string | undefined = undefined;
  lastProperty: unknown = undefined;
  readonly script: string;
  readonly target: Target;

  constructor(script: string, target: Target) {
    this.script = script;
    this.target = target;
  }

  dispatch(call: Outgoing): void {
    const { request } = call;
    let address: number = config.address;
    if (this.script !== config.script) {
      address = native.scriptAddress(this.script);
      if (address === 0) return call.threw(new Error(kNotFound));
    }
    if (address === config.address) {
      const incoming = request === undefined ? undefined : requestHere(request, call.frame);
      const served = new ServiceCall(this.target, call, call.path, call.takeArguments(), incoming);
      call.serving = served;
      served.start();
      return;
    }
    const answer = awaitAnswer(call, address, undefined);
    if (request === undefined) {
      call.place = new IsolatePlace(address);
      packedMessage(answer, call, (args, refs) =>
        native.send(address, [MessageKind.serviceCall, answer, this.target, call.path, args, refs]),
      );
      return;
    }
    const message = requestMessage(request, call.frame);
    try {
      native.send(address, [MessageKind.serviceFetch, answer, this.target, message]);
    } catch (error) {
      dropAnswer(answer);
      unlendBody(message[4]);
      call.threw(error);
    }
  }
}

export function serviceChannel(script: string, entrypoint: string, props: unknown): Channel {
  return new ServiceChannel(script, { entrypoint: entrypoint === 'default' ? '' : entrypoint, props });
}

export function serviceFetcher(script: string, entrypoint: string, props: unknown): Fetcher {
  return makeFetcher(serviceChannel(script, entrypoint, props));
}

// A message from another isolate to an entrypoint here. False: it is about something else.
export function serviceMessage(from: number, message: readonly unknown[]): boolean {
  if (message[0] === MessageKind.serviceCall) {
    const [, answer, target, path, args, refs] = message as [
      number, number, Target, string[], unknown[] | undefined, WireRefs | undefined,
    ];
    const reply = new RemoteReply(from, answer);
    const call = new ServiceCall(target, reply, path, argumentsFromWire(args, refs, from), undefined);
    reply.serve(call);
    call.start();
    return true;
  }
  if (message[0] === MessageKind.serviceFetch) {
    const [, answer, target, request] = message as [number, number, Target, RequestMessage];
    new ServiceCall(target, new RemoteReply(from, answer), [], undefined, requestFromMessage(request, from)).start();
    return true;
  }
  return false;
}
