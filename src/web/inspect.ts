// How console.log shows our classes: their properties are accessors, which Node's inspector would not show.

import { defineProperty } from './primordials.ts';

const kInspect = Symbol.for('nodejs.util.inspect.custom');

type Inspect = (value: unknown, options: object) => string;

// `view` makes what is shown of an instance, after the name.
export function showAs(prototype: object, view: (self: any) => [name: string, shown: unknown]): void {
  defineProperty(prototype, kInspect, {
    value(this: unknown, depth: number, options: object, inspect: Inspect): unknown {
      try {
        const [name, shown] = view(this);
        if (depth < 0) return `[${name}]`;
        return `${name} ${inspect(shown, { ...options, depth: depth === null ? null : depth })}`;
      } catch {
        return this; // the prototype itself
      }
    },
    writable: true,
    configurable: true,
  });
}

export function showProperties(prototype: object, name: string, keys: readonly string[]): void {
  showAs(prototype, (self: Record<string, unknown>) => {
    const shown: Record<string, unknown> = {};
    for (const key of keys) shown[key] = self[key];
    return [name, shown];
  });
}
