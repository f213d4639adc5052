// What the host hands to the runtime, set once by runtime.ts before any other module of the bundle runs.
// esbuild's IIFE has these three names in scope as parameters of the function around it (tools/bundle.mjs).
import type { AsyncLocalStorage as NodeAsyncLocalStorage } from 'node:async_hooks';
import type { Config, Native } from './native.ts';

declare const __holdfastNative: Native;
declare const __holdfastRequire: (id: string) => any;
declare const __holdfastConfig: Config;

export const native: Native = __holdfastNative;
export const nodeRequire: (id: string) => any = __holdfastRequire;
export const config: Config = __holdfastConfig;

export const AsyncLocalStorage: typeof NodeAsyncLocalStorage = nodeRequire('node:async_hooks').AsyncLocalStorage;
