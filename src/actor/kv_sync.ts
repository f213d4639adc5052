// ctx.storage.kv: the synchronous key-value API (spec 4.7), for classes with SQLite storage.

import { native } from '../web/host.ts';
import type { ListArguments } from '../web/native.ts';
import { setPrototypeOf, setTag } from '../web/primordials.ts';
import { wrongType } from './arguments.ts';
import type { Instance } from './instance.ts';
import { type ListOptions, listArguments } from './list_options.ts';
import { kDatabaseDeleted } from './sql.ts';
import { deleteValues, putOne } from './storage.ts';

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
const kNone: readonly string[] = [];
const kKey: readonly string[] = ['string'];
const kKeyAndValue: readonly string[] = ['string', 'Value'];
// Read at once, when nothing is written meanwhile.
const kEntriesAtFirst = 8;
const kEntriesMax = 512;
const kBytesMax = 256 * 1024;

const iteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));

type Entry = { done: false; value: [string, unknown] } | { done: true; value: undefined };

let isCurrent: (kv: SyncKvStorage, list: number) => boolean;

// Sees what is written while it is read, as a cursor in the table would.
class ListIterator {
  readonly #instance: Instance;
  readonly #kv: SyncKvStorage;
  readonly #number: number;
  readonly #deletedAll: number;
  readonly #args: ListArguments;
  #left: number; // of the user's limit
  #wanted = kEntriesAtFirst;
  #changes = -1;
  #flat: unknown[] = [];
  #at = 0;
  #last: string | undefined;
  #done = false;

  constructor(token: symbol, instance: Instance, kv: SyncKvStorage, number: number, args: ListArguments) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#instance = instance;
    this.#kv = kv;
    this.#number = number;
    this.#deletedAll = instance.deletedAll;
    this.#args = args;
    this.#left = args.limit ?? Infinity;
    this.#fill();
    this.#done = this.#flat.length === 0;
  }

  #fill(): void {
    const args = this.#args;
    if (this.#last !== undefined) {
      if (args.reverse) {
        args.end = this.#last;
      } else {
        args.start = undefined;
        args.startAfter = this.#last;
      }
    }
    args.limit = Math.min(this.#wanted, this.#left);
    args.bytesMax = kBytesMax;
    this.#wanted = Math.min(this.#wanted * 4, kEntriesMax);
    const instance = this.#instance;
    try {
      this.#flat = native.kvList(instance.db(), args);
    } catch (error) {
      instance.storageThrew(error);
      throw error;
    }
    this.#changes = instance.kvChanges;
    this.#at = 0;
  }

  next(): Entry {
    if (this.#done) return { done: true, value: undefined };
    if (!isCurrent(this.#kv, this.#number)) throw new Error(kInvalidated);
    if (this.#instance.deletedAll !== this.#deletedAll) throw new Error(kDatabaseDeleted);
    // The first entry was read when the list began, as a cursor does.
    if (this.#left > 0 && this.#last !== undefined) {
      const changed = this.#changes !== this.#instance.kvChanges;
      // Whoever writes at every step shall not have hundreds of entries read at every step.
      if (changed) this.#wanted = kEntriesAtFirst;
      if (changed || this.#at >= this.#flat.length) this.#fill();
    }
    const key = this.#flat[this.#at] as string;
    // The second case: a key that is no UTF-8, written by another program, and therefore not found where it is.
    if (this.#left <= 0 || this.#at >= this.#flat.length || key === this.#last) {
      this.#done = true;
      this.#flat = [];
      return { done: true, value: undefined };
    }
    const value: [string, unknown] = [key, this.#flat[this.#at + 1]];
    this.#at += 2;
    this.#left--;
    this.#last = key;
    return { done: false, value };
  }
}
setPrototypeOf(ListIterator.prototype, iteratorPrototype);
setTag(ListIterator.prototype, 'ListIterator');

export class SyncKvStorage {
  readonly #instance: Instance;
  #lists = 0;

  static {
    isCurrent = (kv, list) => kv.#lists === list;
  }

  constructor(token: symbol, instance: Instance) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#instance = instance;
  }

  // `parameters`: how many there must be, and what the missing one should have been.
  #run<T>(method: string, args: readonly unknown[], parameters: readonly string[], operation: (instance: Instance, key: string) => T): T {
    const instance = this.#instance;
    if (args.length < parameters.length) throw wrongType(kWhere, method, args.length + 1, parameters[args.length]!);
    if (!instance.container.actorClass.useSqlite) throw new Error(kNotSqlite);
    try {
      return operation(instance, `${args[0] as string}`);
    } catch (error) {
      instance.storageThrew(error);
      throw error;
    }
  }

  get(...args: unknown[]): unknown {
    return this.#run('get', args, kKey, (instance, key) => native.kvGet(instance.db(), key));
  }

  put(...args: unknown[]): void {
    this.#run('put', args, kKeyAndValue, (instance, key) => putOne(instance, key, args[1], false));
  }

  delete(...args: unknown[]): boolean {
    return this.#run('delete', args, kKey, (instance, key) => deleteValues(instance, kWhere, [key]) as boolean);
  }

  list(options: ListOptions | undefined = undefined): ListIterator {
    return this.#run('list', kNone, kNone, (instance) => {
      const args = listArguments(kWhere, options);
      return new ListIterator(kInternal, instance, this, ++this.#lists, args);
    });
  }
}
setTag(SyncKvStorage.prototype, 'SyncKvStorage');

export function makeSyncKv(instance: Instance): SyncKvStorage {
  return new SyncKvStorage(kInternal, instance);
}
