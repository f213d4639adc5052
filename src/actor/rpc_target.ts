// What stubs point at: something of this isolate that was passed by reference (Exported), or an export of another
// isolate (Imported). Everybody who holds one counts in `refs`; at 0 it is let go.
//
// 1. An export belongs to the context that passed it and ends with it: it is broken then, and its holders are told.
// 2. Between isolates an export has a number for each time that it was sent: one holder on the other side, which says
//    `release` once. So there are no counts to keep in step.

import { type ErrorData, errorToData } from '../web/errors.ts';
import { native } from '../web/host.ts';
import { type ContextResource, type Frame, IoContext, addResource, enqueueTurn, removeResource } from '../web/io.ts';
import { SafeMap, SafeSet, arrayPush, promiseResolve, promiseThen, reflectApply } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import { connectionLost } from './bodies.ts';
import { MessageKind } from './messages.ts';
import type { Call, Channel } from './rpc_outgoing.ts';

export const kHostGone = 'The execution context which hosts this callback is no longer running.';

export abstract class Target implements Channel {
  lastName: string | undefined = undefined;
  lastProperty: unknown = undefined;
  broken: ErrorData | undefined = undefined;
  #refs = 1;
  #watchers: Set<() => void> | undefined;

  abstract dispatch(call: Call): void;
  // Nobody holds it any more.
  protected abstract drop(): void;

  addRef(): void {
    this.#refs++;
  }

  release(): void {
    if (--this.#refs === 0) this.drop();
  }

  // Told once when it breaks.
  watch(watcher: () => void): void {
    (this.#watchers ??= new SafeSet<() => void>()).add(watcher);
  }

  unwatch(watcher: () => void): void {
    this.#watchers?.delete(watcher);
  }

  break(error: ErrorData): void {
    if (this.broken !== undefined) return;
    this.broken = error;
    const watchers = this.#watchers;
    this.#watchers = undefined;
    watchers?.forEach((watcher) => watcher());
  }
}

// A call of an export that is under way.
export interface RunningCall {
  fail(error: ErrorData, remote: boolean): void;
}

// Set by rpc_incoming.ts: starts a call of an export.
export const incoming: { start: (target: Exported, call: Call) => void } = { start: () => {} };

export interface ExportOptions {
  // Its own properties are reachable: a function, a plain object.
  own: boolean;
  // The context must stay while somebody holds the export.
  holds: boolean;
  // Called when nobody holds it any more.
  dispose: Function | undefined;
}

export class Exported extends Target implements ContextResource {
  readonly frame: Frame;
  readonly value: object;
  readonly own: boolean;
  #holds: boolean;
  readonly #dispose: Function | undefined;
  readonly #calls = new SafeSet<RunningCall>();
  // Stubs that go with it: of a result they are the caller's now.
  #owned: { dispose(): void }[] | undefined;

  constructor(value: object, frame: Frame, options: ExportOptions) {
    super();
    this.value = value;
    this.frame = frame;
    this.own = options.own;
    this.#holds = options.holds;
    this.#dispose = options.dispose;
    liveExports++;
    if (frame.context.isOver) {
      this.stop();
      return;
    }
    addResource(frame.context, this);
    if (options.holds) frame.context.hold();
  }

  owns(stubs: { dispose(): void }[]): void {
    if (this.#owned === undefined) this.#owned = stubs;
    else for (let i = 0; i < stubs.length; i++) arrayPush(this.#owned, stubs[i]!);
  }

  // What a session has made for itself goes to its caller: from now on the session stays while it is held.
  keepSession(session: IoContext): void {
    const { context } = this.frame;
    if (this.#holds || this.broken !== undefined || context !== session || !context.isSession) return;
    this.#holds = true;
    context.hold();
  }

  dispatch(call: Call): void {
    if (this.broken !== undefined) call.error(this.broken, false);
    else incoming.start(this, call);
  }

  began(call: RunningCall): void {
    const { context } = this.frame;
    this.addRef();
    context.beginIo();
    // Also when the result is a stub that the callee has let go of.
    if (context.isSession) context.hold();
    this.#calls.add(call);
  }

  // False: it had failed before, with its context.
  ended(call: RunningCall): boolean {
    if (!this.#calls.delete(call)) return false;
    const { context } = this.frame;
    context.endIo();
    this.release();
    if (context.isSession) context.release();
    return true;
  }

  protected drop(): void {
    if (this.broken !== undefined) return;
    const { context, section } = this.frame;
    removeResource(context, this);
    liveExports--;
    const owned = this.#owned;
    this.#owned = undefined;
    if (owned !== undefined) for (let i = 0; i < owned.length; i++) owned[i]!.dispose();
    const dispose = this.#dispose;
    if (dispose === undefined) {
      if (this.#holds) context.release();
      return;
    }
    if (!this.#holds) context.hold();
    context.enter(section, () => {
      let result: unknown;
      try {
        result = reflectApply(dispose, this.value, []);
      } catch (error) {
        reportException('dispose', error, context.where);
      }
      promiseThen(
        promiseResolve(result),
        () => context.release(),
        (error) => {
          reportException('dispose', error, context.where);
          context.release();
        },
      );
    });
  }

  // Its context has ended. Later than this no code of that context runs.
  stop(): void {
    liveExports--;
    this.break(errorToData(new Error(kHostGone)));
    const owned = this.#owned;
    this.#owned = undefined;
    if (owned !== undefined) for (let i = 0; i < owned.length; i++) owned[i]!.dispose();
    // Calls under way fail as the calls of the context itself do.
    const reset = this.frame.context.resetError;
    const error = reset === undefined ? this.broken! : { ...reset, props: ['durableObjectId', this.frame.context.where] };
    this.#calls.forEach((call) => call.fail(error, reset !== undefined));
    this.#calls.clear();
  }
}

let liveExports = 0;

// ------------------------------------------------------------------------------------------------ between isolates

interface Held {
  target: Target;
  address: number; // of the holder; 0: not known yet
  watcher: () => void;
}

let nextExport = 1;
const exported = new SafeMap<number, Held>();

// Gives a reference to another isolate; takes over one that is counted in `target`.
export function exportTo(address: number, target: Target): number {
  const id = nextExport++;
  const held: Held = {
    target,
    address,
    watcher: () => {
      if (held.address !== 0) native.send(held.address, [MessageKind.exportBroken, id, target.broken]);
    },
  };
  exported.set(id, held);
  target.watch(held.watcher);
  return id;
}

// The message with these exports has arrived at `address`.
export function exportsReached(ids: readonly number[], address: number): void {
  for (let i = 0; i < ids.length; i++) {
    const held = exported.get(ids[i]!);
    if (held === undefined || held.address !== 0) continue;
    held.address = address;
    if (held.target.broken !== undefined) held.watcher();
  }
}

export function unexport(id: number): void {
  const held = exported.get(id);
  if (held === undefined) return;
  exported.delete(id);
  held.target.unwatch(held.watcher);
  held.target.release();
}

export function findExport(id: number): Target | undefined {
  return exported.get(id)?.target;
}

// Set by channel.ts: sends a call to an export.
export const remote: { call: (target: Imported, call: Call) => void } = { call: () => {} };

const imported = new SafeMap<number, Map<number, Imported>>(); // by address, by export

export class Imported extends Target {
  readonly address: number;
  readonly id: number;

  constructor(address: number, id: number) {
    super();
    this.address = address;
    this.id = id;
    let ofPeer = imported.get(address);
    if (ofPeer === undefined) imported.set(address, (ofPeer = new SafeMap()));
    ofPeer.set(id, this);
  }

  dispatch(call: Call): void {
    if (this.broken !== undefined) call.error(this.broken, false);
    else remote.call(this, call);
  }

  protected drop(): void {
    const ofPeer = imported.get(this.address);
    if (ofPeer?.delete(this.id) !== true) return; // the peer is gone
    if (ofPeer.size === 0) imported.delete(this.address);
    native.send(this.address, [MessageKind.release, this.id]);
  }
}

export function importBroke(address: number, id: number, error: ErrorData): void {
  imported.get(address)?.get(id)?.break(error);
}

export function referencesPeerGone(address: number): void {
  const ofPeer = imported.get(address);
  imported.delete(address);
  ofPeer?.forEach((target) => target.break(errorToData(connectionLost())));
  const ids: number[] = [];
  exported.forEach((held, id) => {
    if (held.address === address) arrayPush(ids, id);
  });
  for (let i = 0; i < ids.length; i++) unexport(ids[i]!);
}

// For tests: what is left when nobody should hold anything.
export function referenceCounts(): { exports: number; sent: number; imports: number } {
  let imports = 0;
  imported.forEach((ofPeer) => (imports += ofPeer.size));
  return { exports: liveExports, sent: exported.size, imports };
}

// ------------------------------------------------------------------------------------------------ passing on

// Under this context stubs of other isolates are passed on to a third one: no user code runs in it.
class Relay extends IoContext {
  readonly where: string = '';
  enter(_section: null, run: () => void): void {
    enqueueTurn(relayFrame, run);
  }
  waitForOutput(): undefined {
    return undefined;
  }
  addTask(): void {}
  beginIo(): void {}
  endIo(): void {}
}
export const relayFrame: Frame = { context: new Relay(), section: null };
