// Stateless entrypoints: running one here, and reaching one from a service binding or `ctx.exports`, in this isolate or in
// another script's isolate on this shard.

import { unlendBody } from '../actor/bodies.ts';
import {
  type Channel,
  type Outgoing,
  RemoteReply,
  type Reply,
  answerError,
  answerResponse,
  answerValue,
  kNoFetchHandler,
  requestFromMessage,
  requestHere,
  requestMessage,
  wantsUpgrade,
} from '../actor/calls.ts';
import { awaitAnswer, dropAnswer } from '../actor/channel.ts';
import { MessageKind, type RequestMessage } from '../actor/messages.ts';
import { callHandlerObject, callMember, findMember } from '../actor/rpc.ts';
import { type Fetcher, makeFetcher } from '../actor/stubs.ts';
import { errorToData } from '../web/errors.ts';
import { config, native } from '../web/host.ts';
import { promiseResolve, promiseThen, reflectConstruct } from '../web/primordials.ts';
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
  call(path: readonly string[], args: unknown[] | undefined): unknown;
}

// A fresh instance of a class, or the handlers of an object. In a turn of `context`. Throws what the constructor throws.
export function invoke(target: Target, context: RequestContext): Invocation {
  const found = entrypoints.get(target.entrypoint === '' ? 'default' : target.entrypoint);
  if (found === undefined) {
    if (target.entrypoint === '') throw new Error(kNoFetchHandler);
    throw new Error(`Worker has no entrypoint named "${target.entrypoint}".`);
  }
  const ctx = makeExecutionContext(context, target.props, workerExports);
  const { value } = found;
  if (found.kind === 'entrypoint') {
    const instance = reflectConstruct(value as Function, [ctx, env()]) as Record<string, unknown>;
    return {
      fetch: (request) => {
        const handler = instance['fetch'];
        if (typeof handler !== 'function') throw new Error(kNoFetchHandler);
        return handler.call(instance, request);
      },
      call: (path, args) => {
        const member = findMember(instance, path);
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
    call: (path, args) => callHandlerObject(object, path, args ?? [], env(), ctx),
  };
}

// One call of a stateless entrypoint, in a context of its own.
function serve(target: Target, reply: Reply, path: readonly string[], args: unknown[] | undefined, request: Request | undefined): void {
  const context = new RequestContext();
  const served = { ended: (): void => context.release() };
  const threw = (error: unknown): void => {
    // The caller gets a copy without this stack.
    reportException(request === undefined ? `rpc ${path.join('.')}` : 'fetch', error, '');
    answerError(reply, context, errorToData(error), served);
  };
  const returned = (value: unknown): void => {
    if (request === undefined) answerValue(reply, context, value, served);
    else answerResponse(reply, context.frame, value, wantsUpgrade(request), served);
  };
  context.enter(null, () => {
    let result: unknown;
    try {
      const invocation = invoke(target, context);
      result = request === undefined ? invocation.call(path, args) : invocation.fetch(request);
    } catch (error) {
      threw(error);
      return;
    }
    promiseThen(promiseResolve(result), returned, threw);
  });
}

class ServiceChannel implements Channel {
  lastName: string | undefined = undefined;
  lastProperty: unknown = undefined;
  readonly #script: string;
  readonly #target: Target;

  constructor(script: string, target: Target) {
    this.#script = script;
    this.#target = target;
  }

  dispatch(call: Outgoing): void {
    const { request } = call;
    let address: number = config.address;
    if (this.#script !== config.script) {
      address = native.scriptAddress(this.#script);
      if (address === 0) return call.threw(new Error(kNotFound));
    }
    if (address === config.address) {
      serve(this.#target, call, call.path, call.args, request === undefined ? undefined : requestHere(request, call.frame));
      return;
    }
    const answer = awaitAnswer(call, address, undefined);
    const message = request === undefined ? undefined : requestMessage(request, call.frame);
    try {
      native.send(
        address,
        message === undefined
          ? [MessageKind.serviceCall, answer, this.#target, call.path, call.args]
          : [MessageKind.serviceFetch, answer, this.#target, message],
      );
    } catch (error) {
      dropAnswer(answer);
      if (message !== undefined) unlendBody(message[4]);
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
    const [, answer, target, path, args] = message as [number, number, Target, string[], unknown[] | undefined];
    serve(target, new RemoteReply(from, answer), path, args, undefined);
    return true;
  }
  if (message[0] === MessageKind.serviceFetch) {
    const [, answer, target, request] = message as [number, number, Target, RequestMessage];
    serve(target, new RemoteReply(from, answer), [], undefined, requestFromMessage(request, from));
    return true;
  }
  return false;
}

