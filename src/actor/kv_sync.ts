// ctx.storage.kv: the synchronous key-value API (spec 4.7), for classes with SQLite storage.

import { objectCreate, setTag } from '../web/primordials.ts';
import type { Instance } from './instance.ts';
import type { ListOptions } from './list_options.ts';
import { deleteValues, getValue, listValues, putOne, wrongType } from './storage.ts';

const kNotSqlite =
  "The storage.kv (synchronous KV) API is only available for SQLite-backed Durable Objects, but this object's " +
  'namespace is not declared to use SQLite. You can use the older, asyncronous interface via methods of `storage` ' +
  'itself (e.g. `storage.get()`). Alternatively, to enable SQLite, change `new_classes` to `new_sqlite_classes` within ' +
  "the 'migrations' field in your wrangler.jsonc or wrangler.toml file. If using workerd directly, set `enableSql = " +
  'true` in your workerd config for the class. Note that this change cannot be made after the class is already deployed ' +
  'to production.';
const kInvalidated =
  'kv.list() iterator was invalidated because a new call to kv.list() was started. Only one kv.list() iterator can ' +
  'exist at a time.';
const kWhere = 'SyncKvStorage';
const kInternal = Symbol('internal');

const iteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));

export class SyncKvStorage {
  readonly #instance: Instance;
  #lists = 0;

  constructor(token: symbol, instance: Instance) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#instance = instance;
  }

  #run<T>(operation: (instance: Instance) => T): T {
    const instance = this.#instance;
    if (!instance.container.actorClass.useSqlite) throw new Error(kNotSqlite);
    try {
      return operation(instance);
    } catch (error) {
      instance.storageThrew(error);
      throw error;
    }
  }

  get(key: string): unknown {
    return this.#run((instance) => {
      if (key === undefined) throw wrongType(kWhere, 'get', 1, 'string');
      return getValue(instance, kWhere, `${key}`);
    });
  }

  put(key: string, value: unknown): void {
    this.#run((instance) => {
      if (key === undefined) throw wrongType(kWhere, 'put', 1, 'string');
      putOne(instance, `${key}`, value, false);
    });
  }

  delete(key: string): boolean {
    return this.#run((instance) => {
      if (key === undefined) throw wrongType(kWhere, 'delete', 1, 'string');
      return deleteValues(instance, kWhere, `${key}`, undefined) as boolean;
    });
  }

  list(options: ListOptions | undefined = undefined): IterableIterator<[string, unknown]> {
    const flat = this.#run((instance) => listValues(instance, kWhere, options));
    const mine = ++this.#lists;
    let at = 0;
    const iterator = objectCreate(iteratorPrototype) as IterableIterator<[string, unknown]>;
    iterator.next = () => {
      if (mine !== this.#lists) throw new Error(kInvalidated);
      if (at >= flat.length) return { done: true, value: undefined };
      const entry: [string, unknown] = [flat[at] as string, flat[at + 1]];
      at += 2;
      return { done: false, value: entry };
    };
    return iterator;
  }
}
setTag(SyncKvStorage.prototype, 'SyncKvStorage');

export function makeSyncKv(instance: Instance): SyncKvStorage {
  return new SyncKvStorage(kInternal, instance);
}
