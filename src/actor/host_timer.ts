// Timers of the runtime itself: their callbacks run outside turns and belong to no context.

import { nodeRequire } from '../web/host.ts';
import { runAsHost } from '../web/io.ts';

type NodeTimers = typeof import('node:timers');
const { setTimeout, clearTimeout } = nodeRequire('node:timers') as NodeTimers;

export type HostTimer = NodeJS.Timeout;

export function hostTimeout(delayMs: number, run: () => void): HostTimer {
  return runAsHost(() => setTimeout(run, delayMs));
}

export function cancelHostTimeout(timer: HostTimer | undefined): void {
  if (timer !== undefined) clearTimeout(timer);
}
