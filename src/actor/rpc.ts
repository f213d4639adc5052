// The receiving side of a call: which members a caller may reach (spec 9.2).

import { getPrototypeOf, reflectApply } from '../web/primordials.ts';
import { RpcPromise, RpcProperty, RpcTarget } from './rpc_values.ts';

const ObjectPrototype = Object.prototype;
const hasOwn = Object.hasOwn;

const kNoRpc =
  'The receiving Durable Object does not support RPC, because its class was not declared with `extends DurableObject`. ' +
  'In order to enable RPC, make sure your class extends the special class `DurableObject`, which can be imported from ' +
  'the module "cloudflare:workers".';

function missing(name: string): TypeError {
  return new TypeError(`The RPC receiver does not implement the method "${name}".`);
}

// Of what a call begins on: of objects and entrypoints ('entry'), or of what was passed by reference ('target').
type Root = 'entry' | 'target';

function isReserved(name: string, root: Root): boolean {
  switch (name) {
    case 'dup':
    case 'constructor':
      return true;
    case 'fetch':
    case 'connect':
    case 'alarm':
    case 'webSocketMessage':
    case 'webSocketClose':
    case 'webSocketError':
      return root === 'entry';
    default:
      return false;
  }
}

// `own`: of a plain object or a function the own properties; of an instance only what its classes declare.
function member(owner: object, name: string, own: boolean, root: Root): unknown {
  if (isReserved(name, root)) throw new TypeError(`'${name}' is a reserved method and cannot be called over RPC.`);
  if (own !== hasOwn(owner, name)) throw missing(name);
  const value = (owner as Record<string, unknown>)[name];
  if (!own && value === (ObjectPrototype as Record<string, unknown>)[name]) throw missing(name);
  return value;
}

// Set by rpc_stub.ts.
export const stubTest: { isStub: (value: unknown) => boolean } = { isStub: () => false };

function isRemoteMember(value: object): boolean {
  return value instanceof RpcProperty || value instanceof RpcPromise;
}

// A function that can be passed by reference.
export function isPlainFunction(value: unknown): boolean {
  return typeof value === 'function' && !isRemoteMember(value);
}

// What can stand behind a stub: whether its own properties are reachable; undefined: it cannot.
export function ownReachable(value: object): boolean | undefined {
  if (getPrototypeOf(value) === ObjectPrototype) return true;
  if (value instanceof RpcTarget) return false;
  return isPlainFunction(value) ? true : undefined;
}

// A call that has found its function, so that what throws from here on was thrown by user code.
export interface Found {
  fn: unknown;
  self: unknown;
}

function walk(target: object, path: readonly string[], own: boolean, root: Root): Found {
  let self = target;
  const last = path.length - 1;
  if (last < 0) return { fn: target, self: target };
  let inStub = stubTest.isStub(target);
  for (let i = 0; i < last; i++) {
    const name = path[i]!;
    const next = member(self, name, own, root);
    if ((typeof next !== 'object' && typeof next !== 'function') || next === null) throw missing(name);
    if (stubTest.isStub(next) || (inStub && next instanceof RpcProperty)) {
      // The way goes on in another place.
      inStub = true;
      own = false;
    } else {
      const reachable = ownReachable(next);
      if (reachable === undefined) throw missing(name);
      own = reachable;
    }
    self = next;
  }
  return { fn: member(self, path[last]!, own, root), self };
}

// Walks `path` from an instance of a class. Throws TypeError.
export function findMember(target: object, path: readonly string[]): Found {
  return walk(target, path, false, 'entry');
}

// Walks `path` from something that was passed by reference.
export function findOnTarget(target: object, path: readonly string[], own: boolean): Found {
  return walk(target, path, own, 'target');
}

export function callMember(found: Found, path: readonly string[], args: unknown[]): unknown {
  if (typeof found.fn !== 'function') {
    throw new TypeError(`"${path.length === 0 ? '(this)' : path.join('.')}" is not a function.`);
  }
  return reflectApply(found.fn, found.self, args);
}

export function refuseLegacy(): never {
  throw new TypeError(kNoRpc);
}

const kOneArgument = (name: string): string =>
  `Attempted to call RPC function "${name}" with the wrong number of arguments. When calling a top-level handler function ` +
  'that is not declared as part of a class, you must always send exactly one argument. In order to support variable ' +
  'numbers of arguments, the server must use class-based syntax (extending WorkerEntrypoint) instead.';
const kThreeParameters = (name: string): string =>
  `Cannot call handler function "${name}" over RPC because it has the wrong number of arguments. A simple function handler ` +
  'can only be called over RPC if it has exactly the arguments (arg, env, ctx), where only the first argument comes from ' +
  'the client. To support multi-argument RPC functions, use class-based syntax (extending WorkerEntrypoint) instead.';

// `export default { async foo(arg, env, ctx) {} }`. `args` undefined: the property is read.
export function useHandlerObject(
  target: object,
  path: readonly string[],
  args: unknown[] | undefined,
  env: unknown,
  ctx: unknown,
): unknown {
  const found = walk(target, path, true, 'entry');
  if (args === undefined) return found.fn;
  const name = path.join('.');
  if (typeof found.fn !== 'function') throw new TypeError(`"${name}" is not a function.`);
  if (found.fn.length > 3) throw new TypeError(kThreeParameters(name));
  if (args.length !== 1) throw new TypeError(kOneArgument(name));
  return reflectApply(found.fn, found.self, [args[0], env, ctx]);
}
