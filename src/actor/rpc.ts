// The receiving side of a call: which members a caller may reach (spec 9.2).

import { getPrototypeOf, reflectApply } from '../web/primordials.ts';
import { RpcTarget } from './rpc_values.ts';

const ObjectPrototype = Object.prototype;
const hasOwn = Object.hasOwn;

const kNoRpc =
  'The receiving Durable Object does not support RPC, because its class was not declared with `extends DurableObject`. ' +
  'In order to enable RPC, make sure your class extends the special class `DurableObject`, which can be imported from ' +
  'the module "cloudflare:workers".';

function missing(name: string): TypeError {
  return new TypeError(`The RPC receiver does not implement the method "${name}".`);
}

function isReserved(name: string): boolean {
  switch (name) {
    case 'fetch':
    case 'connect':
    case 'alarm':
    case 'webSocketMessage':
    case 'webSocketClose':
    case 'webSocketError':
    case 'dup':
    case 'constructor':
      return true;
    default:
      return false;
  }
}

// Of an instance only what its classes declare is reachable, not what the instance or Object.prototype has.
function classMember(target: object, name: string): unknown {
  if (hasOwn(target, name)) throw missing(name);
  for (let holder = getPrototypeOf(target); holder !== null && holder !== ObjectPrototype; holder = getPrototypeOf(holder)) {
    if (hasOwn(holder, name)) return (target as Record<string, unknown>)[name];
  }
  throw missing(name);
}

function member(owner: unknown, name: string): unknown {
  if (typeof owner === 'function' || (typeof owner === 'object' && owner !== null && getPrototypeOf(owner) === ObjectPrototype)) {
    if (!hasOwn(owner, name)) throw missing(name);
    return (owner as unknown as Record<string, unknown>)[name];
  }
  if (typeof owner === 'object' && owner !== null && owner instanceof RpcTarget) {
    if (name === 'dup' || name === 'constructor') {
      throw new TypeError(`'${name}' is a reserved method and cannot be called over RPC.`);
    }
    return classMember(owner, name);
  }
  throw missing(name);
}

// A call that has found its function, so that what throws from here on was thrown by user code.
export interface Found {
  fn: unknown;
  self: unknown;
}

// Walks `path` from an instance of a class. Throws TypeError.
export function findMember(target: object, path: readonly string[]): Found {
  const first = path[0]!;
  if (isReserved(first)) throw new TypeError(`'${first}' is a reserved method and cannot be called over RPC.`);
  let self: unknown = target;
  let value = classMember(target, first);
  for (let i = 1; i < path.length; i++) {
    self = value;
    value = member(value, path[i]!);
  }
  return { fn: value, self };
}

export function callMember(found: Found, path: readonly string[], args: unknown[]): unknown {
  if (typeof found.fn !== 'function') throw new TypeError(`"${path[path.length - 1]!}" is not a function.`);
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

// `export default { async foo(arg, env, ctx) {} }`.
export function callHandlerObject(target: object, path: readonly string[], args: unknown[], env: unknown, ctx: unknown): unknown {
  const name = path[0]!;
  if (isReserved(name)) throw new TypeError(`'${name}' is a reserved method and cannot be called over RPC.`);
  const fn = path.length === 1 && hasOwn(target, name) ? (target as Record<string, unknown>)[name] : undefined;
  if (typeof fn !== 'function') throw missing(name);
  if (args.length !== 1) throw new TypeError(kOneArgument(name));
  if (fn.length !== 3) throw new TypeError(kThreeParameters(name));
  return reflectApply(fn, target, [args[0], env, ctx]);
}
