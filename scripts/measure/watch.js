// The asynchronous calls of the native addon, heard of as they are made.
const { at } = require('../lib/paths.js');

/** The very object that the library calls. */
const native = require('node-gyp-build')(at());

/** Tells of every call of `object`, those of solvers too: `enter(name)` may return what to do at its end. */
function watch(enter, object = native, prefix = '', methods = object) {
  for (const [name, { value: call }] of Object.entries(Object.getOwnPropertyDescriptors(methods))) {
    if (typeof call !== 'function' || name === 'constructor') continue;
    // Its methods are the prototype's, which cannot be written to: the solver gets its own.
    const value = function (...args) {
      const result = call.apply(this, args);
      if (!(result instanceof Promise)) return result;
      const leave = enter(prefix + name);
      return result.finally(leave).then((made) => {
        if (name === 'createSolver') watch(enter, made, 'solver.', Object.getPrototypeOf(made));
        return made;
      });
    };
    Object.defineProperty(object, name, { value });
  }
}

module.exports = { native, watch };
