// Exceptions that nobody caught, on their way to the log.

import { errorForLog } from './errors.ts';
import { native } from './host.ts';
import { currentWhere } from './io.ts';
import { mappedStack } from './source_maps.ts';

// `event`: during what it was thrown ("timer", "waitUntil", ...).
export function reportException(event: string, error: unknown, where?: string): void {
  const { name, message, stack } = errorForLog(error);
  native.logException(event, name, message, mappedStack(stack), where ?? currentWhere());
}
