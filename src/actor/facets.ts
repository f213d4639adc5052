// ctx.facets (spec 2.5): objects inside an object. A facet is a container that belongs to its parent's instance: same
// thread, an instance, gates and a database of its own, and no place in any namespace. What it means for storage:
// docs/facets.md.
//
//   get() ──first call──► starting (the callback runs) ──► running ──abort, delete, cloned over, parent ends──► broken
//
// A stub is bound by its first call and then stays with that run of the facet, broken or not.

import { type ErrorData, errorToData } from '../web/errors.ts';
import { native } from '../web/host.ts';
import { SafeMap, promiseResolve, promiseThen, setTag } from '../web/primordials.ts';
import { holdsSocket } from '../web/websocket/websocket.ts';
import { type ActorEvent, ActorClass, type BreakOptions, Container } from './container.ts';
import { FacetChannel } from './facet_channel.ts';
import { deliver } from './channel.ts';
import type { Outgoing } from './rpc_outgoing.ts';
import { isDurableObjectId, parseId } from './ids.ts';
import type { Instance } from './instance.ts';
import { actorHost } from './state.ts';
import { type Fetcher, makeFetcher } from './stubs.ts';

const kWhere = 'DurableObjectFacets';
const kNameMax = 256;
const kDepthMax = 4;
const kTooLong = `Facet name is too long (max ${kNameMax} characters).`;
const kTooDeep =
  `Facet nesting depth limit exceeded. The maximum depth including the root Durable Object is ${kDepthMax}.`;
const kDeleted = 'Facet was deleted.';
const kClonedOver = 'Facet was cloned-over.';
const kNotAClass =
  "Incorrect type for the 'class' field on 'StartupOptions': the provided value is not of type 'DurableObjectClass or " +
  "LoopbackDurableObjectNamespace or LoopbackColoLocalActorNamespace'.";
const kNoOptions = 'Cannot initialize StartupOptions with required members from an undefined or null value.';

function wrongArgument(method: string, at: number, type: string): TypeError {
  return new TypeError(`Failed to execute '${method}' on '${kWhere}': parameter ${at} is not of type '${type}'.`);
}

// ------------------------------------------------------------------------------------------------ classes

export interface FacetClass {
  className: string;
  userClass: Function;
  isLegacy: boolean;
  env: () => unknown;
  props: unknown;
}

// What of ctx.exports can be a facet's `class`.
const facetClasses = new WeakMap<object, FacetClass>();

export function registerFacetClass(value: object, facetClass: FacetClass): void {
  facetClasses.set(value, facetClass);
}

interface StartupOptions {
  class?: unknown;
  id?: unknown;
}

function readOptions(value: unknown): { facetClass: FacetClass; id: unknown } {
  if (value === undefined || value === null) throw new TypeError(kNoOptions);
  const { class: given, id } = value as StartupOptions;
  const isReference = (typeof given === 'object' && given !== null) || typeof given === 'function';
  const facetClass = isReference ? facetClasses.get(given as object) : undefined;
  if (facetClass === undefined) throw new TypeError(kNotAClass);
  return { facetClass, id: id === undefined || isDurableObjectId(id) ? id : `${id as string}` };
}

// ------------------------------------------------------------------------------------------------ a facet

class FacetContainer extends Container {
  override readonly parent: Instance;
  override readonly contextId: unknown;
  override readonly props: unknown;
  readonly facet: Facet;
  #isBusy = false;

  constructor(facet: Facet, facetClass: FacetClass, contextId: unknown) {
    const { container } = facet.owner.instance;
    const { ns, useSqlite } = container.actorClass;
    const actorClass = new ActorClass(ns, facetClass.className, useSqlite, facetClass.env);
    actorClass.userClass = facetClass.userClass;
    actorClass.isLegacy = facetClass.isLegacy;
    super(actorClass, container.id, container.name);
    this.facet = facet;
    this.parent = facet.owner.instance;
    this.contextId = contextId;
    this.props = facetClass.props;
  }

  // While it has something to do its parent has.
  override accept(event: ActorEvent): void {
    if (this.broken === undefined && !this.#isBusy) {
      this.#isBusy = true;
      this.parent.beginIo();
    }
    super.accept(event);
  }

  // It stays for as long as its parent does. Sockets that sleep keep it: only the parent could wake it.
  override becameIdle(): void {
    if (this.hibernation !== undefined && this.hibernation.count > 0) return;
    this.#restEnds();
  }

  // Never evicted alone.
  override look(): undefined {
    return undefined;
  }

  override gone(): void {
    this.facet.gone(this.broken!);
    this.#restEnds();
  }

  #restEnds(): void {
    if (!this.#isBusy) return;
    this.#isBusy = false;
    if (!this.parent.ended) this.parent.endIo();
  }

  override openDatabase(): number {
    const { owner, path } = this.facet;
    return native.facetOpen(owner.root.db(), path);
  }
}

// One run of a facet, from the call that starts it until it breaks.
export class Facet {
  readonly owner: Facets;
  readonly name: string;
  readonly path: string;
  #container: FacetContainer | undefined = undefined;
  #waiting: Outgoing[] = [];
  #broken: ErrorData | undefined = undefined;

  constructor(owner: Facets, name: string) {
    this.owner = owner;
    this.name = name;
    this.path = JSON.stringify([...owner.names, name]);
  }

  // In a turn of the parent: user code runs.
  start(callback: () => unknown): void {
    if (this.#broken !== undefined) return;
    const { instance } = this.owner;
    instance.beginIo();
    let answer: Promise<unknown>;
    try {
      answer = promiseResolve(callback());
    } catch (error) {
      instance.endIo();
      this.break(error);
      return;
    }
    promiseThen(
      answer,
      (value) => {
        if (!instance.ended) this.#begin(value);
        instance.endIo();
      },
      (error) => {
        this.break(error);
        instance.endIo();
      },
    );
  }

  #begin(value: unknown): void {
    if (this.#broken !== undefined) return;
    try {
      const { facetClass, id } = readOptions(value);
      this.#container = new FacetContainer(this, facetClass, id ?? this.owner.contextId);
    } catch (error) {
      this.break(error);
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let i = 0; i < waiting.length; i++) deliver(this.#container, waiting[i]!);
  }

  dispatch(call: Outgoing): void {
    if (this.#broken !== undefined) call.error(this.#broken, false);
    else if (this.#container === undefined) this.#waiting.push(call);
    else deliver(this.#container, call);
  }

  break(error: unknown): void {
    if (this.#broken !== undefined) return;
    const options: BreakOptions = { disconnected: true, wanted: true };
    if (this.#container === undefined) this.gone(errorToData(error));
    else this.#container.break(error, options);
  }

  // Its container broke, or it never had one.
  gone(error: ErrorData): void {
    this.#broken = error;
    this.owner.forget(this);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let i = 0; i < waiting.length; i++) waiting[i]!.error(error, false);
  }

  // Somebody is at the other end of a socket, or waits for an event.
  get holdsSockets(): boolean {
    const container = this.#container;
    if (container === undefined) return false;
    if (container.eventCount > 0 || (container.hibernation?.count ?? 0) > 0) return true;
    const { instance } = container;
    return instance !== undefined && (holdsSocket(instance) || instance.facets?.holdSockets === true);
  }

  releaseMemory(): void {
    if (this.#container?.isBusy === false) this.#container.instance?.releaseMemory();
  }
}

// ------------------------------------------------------------------------------------------------ ctx.facets

// What an instance keeps of its facets.
export class Facets {
  readonly instance: Instance;
  readonly root: Instance;
  // The names that lead from the root to `instance`.
  readonly names: readonly string[];
  readonly #running = new SafeMap<string, Facet>();
  #hasBegun = false;

  constructor(instance: Instance) {
    this.instance = instance;
    const { container } = instance;
    const above = container instanceof FacetContainer ? container.facet : undefined;
    this.root = above === undefined ? instance : above.owner.root;
    this.names = above === undefined ? [] : [...above.owner.names, above.name];
    instance.facets = this;
  }

  // Before the first call of a facet: what the root writes in this turn already is committed with what facets write.
  begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    if (this.root === this.instance) native.facetTree(this.root.db());
  }

  get contextId(): unknown {
    const { actorClass, id, name, contextId } = this.instance.container;
    return contextId ?? parseId(actorClass.ns, id, name);
  }

  // The running one, or one that `callback` starts.
  find(name: string, callback: () => unknown, call: Outgoing): Facet {
    const known = this.#running.get(name);
    if (known !== undefined) return known;
    const facet = new Facet(this, name);
    this.#running.set(name, facet);
    const { context, section } = call.frame;
    this.instance.enter(context === this.instance ? section : null, () => facet.start(callback));
    return facet;
  }

  running(name: string): Facet | undefined {
    return this.#running.get(name);
  }

  forget(facet: Facet): void {
    if (this.#running.get(facet.name) === facet) this.#running.delete(facet.name);
  }

  pathOf(name: string): string {
    return JSON.stringify([...this.names, name]);
  }

  // The instance has ended.
  end(error: unknown): void {
    this.#running.forEach((facet) => facet.break(error));
  }

  // deleteAll() of the instance.
  erase(): void {
    this.#running.forEach((facet) => facet.break(new Error(kDeleted)));
  }

  releaseMemory(): void {
    this.#running.forEach((facet) => facet.releaseMemory());
  }

  get holdSockets(): boolean {
    let holds = false;
    this.#running.forEach((facet) => {
      if (facet.holdsSockets) holds = true;
    });
    return holds;
  }
}

export function facetsOf(instance: Instance): Facets {
  return (instance.facets as Facets | undefined) ?? new Facets(instance);
}

const kInternal = Symbol('internal');

export class DurableObjectFacets {
  readonly #facets: Facets;

  constructor(token: symbol, facets: Facets) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#facets = facets;
  }

  get(name: string, getStartupOptions: () => unknown): Fetcher {
    const text = checkName('get', name);
    if (typeof getStartupOptions !== 'function') throw wrongArgument('get', 2, 'function');
    if (this.#facets.names.length + 2 > kDepthMax) throw new Error(kTooDeep);
    this.#facets.begin();
    return makeFetcher(new FacetChannel(this.#facets, text, getStartupOptions));
  }

  abort(name: string, ...reason: unknown[]): void {
    const text = checkName('abort', name);
    if (reason.length === 0) throw wrongArgument('abort', 2, 'Value');
    const [why] = reason;
    this.#facets.running(text)?.break(Error.isError(why) ? why : new Error(`${why as string}`));
  }

  delete(name: string): void {
    const text = checkName('delete', name);
    const facets = this.#facets;
    facets.running(text)?.break(new Error(kDeleted));
    eraseFacets(facets, facets.pathOf(text), true);
  }

  clone(source: string, destination: string): void {
    const from = checkName('clone', source);
    if (destination === undefined) throw wrongArgument('clone', 2, 'string');
    const to = checkName('clone', destination);
    if (from === to) return;
    const { root } = this.#facets;
    this.#facets.running(to)?.break(new Error(kClonedOver));
    root.wrote(native.facetClone(root.db(), this.#facets.pathOf(from), this.#facets.pathOf(to)), false);
  }
}
setTag(DurableObjectFacets.prototype, 'DurableObjectFacets');

function checkName(method: string, name: unknown): string {
  if (name === undefined) throw wrongArgument(method, 1, 'string');
  const text = `${name as string}`;
  if (text.length > kNameMax) throw new TypeError(kTooLong);
  return text;
}

// The facet at `path` with those below it, or these alone.
function eraseFacets({ root }: Facets, path: string, itself: boolean): void {
  root.output.confirm(native.facetErase(root.db(), path, itself));
}

actorHost.eraseFacets = (instance) => {
  const facets = facetsOf(instance);
  facets.erase();
  eraseFacets(facets, facets.names.length === 0 ? '' : JSON.stringify(facets.names), false);
};
actorHost.facets = (instance) => new DurableObjectFacets(kInternal, facetsOf(instance));
