// ctx.storage.sql: SqlStorage and its cursors (spec 5.1 to 5.3).

import { native } from '../web/host.ts';
import type { SqlBinding, SqlStart, SqlValue } from '../web/native.ts';
import {
  NativeArrayBuffer,
  NativeUint8Array,
  defineProperty,
  hostQueueMicrotask,
  isView,
  setPrototypeOf,
  setTag,
} from '../web/primordials.ts';
import type { Instance } from './instance.ts';
import { wrongType } from './arguments.ts';

const kNotSqlite =
  'SQL is not enabled for this Durable Object class. To enable it, change `new_classes` to `new_sqlite_classes` within ' +
  "the 'migrations' field in your wrangler.jsonc or wrangler.toml file. If using workerd directly,set `enableSql = " +
  'true` in your workerd config for the class. Note that this change cannot be made after the class is already deployed ' +
  'to production.';
export const kDatabaseDeleted = 'SQLite query was canceled because the database was deleted.';
const kInternal = Symbol('internal');
const iteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));

type Row = Record<string, SqlValue>;

// Abandoned before their end. (Most cursors are read to the end in the turn that made them and never get here.)
const abandoned = new FinalizationRegistry<number>((cursor) => native.cursorClose(cursor));

// The position that a cursor and its iterators share. One row is read ahead.
class Position {
  readonly instance: Instance;
  readonly columns: string[];
  cursor: number;
  row: SqlValue[] | undefined;
  rowsRead: number;
  rowsWritten: number;
  readonly #plain: boolean; // no column is called __proto__
  readonly #deletedAll: number;

  constructor(instance: Instance, start: SqlStart) {
    this.instance = instance;
    this.columns = start.columns;
    this.cursor = start.cursor;
    this.row = start.row;
    this.rowsRead = start.rowsRead;
    this.rowsWritten = start.rowsWritten;
    this.#deletedAll = instance.deletedAll;
    this.#plain = !start.columns.includes('__proto__');
    if (this.cursor !== 0) {
      hostQueueMicrotask(() => {
        if (this.cursor !== 0) abandoned.register(this, this.cursor, this);
      });
    }
  }

  // A cursor that had more to give when deleteAll() took it away says so for ever.
  #check(): void {
    if (this.cursor !== 0 && this.instance.deletedAll !== this.#deletedAll) throw new Error(kDatabaseDeleted);
  }

  // Gives up what has not been read.
  end(): void {
    this.row = undefined;
    if (this.cursor !== 0) this.#ended();
  }

  #ended(): void {
    this.count();
    native.cursorClose(this.cursor);
    abandoned.unregister(this);
    this.cursor = 0;
  }

  count(): void {
    if (this.cursor === 0) return;
    this.#check();
    [this.rowsRead, this.rowsWritten] = native.cursorCounters(this.cursor);
  }

  // The current row; steps to the next one.
  take(): SqlValue[] | undefined {
    this.#check();
    const { row } = this;
    if (row === undefined || this.cursor === 0) {
      this.row = undefined;
      return row;
    }
    try {
      this.row = native.cursorNext(this.cursor);
    } catch (error) {
      this.row = undefined;
      this.#ended();
      this.instance.storageThrew(error);
      throw error;
    }
    if (this.row === undefined) this.#ended();
    return row;
  }

  takeAll(): SqlValue[][] {
    this.#check();
    const { row } = this;
    this.row = undefined;
    if (row === undefined) return [];
    if (this.cursor === 0) return [row];
    let rest: SqlValue[][];
    try {
      rest = native.cursorAll(this.cursor);
    } catch (error) {
      this.#ended();
      this.instance.storageThrew(error);
      throw error;
    }
    this.#ended();
    rest.unshift(row);
    return rest;
  }

  toObject(values: SqlValue[]): Row {
    const { columns } = this;
    const row: Row = {};
    for (let i = 0; i < columns.length; i++) {
      if (this.#plain) row[columns[i]!] = values[i]!;
      else defineProperty(row, columns[i]!, { value: values[i], writable: true, enumerable: true, configurable: true });
    }
    return row;
  }
}

let positionOf: (cursor: Cursor) => Position;

export class Cursor {
  readonly #position: Position;

  static {
    positionOf = (cursor) => cursor.#position;
  }

  constructor(token: symbol, position: Position) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#position = position;
  }

  next(): { done: boolean; value: Row | undefined } {
    const row = this.#position.take();
    return row === undefined ? { done: true, value: undefined } : { done: false, value: this.#position.toObject(row) };
  }

  toArray(): Row[] {
    const position = this.#position;
    const rows = position.takeAll();
    const objects: Row[] = [];
    for (let i = 0; i < rows.length; i++) objects[i] = position.toObject(rows[i]!);
    return objects;
  }

  one(): Row {
    const position = this.#position;
    const row = position.take();
    if (row === undefined) throw new Error('Expected exactly one result from SQL query, but got no results.');
    if (position.row !== undefined) {
      position.end();
      throw new Error('Expected exactly one result from SQL query, but got multiple results.');
    }
    return position.toObject(row);
  }

  raw(): RawIterator {
    return new RawIterator(kInternal, this);
  }

  get columnNames(): string[] {
    return this.#position.columns;
  }

  get rowsRead(): number {
    this.#position.count();
    return this.#position.rowsRead;
  }

  get rowsWritten(): number {
    this.#position.count();
    return this.#position.rowsWritten;
  }

  [Symbol.iterator](): RowIterator {
    return new RowIterator(kInternal, this);
  }
}
setTag(Cursor.prototype, 'Cursor');

class RowIterator {
  readonly #position: Position;
  constructor(token: symbol, cursor: Cursor) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#position = positionOf(cursor);
  }
  next(): { done: boolean; value: Row | undefined } {
    const row = this.#position.take();
    return row === undefined ? { done: true, value: undefined } : { done: false, value: this.#position.toObject(row) };
  }
}
setPrototypeOf(RowIterator.prototype, iteratorPrototype);
setTag(RowIterator.prototype, 'RowIterator');

class RawIterator {
  readonly #position: Position;
  constructor(token: symbol, cursor: Cursor) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#position = positionOf(cursor);
  }
  next(): { done: boolean; value: SqlValue[] | undefined } {
    const row = this.#position.take();
    return row === undefined ? { done: true, value: undefined } : { done: false, value: row };
  }
}
setPrototypeOf(RawIterator.prototype, iteratorPrototype);
setTag(RawIterator.prototype, 'RawIterator');

// Web IDL's union of bytes, text and number: what is none of them becomes text (spec 5.3).
function toBinding(value: unknown): SqlBinding {
  switch (typeof value) {
    case 'string':
    case 'number':
      return value;
    case 'undefined':
      return null;
    case 'bigint':
      throw new TypeError('Cannot convert a BigInt value to a number');
    case 'object':
      if (value === null) return null;
      if (value instanceof NativeArrayBuffer) return value;
      if (isView(value)) return new NativeUint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength);
      return `${value as unknown as string}`;
    default:
      return `${value as string}`;
  }
}

export class SqlStorage {
  readonly #instance: Instance;

  constructor(token: symbol, instance: Instance) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#instance = instance;
  }

  exec(...args: unknown[]): Cursor {
    const instance = this.#instance;
    const [query, ...bindings] = args;
    if (args.length === 0) throw wrongType('SqlStorage', 'exec', 1, 'String');
    for (let i = 0; i < bindings.length; i++) bindings[i] = toBinding(bindings[i]);
    if (!instance.container.actorClass.useSqlite) throw new Error(kNotSqlite);
    let start: SqlStart;
    try {
      start = native.sqlExec(instance.db(), `${query as string}`, bindings as SqlBinding[]);
    } catch (error) {
      // Statements before the one that failed may have written.
      if (!instance.ended && instance.hasDatabase) {
        instance.storageThrew(error);
        if (!instance.ended) instance.wrote(native.pendingCommit(instance.db()), false);
      }
      throw error;
    }
    instance.wrote(start.commit, false);
    return new Cursor(kInternal, new Position(instance, start));
  }

  get databaseSize(): number {
    if (!this.#instance.container.actorClass.useSqlite) throw new Error(kNotSqlite);
    return native.databaseSize(this.#instance.db());
  }

  get Cursor(): typeof Cursor {
    return Cursor;
  }

  get Statement(): Function {
    return Statement;
  }
}
setTag(SqlStorage.prototype, 'SqlStorage');

class Statement {
  constructor() {
    throw new TypeError('Illegal constructor');
  }
}

export function makeSql(instance: Instance): SqlStorage {
  return new SqlStorage(kInternal, instance);
}
