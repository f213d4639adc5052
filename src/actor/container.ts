// What this isolate keeps of one Durable Object (spec A.1): its instance while there is one, the events under way, its
// hibernating sockets, and why it broke. Stubs hold on to a container: after it has broken they keep failing, and the
// next stub gets a new one.
//
//   new ──event──► live (instance) ──idle 10 s──► asleep (sockets only) ──event──► live
//                        │                  └── no sockets ──► released: claimed again by the next event
//                        └── break() ──► broken, for ever

import { type ErrorData, errorFromData, errorToData } from '../web/errors.ts';
import { native } from '../web/host.ts';
import { SafeMap, SafeSet } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import type { Hibernation } from './hibernation.ts';
import { startRestored } from './bookmarks.ts';
import { hostTimeout } from './host_timer.ts';
import { Instance } from './instance.ts';

// Something that an object is asked to do.
export interface ActorEvent {
  // In a turn of `instance`. Ends with Container.done.
  run(instance: Instance): void;
  // The object broke before it was done.
  fail(error: ErrorData): void;
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
    if (!native.claimActor(this.ns, id, name)) return undefined;
    const container = new Container(this, id, name);
    this.containers.set(id, container);
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

export class Container {
  readonly actorClass: ActorClass;
  readonly id: string;
  readonly name: string | undefined;
  instance: Instance | undefined = undefined;
  broken: ErrorData | undefined = undefined;
  // Given up when idle: whoever wants the object claims it anew.
  released = false;
  hibernation: Hibernation | undefined = undefined;
  alarmRun: AlarmRun | undefined = undefined;
  clients: Set<RemoteClient> | undefined = undefined;
  readonly #events = new SafeSet<ActorEvent>();
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
    const instance = this.instance ?? this.#start();
    this.#events.add(event);
    instance.beginIo();
    instance.root.enter(() => event.run(instance));
  }

  done(event: ActorEvent): void {
    if (!this.#events.delete(event)) return;
    this.instance?.endIo();
    if (this.#events.size === 0) onQuiet?.();
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
    if (native.restorePending(this.actorClass.ns, this.id)) startRestored(this, instance, construct);
    else instance.root.enter(construct);
    return instance;
  }

  get isBusy(): boolean {
    return this.instance !== undefined && this.instance.active > 0;
  }

  // Everything that waits or runs fails with `error`; the instance is gone at once.
  break(error: unknown, options: BreakOptions): void {
    if (this.broken !== undefined || this.released) return;
    const data = errorToData(error);
    if (options.disconnected !== true && options.unmarked !== true) data.durableObjectReset = true;
    this.broken = data;
    if (this.actorClass.containers.get(this.id) === this) this.actorClass.containers.delete(this.id);
    const { instance } = this;
    this.instance = undefined;
    instance?.end(errorFromData(data, false));
    this.hibernation?.cut();
    this.hibernation = undefined;
    const { alarmRun } = this;
    this.alarmRun = undefined;
    alarmRun?.broken(options);
    const events = [...this.#events];
    this.#events.clear();
    if (events.length === 0 && alarmRun === undefined) reportException('reset', error, this.id);
    const clients = this.clients;
    this.clients = undefined;
    for (let i = 0; i < events.length; i++) events[i]!.fail(data);
    clients?.forEach((client) => client.broken(data));
    native.releaseActor(this.actorClass.ns, this.id);
  }

  // --- idle

  becameIdle(): void {
    this.#idleSince = second;
    if (this.#listed) return;
    this.#listed = true;
    // Never at once: what this turn wrote is not committed yet.
    list(this, second + (retired ? 1 : kReleaseSeconds));
  }

  // Looked at when it was due; undefined: nothing more to do, otherwise when to look again.
  look(): number | undefined {
    if (this.instance === undefined || this.instance.active > 0) {
      this.#listed = false;
      return undefined;
    }
    const due = this.#idleSince + kIdleSeconds;
    if (due > second && !retired) {
      const releaseAt = this.#idleSince + kReleaseSeconds;
      if (releaseAt > second) return releaseAt;
      this.instance.releaseMemory();
      return due;
    }
    if (!this.instance.output.isOpen) return second + 1;
    this.#listed = false;
    this.evict();
    return undefined;
  }

  // Drops the instance. With hibernatable sockets the container stays and the next event constructs anew.
  evict(): void {
    const { instance } = this;
    this.instance = undefined;
    const sleeps = this.hibernation !== undefined && this.hibernation.count > 0 && !retired;
    if (sleeps) this.hibernation!.sleep();
    else this.hibernation?.cut();
    instance?.end(new Error('Durable Object storage is no longer accessible.'));
    if (sleeps) return;
    this.released = true;
    this.actorClass.containers.delete(this.id);
    native.releaseActor(this.actorClass.ns, this.id);
  }
}

// Told whenever an object has no event left: for a process that waits to stop.
let onQuiet: (() => void) | undefined;
export function setQuietListener(listener: () => void): void {
  onQuiet = listener;
}

// Idle containers by the second at which they are due. One timer for all.
let second = 0;
let ticking = false;
const due = new SafeMap<number, Container[]>();

function list(container: Container, at: number): void {
  const bucket = due.get(at);
  if (bucket === undefined) due.set(at, [container]);
  else bucket.push(container);
  if (ticking) return;
  ticking = true;
  hostTimeout(1000, tick);
}

function tick(): void {
  second++;
  const bucket = due.get(second);
  due.delete(second);
  ticking = due.size > 0;
  if (ticking) hostTimeout(1000, tick);
  for (const container of bucket ?? []) {
    const again = container.look();
    if (again !== undefined) list(container, again);
  }
}

// This isolate's version has been replaced: an object that falls idle is handed over at once.
let retired = false;
export function retire(classes: Iterable<ActorClass>): void {
  retired = true;
  for (const actorClass of classes) {
    for (const container of [...actorClass.containers.values()]) {
      if (container.instance === undefined) container.evict();
      else if (!container.isBusy) list(container, second + 1);
    }
  }
}
