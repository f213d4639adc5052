// What the Node host runs: loads the server and hands over. The exit code is the server's.
'use strict';
const path = require('node:path');

const addon = { exports: {} };
process.dlopen(addon, path.join(__dirname, 'holdfast.node'));
// The first signal drains, the second ends the process; C++ keeps count.
for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => addon.exports.signal());
Promise.resolve(addon.exports.main(process.argv.slice(2))).then(
  (code) => process.exit(code),
  (error) => {
    console.error('holdfast:', error);
    process.exit(70); // EX_SOFTWARE: the server never rejects; it answers with a code
  },
);
