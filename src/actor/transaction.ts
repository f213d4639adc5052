// storage.transaction(): an explicit transaction in a critical section (spec 3.6). Nested ones are savepoints.

import { flag } from '../web/compat.ts';
import { native } from '../web/host.ts';
import { promiseReject, promiseResolve, setTag, withResolvers } from '../web/primordials.ts';
import { deleteAlarm, getAlarm, setAlarm } from './alarms.ts';
import type { AlarmRun } from './container.ts';
import type { Instance } from './instance.ts';
import type { ListOptions } from './list_options.ts';
import { type ReadOptions, type WriteOptions, deleteValues, getValue, listValues, mapOf, putValues } from './storage.ts';

const kWhere = 'DurableObjectTransaction';
const kInternal = Symbol('internal');
const rejects = flag('capture_async_api_throws');

type Stage = 'open' | 'rolled back' | 'committed';

let rollBack: (transaction: DurableObjectTransaction) => void;
let setStage: (transaction: DurableObjectTransaction, stage: Stage) => void;
let markAlarm: (transaction: DurableObjectTransaction) => void;
let stageOf: (transaction: DurableObjectTransaction) => Stage;

export class DurableObjectTransaction {
  readonly #instance: Instance;
  // The run of an alarm that was to delete it when the transaction began.
  #alarm: AlarmRun | undefined;
  #stage: Stage = 'open';

  static {
    rollBack = (transaction) => transaction.#rollBack();
    setStage = (transaction, stage) => {
      transaction.#stage = stage;
    };
    stageOf = (transaction) => transaction.#stage;
    markAlarm = (transaction) => {
      transaction.#alarm = transaction.#instance.alarmMark();
    };
  }

  constructor(token: symbol, instance: Instance) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#instance = instance;
  }

  #rollBack(): void {
    this.#stage = 'rolled back';
    const { transactions } = this.#instance;
    if (transactions[transactions.length - 1] === this) transactions.pop();
    if (transactions.length === 0) this.#instance.transactionConfirmed = false;
    this.#instance.kvChanges++;
    native.transactionRollback(this.#instance.db());
    this.#instance.rolledBack(this.#alarm);
  }

  #check(operation: string): void {
    if (this.#stage === 'committed') {
      throw new Error(
        `Cannot call ${operation}() on transaction that has already committed: did you move \`txn\` outside of the closure?`,
      );
    }
    if (this.#stage === 'rolled back') throw new Error(`Cannot ${operation}() on rolled back transaction`);
  }

  #run<T>(operation: string, run: (instance: Instance) => T): Promise<T> {
    try {
      this.#check(operation);
      return promiseResolve(run(this.#instance)) as Promise<T>;
    } catch (error) {
      this.#instance.storageThrew(error);
      if (!rejects) throw error;
      return promiseReject(error);
    }
  }

  get(...args: unknown[]): Promise<unknown> {
    return this.#run('get', (instance) => getValue(instance, kWhere, args));
  }

  list(options: ListOptions | undefined = undefined): Promise<Map<string, unknown>> {
    return this.#run('list', (instance) => mapOf(listValues(instance, kWhere, options)));
  }

  put(...args: unknown[]): Promise<void> {
    return this.#run('put', (instance) => putValues(instance, kWhere, args));
  }

  delete(...args: unknown[]): Promise<boolean | number> {
    return this.#run('delete', (instance) => deleteValues(instance, kWhere, args));
  }

  deleteAll(): Promise<void> {
    const error = new Error('Cannot call deleteAll() within a transaction');
    if (!rejects) throw error;
    return promiseReject(error);
  }

  getAlarm(options: ReadOptions | undefined = undefined): Promise<number | null> {
    return this.#run('getAlarm', (instance) => getAlarm(instance, kWhere, options));
  }

  setAlarm(time: number | Date, options: WriteOptions | undefined = undefined): Promise<void> {
    return this.#run('setAlarm', (instance) => setAlarm(instance, kWhere, time, options));
  }

  deleteAlarm(options: WriteOptions | undefined = undefined): Promise<void> {
    return this.#run('deleteAlarm', (instance) => deleteAlarm(instance, kWhere, options));
  }

  // May be called more than once.
  rollback(): void {
    if (this.#stage === 'rolled back') return;
    this.#check('rollback');
    const { transactions } = this.#instance;
    if (transactions[transactions.length - 1] !== this) {
      throw new Error('Cannot roll back an outer transaction while a nested transaction is still running.');
    }
    this.#rollBack();
  }
}
setTag(DurableObjectTransaction.prototype, 'DurableObjectTransaction');

// Ends well or not at all: a database that cannot commit resets the object.
function commit(instance: Instance, transaction: DurableObjectTransaction): void {
  const { transactions } = instance;
  setStage(transaction, 'committed');
  transactions.pop();
  const number = native.transactionCommit(instance.db());
  if (transactions.length > 0) return;
  if (instance.transactionConfirmed) instance.output.confirm(number);
  instance.transactionConfirmed = false;
}

export function runTransaction<T>(
  instance: Instance,
  callback: (transaction: DurableObjectTransaction) => T | PromiseLike<T>,
): Promise<T> {
  const { promise, resolve, reject } = withResolvers<T>();
  const transaction = new DurableObjectTransaction(kInternal, instance);
  let begun = false;
  instance.inSection<T>(
    () => {
      native.transactionBegin(instance.db());
      begun = true;
      markAlarm(transaction);
      instance.transactions.push(transaction);
      return callback(transaction);
    },
    (value) => {
      try {
        if (stageOf(transaction) === 'open') commit(instance, transaction);
      } catch (error) {
        instance.storageThrew(error);
        reject(error);
        return;
      }
      resolve(value);
    },
    (error, section) => {
      try {
        if (begun && stageOf(transaction) === 'open') rollBack(transaction);
      } catch (rollbackError) {
        instance.storageThrew(rollbackError);
      }
      instance.storageThrew(error);
      if (instance.ended) return;
      reject(error);
      section.finish();
      instance.endIo();
    },
  );
  return promise;
}
