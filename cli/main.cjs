// What the Node host runs: loads the server and hands over. The exit code is the server's.
'use strict';
const path = require('node:path');

const addon = { exports: {} };
process.dlopen(addon, path.join(__dirname, 'holdfast.node'));
const { main, signal } = addon.exports;

// Node turns a signal into an event of its loop, so that the server is told outside of any signal handler. What the
// first and the second one mean is the server's to say.
process.on('SIGTERM', signal);
process.on('SIGINT', signal);
process.on('SIGHUP', signal);

// The second: how to start this very process again.
Promise.resolve(main(process.argv.slice(2), [process.execPath, ...process.execArgv, ...process.argv.slice(1)])).then(
  (code) => process.exit(code),
  (error) => {
    console.error('holdfast:', error);
    process.exit(70); // EX_SOFTWARE: the server answers with a code, also when it could not start
  },
);
