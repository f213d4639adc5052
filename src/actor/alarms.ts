// Alarms: the API (spec 6.1) and one run (6.3). When and how often a run is tried again is C++'s (alarm_scheduler.h).

import { type ErrorData, failure } from '../web/errors.ts';
import { native } from '../web/host.ts';
import { promiseResolve, promiseThen } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import { checkOptions, wrongType } from './arguments.ts';
import type { ActorEvent, AlarmRun, BreakOptions, Container } from './container.ts';
import { type HostTimer, cancelHostTimeout, hostTimeout } from './host_timer.ts';
import type { Instance } from './instance.ts';
import type { WriteOptions } from './storage.ts';

const kHandlerLimitMs = 15 * 60_000;
// What nanoseconds since 1970 can say in 64 bits: in the year 2262, whatever the text says.
const kLatestMs = 9223372036854;
const NativeDate = Date;

export function getAlarm(instance: Instance, where: string, options: unknown): number | null {
  checkOptions(where, 'getAlarm', 1, 'GetAlarmOptions', options);
  const db = instance.db();
  return instance.alarmDeletes ? null : native.alarmGet(db);
}

export function setAlarm(instance: Instance, where: string, time: unknown, options: WriteOptions | undefined): void {
  let at: number;
  if (time instanceof NativeDate) at = time.getTime();
  else if (typeof time === 'number') at = time;
  else throw wrongType(where, 'setAlarm', 1, 'date');
  checkOptions(where, 'setAlarm', 2, 'SetAlarmOptions', options);
  if (Number.isNaN(at) || !Number.isFinite(at)) {
    throw new TypeError('The value cannot be converted because it is not a valid Date.');
  }
  at = Math.trunc(at);
  if (at > kLatestMs) throw new TypeError("This API doesn't support dates after 2189.");
  if (at <= 0) throw new TypeError('setAlarm() cannot be called with an alarm time <= 0');
  if (instance.container.parent !== undefined) throw new Error('Facets currently cannot set alarms.');
  // In the constructor nothing is known of the class's handlers yet.
  if (instance.object !== undefined && instance.handler('alarm') === undefined) {
    throw new TypeError('Your Durable Object class must have an alarm() handler in order to call setAlarm()');
  }
  const commit = native.alarmSet(instance.db(), Math.max(at, NativeDate.now()));
  instance.alarmChanged();
  instance.wrote(commit, options?.allowUnconfirmed === true);
}

export function deleteAlarm(instance: Instance, where: string, options: WriteOptions | undefined): void {
  checkOptions(where, 'deleteAlarm', 1, 'SetAlarmOptions', options);
  const commit = native.alarmSet(instance.db(), null);
  instance.alarmChanged();
  instance.wrote(commit, options?.allowUnconfirmed === true);
}

type Outcome = 'ok' | 'cancelled' | 'retry' | 'retry-uncounted' | 'abandon';

// Objects that an alarm has constructed, and to which nothing else has happened since: a minute in which thousands of
// alarms are due must not keep thousands of objects in memory. Those that ran first go first.
const kWokenMax = 1000;
interface Woken {
  container: Container;
  instance: Instance;
  accepted: number;
}
let woken: Woken[] = [];
let sweeping = false;

function sweepWoken(): void {
  sweeping = false;
  const excess = woken.length - kWokenMax / 2;
  if (excess <= 0) return;
  const first = woken.slice(0, excess);
  woken = woken.slice(excess);
  for (const { container, instance, accepted } of first) container.evictUnused(instance, accepted);
}

function keepWoken(container: Container, instance: Instance): void {
  woken.push({ container, instance, accepted: container.accepted });
  if (woken.length <= kWokenMax || sweeping) return;
  sweeping = true;
  // Not in this turn: what it wrote is not committed yet.
  hostTimeout(0, sweepWoken);
}

class Run implements ActorEvent, AlarmRun {
  readonly #container: Container;
  readonly #scheduledTime: number;
  readonly #retryCount: number;
  #timer: HostTimer | undefined;
  #reported = false;
  #begun = false;
  // Of an object that is asleep or new: for nothing but this run.
  readonly #wakes: boolean;
  readonly #acceptedBefore: number;

  constructor(container: Container, scheduledTime: number, retryCount: number) {
    this.#container = container;
    this.#scheduledTime = scheduledTime;
    this.#retryCount = retryCount;
    this.#wakes = container.instance === undefined;
    this.#acceptedBefore = container.accepted;
  }

  #report(outcome: Outcome): void {
    if (this.#reported) return;
    this.#reported = true;
    cancelHostTimeout(this.#timer);
    const container = this.#container;
    if (container.alarmRun === this) container.alarmRun = undefined;
    const { instance } = container;
    if (instance !== undefined) instance.alarmDeletes = false;
    native.alarmDone(container.actorClass.ns, container.id, outcome);
    container.done(this);
    if (this.#wakes && container.accepted === this.#acceptedBefore + 1 && container.instance !== undefined) {
      keepWoken(container, container.instance);
    }
  }

  run(instance: Instance): void {
    this.#begun = true;
    let stored: number | null;
    try {
      stored = native.alarmGet(instance.db());
    } catch (error) {
      instance.storageThrew(error);
      this.#report('retry-uncounted');
      return;
    }
    // Another time was stored since this one was scheduled: run only what is due.
    if (stored !== this.#scheduledTime && (stored === null || stored > NativeDate.now())) {
      this.#report('cancelled');
      return;
    }
    const handler = instance.handler('alarm');
    if (handler === undefined) {
      native.log(
        'warn',
        'Attempted to run a scheduled alarm without a handler, did you remember to export an alarm() function?',
        instance.where,
      );
      this.#report('abandon');
      return;
    }
    instance.alarmDeletes = true;
    this.#timer = hostTimeout(kHandlerLimitMs, () => {
      this.#container.break(failure('Alarm exceeded its allowed execution time', {}), {});
    });
    const info = {
      retryCount: this.#retryCount,
      isRetry: this.#retryCount > 0,
      scheduledTime: this.#scheduledTime,
    };
    let result: unknown;
    try {
      result = handler.call(instance.object, info);
    } catch (error) {
      this.#failed(error);
      return;
    }
    promiseThen(
      promiseResolve(result),
      () => this.#succeeded(instance),
      (error) => this.#failed(error),
    );
  }

  #succeeded(instance: Instance): void {
    if (instance.ended || this.#reported) return;
    if (instance.alarmDeletes) {
      instance.alarmDeletes = false;
      try {
        instance.output.confirm(native.alarmSet(instance.db(), null));
      } catch (error) {
        instance.storageThrew(error);
        this.#report('retry-uncounted');
        return;
      }
    }
    // A broken gate ends in `broken`.
    instance.output.after(
      () => this.#report('ok'),
      () => {},
    );
  }

  #failed(error: unknown): void {
    if (this.#reported) return;
    reportException('alarm', error, this.#container.id);
    // What it wrote may be durable or not: the retry waits for that, so that it finds it.
    const { instance } = this.#container;
    if (instance === undefined) return;
    instance.alarmDeletes = false;
    instance.output.after(
      () => this.#report('retry'),
      () => {},
    );
  }

  // The object was reset in the middle of it.
  broken(options: BreakOptions): void {
    // What ends the object before its handler has begun, as its constructor may, is no failure of this run.
    const counts = this.#begun && options.infrastructure !== true && options.disconnected !== true;
    this.#report(options.abandonAlarm === true ? 'abandon' : counts ? 'retry' : 'retry-uncounted');
  }

  fail(_error: ErrorData): void {
    this.#report('retry');
  }
}

// Runtime.alarm, of an object that is here.
export function runAlarm(container: Container, scheduledTime: number, retryCount: number): void {
  const run = new Run(container, scheduledTime, retryCount);
  container.alarmRun = run;
  container.accept(run);
}
