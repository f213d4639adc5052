// node gtest_host.cjs ADDON [gtest flags]: runs the GoogleTest cases in an addon and exits as they end.
'use strict';
const path = require('node:path');
const [file, ...args] = process.argv.slice(2);
const addon = { exports: {} };
process.dlopen(addon, path.resolve(file));
process.exit(addon.exports.run(...args));
