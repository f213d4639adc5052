// Which of Cloudflare's switches are on for this Worker. flag() is asked where one makes a difference.

import { allFlags, checkFlags, resolveFlags } from './compat_table.ts';
import { config } from './host.ts';

const active = resolveFlags(config.compatibilityDate, config.compatibilityFlags);

// Whether a flag (by its enabling name) is on for this Worker.
export function flag(name: string): boolean {
  return active.has(name);
}

// For `Cloudflare.compatibilityFlags`.
export function flagReport(): Record<string, boolean> {
  const report: Record<string, boolean> = Object.create(null);
  for (const { enable } of allFlags) report[enable] = active.has(enable);
  return report;
}

// Called while the isolate starts: a deploy with wrong flags must not come up. The host tells this error by its name
// from a failure of the runtime: the deploy is to blame.
export function requireValidFlags(): void {
  const problems = checkFlags(config.compatibilityDate, config.compatibilityFlags);
  if (problems.length === 0) return;
  const error = new Error(problems.join('\n'));
  error.name = 'CompatibilityError';
  throw error;
}
