// The main module's exports: what each of them is (spec 2.1), and `ctx.exports`.

import { type FacetClass, registerFacetClass } from '../actor/facets.ts';
import { makeNamespace } from '../actor/namespace.ts';
import { ObjectChannel } from '../actor/channel.ts';
import { channels } from '../actor/rpc_refs.ts';
import { Fetcher, makeCallableFetcher } from '../actor/stubs.ts';
import { config, native } from '../web/host.ts';
import type { ExportReport } from '../web/native.ts';
import { SafeMap, getPrototypeOf, objectKeys, setTag } from '../web/primordials.ts';
import { DurableObject, WorkerEntrypoint, WorkflowEntrypoint } from './entrypoints.ts';
import { actorClasses, env } from './env.ts';
import { ServiceChannel, serviceChannel, serviceFetcher } from './service.ts';

export interface Entrypoint {
  kind: ExportReport['kind'];
  value: unknown;
}

// By export name; 'default' for the default export. Durable Object classes are not here.
export const entrypoints = new SafeMap<string, Entrypoint>();
const objectClasses = new SafeMap<string, FacetClass>();
const reports: ExportReport[] = [];

function extendsClass(value: Function, base: Function): boolean {
  for (let proto: unknown = value; typeof proto === 'function'; proto = getPrototypeOf(proto)) {
    if (proto === base) return true;
  }
  return false;
}

// The names of the functions that instances of a class inherit.
function methodNames(value: Function): string[] {
  const names: string[] = [];
  for (let proto = value.prototype as object | null; proto !== null && proto !== Object.prototype; proto = getPrototypeOf(proto)) {
    for (const name of Object.getOwnPropertyNames(proto)) {
      const descriptor = Object.getOwnPropertyDescriptor(proto, name)!;
      if (name !== 'constructor' && typeof descriptor.value === 'function' && !names.includes(name)) names.push(name);
    }
  }
  return names;
}

function isClass(value: Function): boolean {
  if (typeof value.prototype !== 'object' || value.prototype === null) return false;
  if (Function.prototype.toString.call(value).startsWith('class')) return true;
  // A class of older syntax has handlers.
  return methodNames(value).some((name) => name === 'fetch' || name === 'alarm' || name.startsWith('webSocket'));
}

function classify(value: unknown): { kind: ExportReport['kind']; handlers: string[]; isLegacy: boolean } {
  if (typeof value === 'function') {
    if (extendsClass(value, DurableObject)) return { kind: 'durable-object', handlers: methodNames(value), isLegacy: false };
    if (extendsClass(value, WorkerEntrypoint)) return { kind: 'entrypoint', handlers: methodNames(value), isLegacy: false };
    if (extendsClass(value, WorkflowEntrypoint)) return { kind: 'other', handlers: methodNames(value), isLegacy: false };
    if (isClass(value)) return { kind: 'durable-object', handlers: methodNames(value), isLegacy: true };
    return { kind: 'other', handlers: [], isLegacy: false };
  }
  if (typeof value === 'object' && value !== null) {
    const handlers = objectKeys(value).filter((key) => typeof (value as Record<string, unknown>)[key] === 'function');
    return { kind: 'handler-object', handlers, isLegacy: false };
  }
  return { kind: 'other', handlers: [], isLegacy: false };
}

// Runtime.setMain.
export function setMain(namespace: Record<string, unknown>): ExportReport[] {
  for (const name of objectKeys(namespace)) {
    const value = namespace[name];
    const { kind, handlers, isLegacy } = classify(value);
    reports.push({ name, kind, handlers });
    if (kind === 'entrypoint' || kind === 'handler-object') entrypoints.set(name, { kind, value });
    // Any other function may be a class for facets.
    const isPlainFunction = kind === 'other' && typeof value === 'function' && !extendsClass(value, WorkflowEntrypoint);
    if (isPlainFunction) objectClasses.set(name, { className: name, userClass: value, isLegacy: true, env, props: {} });
    if (kind !== 'durable-object') continue;
    objectClasses.set(name, { className: name, userClass: value as Function, isLegacy, env, props: {} });
    actorClasses.forEach((actorClass) => {
      if (actorClass.className !== name) return;
      actorClass.userClass = value as Function;
      actorClass.isLegacy = isLegacy;
    });
  }
  return reports;
}

// What a facet's `class` can be.
class DurableObjectClass {}
setTag(DurableObjectClass.prototype, 'DurableObjectClass');

// `ctx.exports.X` of a Durable Object class is a class for facets and, with `{props}`, makes one that has props. With a
// namespace it is that too.
function loopbackClass(facetClass: FacetClass, namespace: object | undefined): object {
  const call = (options: unknown): object => {
    const made = new DurableObjectClass();
    registerFacetClass(made, { ...facetClass, props: (options as { props?: unknown } | undefined)?.props ?? {} });
    return made;
  };
  const tag = namespace === undefined ? 'LoopbackDurableObjectClass' : 'LoopbackDurableObjectNamespace';
  const place = namespace ?? new DurableObjectClass();
  const value = new Proxy(call, {
    apply: (_target, _self, args) => call(args[0]),
    get(_target, key) {
      if (key === Symbol.toStringTag) return tag;
      const member = Reflect.get(place, key, place) as unknown;
      return typeof member === 'function' && key !== 'constructor' ? member.bind(place) : member;
    },
    has: (_target, key) => key in place,
    getPrototypeOf: () => getPrototypeOf(place),
    ownKeys: () => ['length', 'name'],
  });
  registerFacetClass(value, facetClass);
  return value;
}

// A copy of the props that `ctx.exports.X(options)` names.
function propsOf(options: unknown): unknown {
  const isObject = (value: unknown) => typeof value === 'object' || typeof value === 'function';
  if (!isObject(options)) {
    throw new TypeError("Failed to execute '(called as function)' on 'LoopbackServiceStub': parameter 1 is not of type 'Options'.");
  }
  const props = (options as { props?: unknown } | null)?.props;
  if (props === undefined) return {};
  if (!isObject(props) || props === null) {
    throw new TypeError("Incorrect type for the 'props' field on 'Options': the provided value is not of type 'Object'.");
  }
  try {
    return native.clone(props, 0);
  } catch (error) {
    // Stubs of services and objects are the only references that props may hold.
    if (Object.values(props).some((value) => value instanceof Fetcher)) return props;
    throw error;
  }
}

let made: Record<string, unknown> | undefined;

export function workerExports(): Record<string, unknown> {
  if (made !== undefined) return made;
  made = {};
  for (const { name, kind } of reports) {
    if (kind === 'durable-object') {
      let namespace: object | undefined;
      actorClasses.forEach((actorClass, ns) => {
        if (actorClass.className === name) namespace = makeNamespace(ns, actorClass);
      });
      made[name] = loopbackClass(objectClasses.get(name)!, namespace);
    } else if (kind === 'entrypoint' || kind === 'handler-object') {
      const withOptions = (options: unknown) => serviceFetcher(config.script, name, propsOf(options));
      made[name] = makeCallableFetcher(serviceChannel(config.script, name, {}), withOptions, 'LoopbackServiceStub');
    } else if (objectClasses.has(name)) {
      made[name] = loopbackClass(objectClasses.get(name)!, undefined);
    }
  }
  return made;
}

// Stubs of objects and entrypoints, passed to other isolates: by name.
channels.describe = (channel) => {
  if (channel instanceof ObjectChannel) return [0, ...channel.address];
  const { script, target } = channel as ServiceChannel;
  return [1, script, target.entrypoint, target.props];
};
channels.find = (described) => {
  if (described[0] === 0) {
    const [, ns, id, name] = described as [number, string, string, string | undefined];
    return new ObjectChannel(ns, id, name, actorClasses.get(ns));
  }
  const [, script, entrypoint, props] = described as [number, string, string, unknown];
  return serviceChannel(script, entrypoint, props);
};
