// Point-in-time recovery (spec 5.7): bookmarks, and the restoration before an object starts.

import { native } from '../web/host.ts';
import { SafeMap, promiseThen, withResolvers } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import type { Container } from './container.ts';
import type { Instance } from './instance.ts';

const kNoRecovery = "This Durable Object's storage back-end does not implement point-in-time recovery.";

// What the storage does elsewhere meanwhile. The object waits.
const jobs = new SafeMap<number, (error: string | undefined, value: string | undefined) => void>();
let nextJob = 1;

function startJob(
  instance: Instance,
  start: (job: number) => void,
  ended: (error: string | undefined, value: string | undefined) => void,
): void {
  const gate = instance.currentGate();
  const job = nextJob++;
  start(job);
  instance.beginIo();
  gate.hold();
  jobs.set(job, (error, value) => {
    gate.current().release(() => {
      ended(error, value);
      instance.endIo();
    });
  });
}

// Runtime.storageReply.
export function storageReply(job: number, error: string | undefined, value: string | undefined): void {
  const ended = jobs.get(job);
  jobs.delete(job);
  ended?.(error, value);
}

const kNotAlone = 'A facet is taken back to a bookmark together with its parent: ask there.';

function check(instance: Instance, operation: string): void {
  if (!instance.container.actorClass.useSqlite) throw new Error(kNoRecovery);
  // What is there now is not committed, and cannot be in the middle of it.
  if (instance.syncDepth > 0) throw new Error(`Cannot call ${operation}() within a transactionSync()`);
}

export function getCurrentBookmark(instance: Instance, sync: () => Promise<void>): Promise<string> {
  check(instance, 'getCurrentBookmark');
  return promiseThen(sync(), () => native.bookmark(instance.db()));
}

export function getBookmarkForTime(instance: Instance, time: unknown): Promise<string> {
  check(instance, 'getBookmarkForTime');
  const at = Number(time);
  if (!(at >= 0)) throw new TypeError(`getBookmarkForTime() takes a Date or milliseconds since the epoch, not ${String(time)}.`);
  const { promise, resolve, reject } = withResolvers<string>();
  native.commitNow(instance.db());
  startJob(
    instance,
    (job) => native.bookmarkForTime(job, instance.db(), at),
    (error, value) => {
      if (error === undefined) resolve(value!);
      else reject(new Error(error));
    },
  );
  return promise;
}

// Resolves to the bookmark of what will have been there just before the restoration.
export function onNextSessionRestoreBookmark(
  instance: Instance,
  bookmark: unknown,
  sync: () => Promise<void>,
): Promise<string> {
  check(instance, 'onNextSessionRestoreBookmark');
  if (instance.container.parent !== undefined) throw new Error(kNotAlone);
  native.commitNow(instance.db());
  const undo = native.restoreRequest(instance.db(), `${bookmark as string}`);
  return promiseThen(sync(), () => undo);
}

// Before an instance is constructed: what it was asked to be comes first. `construct` then runs in its first turn.
export function startRestored(container: Container, instance: Instance, construct: () => void): void {
  const { actorClass, id, name } = container;
  startJob(
    instance,
    (job) => native.restoreObject(job, actorClass.ns, id, name),
    (error) => {
      // It starts as it is: nothing has been lost.
      if (error !== undefined) reportException('restore', new Error(error), id);
      construct();
    },
  );
}
