// A live Durable Object: its gates, its database, its `ctx` and the instance of the user's class. It is constructed by its
// first event and dies once: evicted when idle, or broken. What remains of an object between instances is its Container.

import { type ErrorData, errorFromData, failure } from '../web/errors.ts';
import { native } from '../web/host.ts';
import { IoContext, type Section, currentFrame, frameIfAny, stopResources } from '../web/io.ts';
import { SafeMap, promiseResolve, promiseThen, reflectConstruct, withResolvers } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import { SocketState } from '../web/websocket/websocket.ts';
import type { AlarmRun, Container } from './container.ts';
import { Gate, type GateOwner } from './gate.ts';
import { cancelHostTimeout, hostTimeout } from './host_timer.ts';
import { OutputGate } from './output.ts';
import { type DurableObjectState, makeState } from './state.ts';
import { second } from './ticker.ts';

const kBlockLimitMs = 30_000;
const kBlockedTooLong =
  'A call to blockConcurrencyWhile() in a Durable Object waited for too long. The call was canceled and the Durable ' +
  'Object was reset.';
const kDeadlock =
  'A critical section within this Durable Object awaited a Promise that apparently will never complete. This could ' +
  'happen in particular if a critical section awaits a task that was initiated outside of the critical section. Since ' +
  'a critical section blocks all other tasks from completing, this leads to deadlock.';
export const kStorageGone = 'Durable Object storage is no longer accessible.';

// Open databases, for Runtime.durable and Runtime.databaseFailed.
const openDatabases = new SafeMap<number, Instance>();

// Sections whose promise has been collected without settling can never end.
interface Abandoned {
  instance: Instance;
  section: Gate;
}
const abandoned = new FinalizationRegistry<Abandoned>(({ instance, section }) => {
  if (!section.finished && !instance.ended) instance.container.break(failure(kDeadlock, {}), {});
});

// What becomes of an instance's facets with it.
export interface InstanceFacets {
  end(error: unknown): void;
  releaseMemory(): void;
  readonly holdSockets: boolean;
}

export class Instance extends IoContext implements GateOwner {
  readonly where: string;
  override holdsStubs = true;
  readonly container: Container;
  readonly root: Gate;
  readonly output: OutputGate;
  readonly state: DurableObjectState;
  ended = false;
  // The user's object; undefined until its constructor has returned.
  object: Record<string, unknown> | undefined;
  // Events, tasks and I/O under way: idle at 0.
  active = 0;
  // When the last of them began (ticker.ts).
  lastIo = 0;
  // Explicit transactions that are open, innermost last.
  transactions: object[] = [];
  transactionConfirmed = false;
  // transactionSync() calls under way.
  syncDepth = 0;
  // Counts what may have changed a key or value, and deleteAll(): what iterators look at.
  kvChanges = 0;
  deletedAll = 0;
  // The alarm that runs is to be deleted when it ends well; user code does not see it meanwhile.
  alarmDeletes = false;
  // Its facets, if it has used ctx.facets (facets.ts).
  facets: InstanceFacets | undefined = undefined;
  #db = 0;
  #superseded: Error | undefined;

  constructor(container: Container) {
    super();
    this.container = container;
    this.where = container.id;
    this.output = new OutputGate(container.parent?.output);
    this.root = new Gate(this, null, undefined);
    this.state = makeState(this);
  }

  // --- IoContext

  enter(section: Section | null, run: () => void): void {
    if (this.ended) return;
    if (section === null) this.root.enter(run);
    else (section as Gate).current().enter(run);
  }

  override get isOver(): boolean {
    return this.ended;
  }

  override get resetError(): ErrorData | undefined {
    return this.container.broken;
  }

  waitForOutput(): Promise<void> | undefined {
    return this.output.wait();
  }

  addTask(promise: Promise<unknown>): void {
    this.beginIo();
    promiseThen(
      promise,
      () => this.endIo(),
      (error) => {
        reportException('waitUntil', error, this.where);
        this.endIo();
      },
    );
  }

  beginIo(): void {
    this.active++;
    this.lastIo = second;
  }

  endIo(): void {
    if (--this.active === 0 && !this.ended) this.container.becameIdle();
  }

  // --- life

  // In the instance's first turn.
  construct(): void {
    const { userClass, env } = this.container.actorClass;
    try {
      this.object = reflectConstruct(userClass!, [this.state, env()]) as Record<string, unknown>;
    } catch (error) {
      this.container.break(error, {});
    }
  }

  // No turn of this instance runs after this. Uncommitted writes are dropped.
  end(error: unknown): void {
    this.ended = true;
    this.facets?.end(error);
    this.output.break(error);
    stopResources(this);
    this.#closeDatabase();
  }

  // What runs goes on without storage: touching it resets the object with `error`. Its sockets are cut.
  supersede(error: Error): void {
    this.#superseded = error;
    this.facets?.end(error);
    this.resources?.forEach((resource) => {
      if (resource instanceof SocketState) resource.stop();
    });
    this.#closeDatabase();
  }

  #closeDatabase(): void {
    if (this.#db === 0) return;
    openDatabases.delete(this.#db);
    native.databaseClose(this.#db);
    this.#db = 0;
  }

  // A handler of the user's class, undefined when it is none.
  handler(name: string): ((...args: unknown[]) => unknown) | undefined {
    const value = this.object![name];
    return typeof value === 'function' ? (value as (...args: unknown[]) => unknown) : undefined;
  }

  // --- the database

  // Throws when the object has been reset.
  db(): number {
    if (this.#superseded !== undefined) this.container.break(this.#superseded, { disconnected: true });
    if (this.ended) {
      const { broken } = this.container;
      throw broken === undefined ? failure(kStorageGone, { retryable: true }) : errorFromData(broken, false);
    }
    if (this.#db === 0) {
      this.#db = this.container.openDatabase();
      openDatabases.set(this.#db, this);
    }
    return this.#db;
  }

  releaseMemory(): void {
    this.facets?.releaseMemory();
    if (this.#db !== 0) native.databaseReleaseMemory(this.#db);
  }

  get hasDatabase(): boolean {
    return this.#db !== 0;
  }

  // A write belongs to `commit` (0: nothing was written).
  wrote(commit: number, unconfirmed: boolean): void {
    if (unconfirmed || commit === 0) return;
    if (this.transactions.length > 0) this.transactionConfirmed = true;
    else this.output.confirm(commit);
  }

  // The stored alarm is another than the one that runs.
  alarmChanged(): void {
    this.alarmDeletes = false;
  }

  // Before a transaction; hand the result to rolledBack() when what it wrote is undone, the alarm included.
  alarmMark(): AlarmRun | undefined {
    return this.alarmDeletes ? this.container.alarmRun : undefined;
  }

  rolledBack(mark: AlarmRun | undefined): void {
    if (mark !== undefined && this.container.alarmRun === mark) this.alarmDeletes = true;
  }

  // Call it with whatever a storage operation has thrown: a broken database resets the object.
  storageThrew(error: unknown): void {
    if (this.ended || this.#db === 0) return;
    const fault = native.databaseBroken(this.#db);
    if (fault !== undefined) this.container.break(error, { infrastructure: fault === 'infrastructure' });
  }

  // ctx.abort().
  abort(message: string, retryAlarm: boolean): never {
    const error = new Error(message);
    if (!this.ended) {
      if (this.#db !== 0) native.databaseAbort(this.#db, message);
      this.container.break(error, { abandonAlarm: !retryAlarm });
      // Nothing more of this object runs: no handler of the error, no `finally`.
      if (frameIfAny()?.context === this && native.cutTurn()) for (;;);
    }
    throw error;
  }

  // --- critical sections

  // The gate that new sections and holds of the running code belong to.
  currentGate(): Gate {
    const frame = frameIfAny();
    if (frame === undefined || frame.context !== this || frame.section === null) return this.root;
    return (frame.section as Gate).current();
  }

  // Runs `body` in a section of its own. `failed`: it threw; the section has not ended yet.
  inSection<T>(
    body: () => T | PromiseLike<T>,
    succeeded: (value: T) => void,
    failed: (error: unknown, section: Gate) => void,
  ): void {
    this.beginIo();
    const section = this.currentGate().startSection(() => {
      let result: Promise<Awaited<T>>;
      try {
        result = promiseResolve(body()) as Promise<Awaited<T>>;
      } catch (error) {
        failed(error, section);
        return;
      }
      abandoned.register(result, { instance: this, section });
      promiseThen(
        result,
        (value) => {
          if (this.ended) return;
          succeeded(value as T);
          section.finish();
          this.endIo();
        },
        (error) => {
          if (!this.ended) failed(error, section);
        },
      );
    });
  }

  blockConcurrencyWhile<T>(callback: () => T | PromiseLike<T>): Promise<T> {
    currentFrame();
    const { promise, resolve } = withResolvers<T>();
    const timer = hostTimeout(kBlockLimitMs, () => {
      if (!this.ended) this.container.break(failure(kBlockedTooLong, { overloaded: true }), {});
    });
    try {
      this.inSection(
        callback,
        (value) => {
          cancelHostTimeout(timer);
          resolve(value);
        },
        (error) => {
          cancelHostTimeout(timer);
          this.container.break(error, {});
        },
      );
    } catch (error) {
      cancelHostTimeout(timer);
      throw error;
    }
    return promise;
  }
}

// Runtime.durable.
export function durable(pairs: readonly number[]): void {
  for (let i = 0; i < pairs.length; i += 2) openDatabases.get(pairs[i]!)?.output.onDurable(pairs[i + 1]!);
}

// Runtime.databaseFailed.
export function databaseFailed(db: number, message: string): void {
  const isTheCodes = message.includes('constraints were violated');
  openDatabases.get(db)?.container.break(new Error(message), { infrastructure: !isTheCodes, unmarked: isTheCodes });
}
