// What is due when, in order: timers fire by their time, and those of the same time as they were set. One timer of Node's
// stands for all: Node keeps a list for each delay, and when it is late these lists overtake each other.

import { monotonicMs } from './host_modules.ts';
import { runAsHost } from './io.ts';
import { arrayPush } from './primordials.ts';

const nodeSetTimeout = setTimeout;
const nodeClearTimeout = clearTimeout;
const { ceil, max } = Math;

export interface Due {
  // Place in the queue; -1: not in it.
  place: number;
  due(): void;
}

// A heap: the earliest first. `order` tells apart those of one time.
interface Entry {
  at: number;
  order: number;
  what: Due;
}
const heap: Entry[] = [];
let orders = 0;
let armed: NodeJS.Timeout | undefined;
let armedAt = Infinity;

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function put(entry: Entry, place: number): void {
  heap[place] = entry;
  entry.what.place = place;
}

function up(entry: Entry, from: number): void {
  let place = from;
  while (place > 0) {
    const parent = (place - 1) >> 1;
    if (!isBefore(entry, heap[parent]!)) break;
    put(heap[parent]!, place);
    place = parent;
  }
  put(entry, place);
}

function down(entry: Entry, from: number): void {
  let place = from;
  for (;;) {
    let child = 2 * place + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, entry)) break;
    put(heap[child]!, place);
    place = child;
  }
  put(entry, place);
}

// `what.due()` is called outside a turn, once, `delayMs` from now or a little later.
export function addDue(what: Due, delayMs: number): void {
  const entry = { at: monotonicMs() + delayMs, order: orders++, what };
  arrayPush(heap, entry);
  up(entry, heap.length - 1);
  if (entry.at < armedAt) arm();
}

export function removeDue(what: Due): void {
  const { place } = what;
  if (place < 0) return;
  what.place = -1;
  const last = heap[heap.length - 1]!;
  heap.length--;
  if (last.what === what) return;
  if (place > 0 && isBefore(last, heap[(place - 1) >> 1]!)) up(last, place);
  else down(last, place);
}

function arm(): void {
  if (armed !== undefined) nodeClearTimeout(armed);
  armed = undefined;
  armedAt = Infinity;
  const first = heap[0];
  if (first === undefined) return;
  armedAt = first.at;
  // Node's timer must not keep a frame; whoever is due sets its own.
  armed = runAsHost(() => nodeSetTimeout(fire, max(1, ceil(first.at - monotonicMs()))));
}

function fire(): void {
  armed = undefined;
  armedAt = Infinity;
  const time = monotonicMs();
  for (let first = heap[0]; first !== undefined && first.at <= time; first = heap[0]) {
    removeDue(first.what);
    first.what.due();
  }
  if (armed === undefined) arm();
}
