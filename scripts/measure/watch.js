// The asynchronous calls of the native addon, heard of as they are made.
const { at } = require('../lib/paths.js');

/** The very object that the library calls. */
const native = require('node-gyp-build')(at());

/** Tells of every call: `enter(name)` may return what to do at its end. */
function watch(enter) {
  for (const [name, call] of Object.entries(native)) {
    if (typeof call !== 'function') continue;
    native[name] = (...args) => {
      const result = call(...args);
      return result instanceof Promise ? result.finally(enter(name)) : result;
    };
  }
}

module.exports = { native, watch };
