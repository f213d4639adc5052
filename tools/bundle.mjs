// bundle.mjs ENTRY OUTPUT: bundles the runtime's TypeScript into one classic script, with OUTPUT.map beside it.
//
// The script is one expression, a function: (__holdfastNative, __holdfastRequire, __holdfastConfig) => the entry's
// exports. Its modules see the three parameters as if they were globals (src/web/host.ts names them). Only `node:`
// modules may be imported from outside, through __holdfastRequire; everything else must be in the bundle.
import { build } from 'esbuild';

const [entry, output] = process.argv.slice(2);

await build({
  entryPoints: [entry],
  outfile: output,
  bundle: true,
  format: 'iife',
  globalName: '__holdfastRuntime',
  banner: { js: '(function (__holdfastNative, __holdfastRequire, __holdfastConfig) {"use strict";' },
  footer: { js: 'return __holdfastRuntime;})' },
  target: 'esnext',
  platform: 'neutral',
  charset: 'ascii', // V8 keeps it as one-byte characters, outside of its heap
  legalComments: 'none',
  sourcemap: 'external',
  logLevel: 'warning',
});
