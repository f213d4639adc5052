// ctx.storage: the asynchronous key-value API (spec 4) and the way to the other APIs. Everything completes within the
// call; the promises only say so. Only sync() and transaction() take longer than a turn.

import { flag } from '../web/compat.ts';
import { native } from '../web/host.ts';
import { currentFrame } from '../web/io.ts';
import { defineProperty, isArray, objectKeys, promiseReject, promiseResolve, setTag, withResolvers } from '../web/primordials.ts';
import { getBookmarkForTime, getCurrentBookmark, onNextSessionRestoreBookmark } from './bookmarks.ts';
import { deleteAlarm, getAlarm, setAlarm } from './alarms.ts';
import { checkOptions, wrongType } from './arguments.ts';
import type { Instance } from './instance.ts';
import { type SyncKvStorage, makeSyncKv } from './kv_sync.ts';
import { type ListOptions, listArguments } from './list_options.ts';
import { refuseReference, storageCloneError } from './rpc_values.ts';
import { type SqlStorage, makeSql } from './sql.ts';
import { actorHost } from './state.ts';
import { type DurableObjectTransaction, runTransaction } from './transaction.ts';

const kKeysMax = 128;
const kPutArguments =
  'put() may only be called with a single key-value pair and optional options as put(key, value, options) or with ' +
  'multiple key-value pairs and optional options as put(entries, options)';
const kWhere = 'DurableObjectStorage';

const rejects = flag('capture_async_api_throws');
const deleteAllDeletesAlarm = flag('delete_all_deletes_alarm');

export interface ReadOptions {
  allowConcurrency?: boolean;
  noCache?: boolean;
}

export interface WriteOptions {
  allowConcurrency?: boolean;
  allowUnconfirmed?: boolean;
  noCache?: boolean;
}

const settled: Promise<undefined> = promiseResolve(undefined);

// An asynchronous API's exception: a rejection, or thrown before capture_async_api_throws.
function thrown(instance: Instance, error: unknown): Promise<never> {
  instance.storageThrew(error);
  if (!rejects) throw error;
  return promiseReject(error);
}

function tooMany(what: 'keys' | 'pairs'): RangeError {
  return new RangeError(`Maximum number of ${what} is ${kKeysMax}.`);
}

function keyList(keys: unknown[]): string[] {
  if (keys.length > kKeysMax) throw tooMany('keys');
  const texts: string[] = [];
  for (let i = 0; i < keys.length; i++) texts[i] = `${keys[i] as string}`;
  return texts;
}

const setInMap: (map: Map<string, unknown>, key: unknown, value: unknown) => void = Function.prototype.call.bind(
  Map.prototype.set,
) as never;

export function mapOf(flat: unknown[]): Map<string, unknown> {
  const map = new Map<string, unknown>();
  for (let i = 0; i < flat.length; i += 2) setInMap(map, flat[i], flat[i + 1]);
  return map;
}

// --- the operations, shared by storage, transactions and the synchronous API. They throw. `args` as the user gave them.

export function getValue(instance: Instance, where: string, args: readonly unknown[]): unknown {
  const key = args[0];
  if (args.length === 0) throw wrongType(where, 'get', 1, 'string or Array');
  checkOptions(where, 'get', 2, 'GetOptions', args[1]);
  if (typeof key === 'string') return native.kvGet(instance.db(), key);
  if (isArray(key)) return mapOf(native.kvGetMany(instance.db(), keyList(key)));
  return native.kvGet(instance.db(), `${key as string}`);
}

export function putOne(instance: Instance, key: string, value: unknown, unconfirmed: boolean): void {
  refuseReference(value);
  const db = instance.db();
  let commit: number;
  try {
    commit = native.kvPut(db, key, value);
  } catch (error) {
    throw storageCloneError(error, value);
  }
  instance.kvChanges++;
  instance.wrote(commit, unconfirmed);
}

export function putValues(instance: Instance, where: string, args: readonly unknown[]): void {
  const key = args[0];
  if (args.length === 0) throw wrongType(where, 'put', 1, 'string or object');
  checkOptions(where, 'put', 3, 'PutOptions', args[2]);
  if ((typeof key === 'object' && key !== null && !isArray(key)) || typeof key === 'function') {
    const options = args[1] as WriteOptions | undefined | null;
    if (options !== undefined && options !== null && typeof options !== 'object' && typeof options !== 'function') {
      throw new TypeError(kPutArguments);
    }
    const flat: unknown[] = [];
    const names = objectKeys(key);
    for (let i = 0; i < names.length; i++) {
      const value = (key as Record<string, unknown>)[names[i]!];
      if (value !== undefined) flat.push(names[i]!, value);
    }
    if (flat.length > 2 * kKeysMax) throw tooMany('pairs');
    if (flat.length === 0) return;
    const db = instance.db();
    let commit: number;
    try {
      commit = native.kvPutMany(db, flat);
    } catch (error) {
      throw storageCloneError(error, key);
    }
    instance.kvChanges++;
    instance.wrote(commit, options?.allowUnconfirmed === true);
    return;
  }
  if (args[1] === undefined) throw new TypeError('put() called with undefined value.');
  putOne(instance, `${key as string}`, args[1], (args[2] as WriteOptions | undefined)?.allowUnconfirmed === true);
}

export function deleteValues(instance: Instance, where: string, args: readonly unknown[]): boolean | number {
  if (args.length === 0) throw wrongType(where, 'delete', 1, 'string or Array');
  checkOptions(where, 'delete', 2, 'PutOptions', args[1]);
  const key = args[0];
  const options = args[1] as WriteOptions | undefined | null;
  const db = instance.db();
  const result = isArray(key) ? native.kvDeleteMany(db, keyList(key)) : native.kvDelete(db, `${key as string}`);
  instance.kvChanges++;
  instance.wrote(native.pendingCommit(db), options?.allowUnconfirmed === true);
  return result;
}

export function listValues(instance: Instance, where: string, options: ListOptions | undefined | null): unknown[] {
  return native.kvList(instance.db(), listArguments(where, options));
}

const kInternal = Symbol('internal');

export class DurableObjectStorage {
  readonly #instance: Instance;

  constructor(token: symbol, instance: Instance) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#instance = instance;
  }

  get(...args: unknown[]): Promise<unknown> {
    try {
      return promiseResolve(getValue(this.#instance, kWhere, args));
    } catch (error) {
      return thrown(this.#instance, error);
    }
  }

  list(options: (ListOptions & ReadOptions) | undefined = undefined): Promise<Map<string, unknown>> {
    try {
      return promiseResolve(mapOf(listValues(this.#instance, kWhere, options)));
    } catch (error) {
      return thrown(this.#instance, error);
    }
  }

  put(...args: unknown[]): Promise<void> {
    try {
      putValues(this.#instance, kWhere, args);
      return settled;
    } catch (error) {
      return thrown(this.#instance, error);
    }
  }

  delete(...args: unknown[]): Promise<boolean | number> {
    try {
      return promiseResolve(deleteValues(this.#instance, kWhere, args));
    } catch (error) {
      // Not a promise, whatever capture_async_api_throws says: the reference runtime declares two kinds of promises.
      this.#instance.storageThrew(error);
      throw error;
    }
  }

  deleteAll(options: WriteOptions | undefined = undefined): Promise<void> {
    const instance = this.#instance;
    try {
      checkOptions(kWhere, 'deleteAll', 1, 'PutOptions', options);
      if (instance.transactions.length > 0) throw new Error('Cannot call deleteAll() within a transaction');
      instance.wrote(native.kvDeleteAll(instance.db(), deleteAllDeletesAlarm), false);
      instance.deletedAll++;
      actorHost.eraseFacets(instance);
      return settled;
    } catch (error) {
      return thrown(instance, error);
    }
  }

  transaction<T>(callback: (transaction: DurableObjectTransaction) => T | PromiseLike<T>): Promise<T> {
    try {
      if (typeof callback !== 'function') throw wrongType(kWhere, 'transaction', 1, 'function');
      return runTransaction(this.#instance, callback);
    } catch (error) {
      return thrown(this.#instance, error);
    }
  }

  getAlarm(options: ReadOptions | undefined = undefined): Promise<number | null> {
    try {
      return promiseResolve(getAlarm(this.#instance, kWhere, options));
    } catch (error) {
      return thrown(this.#instance, error);
    }
  }

  setAlarm(time: number | Date, options: WriteOptions | undefined = undefined): Promise<void> {
    try {
      setAlarm(this.#instance, kWhere, time, options);
      return settled;
    } catch (error) {
      return thrown(this.#instance, error);
    }
  }

  deleteAlarm(options: WriteOptions | undefined = undefined): Promise<void> {
    try {
      deleteAlarm(this.#instance, kWhere, options);
      return settled;
    } catch (error) {
      return thrown(this.#instance, error);
    }
  }

  // Resolves when everything written before is durable. Other events come in between.
  sync(): Promise<void> {
    const instance = this.#instance;
    try {
      // Inside of transactionSync() the writes are committed at the end of the turn, like the rest of it.
      const db = instance.db();
      const commit = instance.syncDepth === 0 ? native.commitNow(db) : native.pendingCommit(db);
      const { promise, resolve } = withResolvers<void>();
      const { section } = currentFrame();
      let waits = false;
      let durable = false;
      instance.output.afterCommit(
        commit,
        () => {
          durable = true;
          if (!waits) return resolve();
          instance.enter(section, () => {
            resolve();
            instance.endIo();
          });
        },
        () => {}, // The instance is gone: nothing of it runs any more.
      );
      if (durable) return promise;
      waits = true;
      instance.beginIo();
      return promise;
    } catch (error) {
      return thrown(instance, error);
    }
  }

  transactionSync<T>(callback: () => T): T {
    if (typeof callback !== 'function') throw wrongType(kWhere, 'transactionSync', 1, 'function');
    const instance = this.#instance;
    if (!instance.container.actorClass.useSqlite) throw new Error('Durable Object is not backed by SQL.');
    const db = instance.db();
    native.syncBegin(db);
    instance.syncDepth++;
    const alarm = instance.alarmMark();
    let result: T;
    try {
      result = callback();
    } catch (error) {
      instance.syncDepth--;
      instance.kvChanges++;
      // The user's exception says more than one of the rollback.
      if (!instance.ended) {
        try {
          native.syncRollback(db);
          instance.rolledBack(alarm);
        } catch (rollbackError) {
          instance.storageThrew(rollbackError);
        }
      }
      throw error;
    }
    instance.syncDepth--;
    try {
      native.syncCommit(instance.db());
    } catch (error) {
      instance.storageThrew(error);
      throw error;
    }
    return result;
  }

  getCurrentBookmark(): Promise<string> {
    try {
      return getCurrentBookmark(this.#instance, () => this.sync());
    } catch (error) {
      return thrown(this.#instance, error);
    }
  }

  getBookmarkForTime(time: number | Date): Promise<string> {
    try {
      return getBookmarkForTime(this.#instance, time);
    } catch (error) {
      return thrown(this.#instance, error);
    }
  }

  onNextSessionRestoreBookmark(bookmark: string): Promise<string> {
    try {
      return onNextSessionRestoreBookmark(this.#instance, bookmark, () => this.sync());
    } catch (error) {
      return thrown(this.#instance, error);
    }
  }

  // Made on first look; ordinary properties from then on.
  get sql(): SqlStorage {
    const sql = makeSql(this.#instance);
    own(this, 'sql', sql);
    return sql;
  }
  set sql(value: unknown) {
    own(this, 'sql', value);
  }

  get kv(): SyncKvStorage {
    const kv = makeSyncKv(this.#instance);
    own(this, 'kv', kv);
    return kv;
  }
  set kv(value: unknown) {
    own(this, 'kv', value);
  }
}
setTag(DurableObjectStorage.prototype, 'DurableObjectStorage');

function own(storage: DurableObjectStorage, name: string, value: unknown): void {
  defineProperty(storage, name, { value, writable: true, enumerable: true, configurable: true });
}

export function makeStorage(instance: Instance): DurableObjectStorage {
  return new DurableObjectStorage(kInternal, instance);
}
