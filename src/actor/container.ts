// What this isolate keeps of one Durable Object (spec A.1): its instance while there is one, the events under way, its
// hibernating sockets, and why it broke. Stubs hold on to a container: after it has broken they keep failing, and the
// next stub gets a new one.
//
//   new ──event──► live (instance) ──idle 10 s──► asleep (sockets only) ──event──► live
//                        │                  └── no sockets ──► released: claimed again by the next event
//                        ├── supersede() ──► released, what runs goes on for a while without storage
//                        └── break() ──► broken, for ever
//   A new version of the code: whoever is idle or asleep is released, and its sockets go to the next isolate (handOver).

import { type ErrorData, errorFromData, errorToData } from '../web/errors.ts';
import { native } from '../web/host.ts';
import { flag } from '../web/compat.ts';
import { SafeMap, SafeSet, noop } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import { holdsSocket } from '../web/websocket/websocket.ts';
import { type HandedOver, Hibernation } from './hibernation.ts';
import { startRestored } from './bookmarks.ts';
import { type HostTimer, cancelHostTimeout, hostTimeout } from './host_timer.ts';
import { Instance, kStorageGone } from './instance.ts';
import { WaitingLine, isRefusal, kQueuedCallsMax, kUnweighedCallsMax, tooManyCalls } from './overload.ts';
import { type Looked, lookAt, second } from './ticker.ts';

// Something that an object is asked to do.
export interface ActorEvent {
  // In a turn of `instance`. Ends with Container.done.
  run(instance: Instance): void;
  // The object broke before it was done.
  fail(error: ErrorData): void;
  // About the bytes it carries. Only such events are refused when the object is overloaded; others have bounds of their own.
  weight?(): number;
}

export interface BreakOptions {
  // Not the code's fault: an alarm's retry does not count.
  infrastructure?: boolean;
  // ctx.abort(reason, {retryAlarm: false}).
  abandonAlarm?: boolean;
  // Its error does not say durableObjectReset.
  unmarked?: boolean;
  // The object goes on elsewhere: not an error of the object.
  disconnected?: boolean;
  // Somebody wanted it so: not worth a line in the log.
  wanted?: boolean;
}

// A class of this script that has a namespace.
export class ActorClass {
  readonly ns: string;
  readonly className: string;
  readonly useSqlite: boolean;
  // undefined: the main module does not export it.
  userClass: Function | undefined = undefined;
  // Extends nothing: no RPC.
  isLegacy = false;
  readonly containers = new SafeMap<string, Container>();
  readonly env: () => unknown;

  constructor(ns: string, className: string, useSqlite: boolean, env: () => unknown) {
    this.ns = ns;
    this.className = className;
    this.useSqlite = useSqlite;
    this.env = env;
  }

  // The container of an object that this isolate owns; undefined: another isolate does.
  find(id: string, name: string | undefined): Container | undefined {
    const known = this.containers.get(id);
    if (known !== undefined) return known;
    const claimed = native.claimActor(this.ns, id, name);
    if (claimed === false) return undefined;
    const container = new Container(this, id, name);
    this.containers.set(id, container);
    if (claimed !== true) container.adopt(claimed as HandedOver);
    return container;
  }
}

export interface AlarmRun {
  broken(options: BreakOptions): void;
}

// Peers that talk to the object through messages: told when it breaks.
export interface RemoteClient {
  broken(error: ErrorData): void;
}

// At least ten: the first one may be a part only.
const kIdleSeconds = 11;
// Until the connection to its database goes, most of what an object holds: one that is in use every second keeps it.
const kReleaseSeconds = 2;
// What an object has begun by itself (timers, fetches, waitUntil) holds it so long when nobody asks it for anything.
const kForgottenSeconds = 71;
// With the flag each such task holds it, for at most a quarter of an hour.
const kTaskSeconds = 900;
// What runs when its version's time is over may go on for so long.
const kGraceMs = 30_000;
const tasksHold = flag('durable_object_io_tasks_prevent_eviction');

export class Container implements Looked {
  readonly actorClass: ActorClass;
  readonly id: string;
  readonly name: string | undefined;
  // Of a facet: the instance that it belongs to, and what `ctx.id` is (undefined: made from `id`).
  readonly parent: Instance | undefined = undefined;
  readonly contextId: unknown = undefined;
  readonly props: unknown = undefined;
  instance: Instance | undefined = undefined;
  broken: ErrorData | undefined = undefined;
  // Given up when idle: whoever wants the object claims it anew.
  released = false;
  hibernation: Hibernation | undefined = undefined;
  alarmRun: AlarmRun | undefined = undefined;
  clients: Set<RemoteClient> | undefined = undefined;
  readonly #events = new SafeSet<ActorEvent>();
  #queued = 0;
  #line: WaitingLine | undefined; // made when a call first finds the gate locked
  #grace: HostTimer | undefined;
  #lastEvent = 0;
  // Events so far, to see whether there was another one.
  accepted = 0;
  #idleSince = 0;
  #listed = false;

  constructor(actorClass: ActorClass, id: string, name: string | undefined) {
    this.actorClass = actorClass;
    this.id = id;
    this.name = name;
  }

  accept(event: ActorEvent): void {
    if (this.broken !== undefined) return event.fail(this.broken);
    if (this.actorClass.userClass === undefined) {
      const { className } = this.actorClass;
      return event.fail(errorToData(new Error(`The Durable Object class ${className} is not exported by the main module.`)));
    }
    if (this.#queued >= kQueuedCallsMax && event.weight !== undefined) return event.fail(tooManyCalls());
    const instance = this.instance ?? this.#start();
    this.accepted++;
    if ((instance.root.locked || this.#queued >= kUnweighedCallsMax) && event.weight !== undefined) {
      return this.#wait(event, instance, event.weight());
    }
    this.#events.add(event);
    this.#lastEvent = second;
    instance.beginIo();
    this.#queued++;
    instance.root.enter(() => {
      this.#queued--;
      event.run(instance);
    });
  }

  // Waits, within bounds.
  #wait(event: ActorEvent, instance: Instance, bytes: number): void {
    const line = (this.#line ??= new WaitingLine());
    let expired = false;
    const waiting = line.enter(bytes, (error) => {
      expired = true;
      this.#queued--;
      this.done(event);
      event.fail(error);
    });
    if (isRefusal(waiting)) return event.fail(waiting);
    this.#events.add(event);
    this.#lastEvent = second;
    instance.beginIo();
    this.#queued++;
    instance.root.enter(() => {
      if (expired) return;
      line.leave(waiting);
      this.#queued--;
      event.run(instance);
    });
  }

  done(event: ActorEvent): void {
    if (!this.#events.delete(event)) return;
    const { instance } = this;
    if (instance !== undefined) {
      instance.endIo();
      if (this.#events.size === 0 && instance.active > 0) this.#list(second + kForgottenSeconds);
    }
    if (this.#events.size > 0) return;
    if (this.released) this.#endSuperseded();
    onQuiet?.();
  }

  // Calls, alarms and socket events under way.
  get eventCount(): number {
    return this.#events.size;
  }

  #start(): Instance {
    const instance = new Instance(this);
    this.instance = instance;
    instance.beginIo();
    const construct = (): void => {
      instance.construct();
      if (!instance.ended) instance.endIo();
    };
    if (this.parent === undefined && native.restorePending(this.actorClass.ns, this.id)) startRestored(this, instance, construct);
    else instance.root.enter(construct);
    return instance;
  }

  get isBusy(): boolean {
    return this.instance !== undefined && this.instance.active > 0;
  }

  // Everything that waits or runs fails with `error`; the instance is gone at once.
  break(error: unknown, options: BreakOptions): void {
    if (this.broken !== undefined || (this.released && this.instance === undefined)) return;
    const data = errorToData(error);
    if (options.disconnected !== true && options.unmarked !== true) data.durableObjectReset = true;
    this.broken = data;
    const { instance } = this;
    this.instance = undefined;
    this.#line?.end();
    if (superseded.delete(this)) cancelHostTimeout(this.#grace);
    instance?.end(errorFromData(data, false));
    this.hibernation?.cut();
    this.hibernation = undefined;
    const { alarmRun } = this;
    this.alarmRun = undefined;
    alarmRun?.broken(options);
    const events = [...this.#events];
    this.#events.clear();
    if (events.length === 0 && alarmRun === undefined && options.wanted !== true) reportException('reset', error, this.id);
    const clients = this.clients;
    this.clients = undefined;
    for (let i = 0; i < events.length; i++) events[i]!.fail(data);
    clients?.forEach((client) => client.broken(data));
    if (!this.released) this.gone();
  }

  // Its place is free: the next one to ask for the object makes a new container.
  gone(): void {
    if (this.actorClass.containers.get(this.id) === this) this.actorClass.containers.delete(this.id);
    native.releaseActor(this.actorClass.ns, this.id);
  }

  // Opens the database, for the instance.
  openDatabase(): number {
    return native.databaseOpen(this.actorClass.ns, this.id, this.name);
  }

  // --- idle

  becameIdle(): void {
    this.#idleSince = second;
    // Never at once: what this turn wrote is not committed yet.
    this.#list(second + (retired ? 1 : kReleaseSeconds));
  }

  // Whoever is listed already is looked at no later: it became idle, or was left by its last event, before.
  #list(at: number): void {
    if (this.#listed || this.parent !== undefined) return; // a facet stays for as long as its parent does
    this.#listed = true;
    lookAt(this, at);
  }

  look(): number | undefined {
    const { instance } = this;
    if (instance === undefined || this.#events.size > 0) {
      this.#listed = false;
      return undefined;
    }
    if (instance.active > 0) return this.#lookAtForgotten(instance);
    const due = this.#idleSince + kIdleSeconds;
    if (due > second && !retired) {
      const releaseAt = this.#idleSince + kReleaseSeconds;
      if (releaseAt > second) return releaseAt;
      instance.releaseMemory();
      return due;
    }
    if (!instance.output.isOpen) return second + 1;
    this.#listed = false;
    this.evict();
    return undefined;
  }

  // No event is under way, and yet it is not idle.
  #lookAtForgotten(instance: Instance): number | undefined {
    const until = tasksHold ? instance.lastIo + kTaskSeconds : this.#lastEvent + kForgottenSeconds;
    if (until > second) return until;
    // An open socket has somebody at its other end.
    const held = holdsSocket(instance) || instance.facets?.holdSockets === true;
    if (held || !instance.output.isOpen) return second + kForgottenSeconds;
    this.#listed = false;
    this.evict();
    return undefined;
  }

  // For memory pressure; -1: it may not go.
  get idleSince(): number {
    const { instance } = this;
    return instance === undefined || instance.active > 0 || !instance.output.isOpen ? -1 : this.#idleSince;
  }

  // Outside of turns. Evicts an instance that nothing has happened to since `accepted` was so much.
  evictUnused(instance: Instance, accepted: number): void {
    if (this.instance !== instance || this.accepted !== accepted || this.isBusy || !instance.output.isOpen) return;
    this.evict();
  }

  // Drops the instance. With hibernatable sockets the container stays and the next event constructs anew; once this
  // version has been replaced, the object goes on asleep in the next one.
  evict(): void {
    const { instance, hibernation } = this;
    this.instance = undefined;
    const sleeps = hibernation !== undefined && hibernation.count > 0;
    if (sleeps) hibernation.sleep();
    instance?.end(new Error(kStorageGone));
    if (sleeps && !retired) return;
    this.#release(sleeps ? hibernation.handOver() : undefined);
  }

  #release(sockets: HandedOver | undefined): void {
    const { ns, containers } = this.actorClass;
    this.released = true;
    this.hibernation = undefined;
    if (sockets === undefined) return this.gone();
    containers.delete(this.id);
    native.handOver(ns, this.id, this.name, sockets.sockets.map(({ end }) => end), sockets);
  }

  // What another version has handed over.
  adopt(sockets: HandedOver): void {
    this.hibernation = new Hibernation(this);
    this.hibernation.adopt(sockets);
  }

  // This version's time is over. An idle object goes on in the next one; of one that is busy what runs may end within
  // half a minute, but not touch the storage, which is the next one's from now on.
  supersede(makeError: () => Error): void {
    if (this.broken !== undefined || this.released) return;
    const { instance } = this;
    if (instance !== undefined && !instance.output.isOpen) {
      instance.output.after(() => this.supersede(makeError), noop);
      return;
    }
    if (instance === undefined || instance.active === 0) return this.evict();
    const error = makeError();
    if (this.alarmRun !== undefined || this.#events.size === 0) return this.break(error, { disconnected: true });
    this.hibernation?.cut();
    instance.supersede(error);
    this.#release(undefined);
    superseded.add(this);
    this.#grace = hostTimeout(kGraceMs, () => this.break(error, { disconnected: true }));
  }

  // Everything that ran has ended well.
  #endSuperseded(): void {
    if (!superseded.delete(this)) return;
    cancelHostTimeout(this.#grace);
    const { instance } = this;
    this.instance = undefined;
    instance?.end(new Error(kStorageGone));
  }

}

// Objects that go on elsewhere; events of theirs still run here.
export const superseded = new SafeSet<Container>();

// Told whenever an object has no event left: for a process that waits to stop.
let onQuiet: (() => void) | undefined;
export function setQuietListener(listener: () => void): void {
  onQuiet = listener;
}

// Memory is short: of the objects that are idle, those that have been for longest go, half of them each time.
export function evictLeastRecentlyUsed(classes: Iterable<ActorClass>): number {
  const idle: Container[] = [];
  for (const actorClass of classes) {
    actorClass.containers.forEach((container) => {
      if (container.idleSince >= 0) idle.push(container);
    });
  }
  // Containers of one second are in the order in which they were made.
  idle.sort((a, b) => a.idleSince - b.idleSince);
  const count = Math.ceil(idle.length / 2);
  for (let i = 0; i < count; i++) idle[i]!.evict();
  return count;
}

// This isolate's version has been replaced: an object that falls idle is handed over at once.
let retired = false;
export function retire(classes: Iterable<ActorClass>): void {
  retired = true;
  for (const actorClass of classes) {
    for (const container of [...actorClass.containers.values()]) {
      if (container.instance === undefined) container.evict();
      else if (!container.isBusy) lookAt(container, second + 1);
    }
  }
}
