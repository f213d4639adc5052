// A slow clock for what is looked at after whole seconds. One timer for all; none while nothing waits, and then the clock
// stands. (Tests on a real server shorten its seconds: Config.secondMs.)

import { config } from '../web/host.ts';
import { SafeMap, SafeSet } from '../web/primordials.ts';
import { hostTimeout } from './host_timer.ts';

// Seconds since the start that the clock has run.
export let second = 0;

export interface Looked {
  // Looked at when it was due. undefined: nothing more to do, otherwise when to look again.
  look(): number | undefined;
}

// Told each second while it is in here.
export const everySecond = new SafeSet<() => void>();

const kSecondMs = config.secondMs;
const due = new SafeMap<number, Looked[]>();
let ticking = false;

export function lookAt(thing: Looked, at: number): void {
  const bucket = due.get(at);
  if (bucket === undefined) due.set(at, [thing]);
  else bucket.push(thing);
  startTicking();
}

export function startTicking(): void {
  if (ticking) return;
  ticking = true;
  hostTimeout(kSecondMs, tick);
}

function tick(): void {
  second++;
  const bucket = due.get(second);
  due.delete(second);
  if (bucket !== undefined) {
    for (let i = 0; i < bucket.length; i++) {
      const thing = bucket[i]!;
      const again = thing.look();
      if (again !== undefined) lookAt(thing, again);
    }
  }
  everySecond.forEach((told) => told());
  ticking = due.size > 0 || everySecond.size > 0;
  if (ticking) hostTimeout(kSecondMs, tick);
}
