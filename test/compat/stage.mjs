// What the cases about gates, life, sockets and alarms share: objects of class Stage (gate_worker.mjs), whose handlers
// are parts of the case that an object's name begins with.

export const pause = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));

// An error as one line: class, text, and the properties that say whose it is.
export function told(error) {
  if (!(error instanceof Error)) return `!! ${typeof error} ${String(error)}`;
  const marks = ['remote', 'retryable', 'overloaded', 'durableObjectReset'].filter((key) => error[key] !== undefined);
  const others = Object.keys(error).filter((key) => !marks.includes(key) && !['durableObjectId', 'code', 'name', 'message', 'stack'].includes(key));
  return `!${error.name}: ${error.message}${marks.length > 0 ? ` {${marks.map((key) => (error[key] === true ? key : `${key}=${error[key]}`)).join(' ')}}` : ''}${others.length > 0 ? ` +${others.join()}` : ''}`;
}

// What a function, or a promise, came to.
export async function outcome(what) {
  try {
    // A promise of RPC is a function, too.
    const value = await (typeof what === 'function' && typeof what.then !== 'function' ? what() : what);
    return value === undefined ? '<undefined>' : value;
  } catch (error) {
    return told(error);
  }
}

// What each function came to at once: what it returned (a promise counts as that), or threw.
export function outcomes(...functions) {
  return functions.map((f) => {
    try {
      const value = f();
      if (value instanceof Promise) {
        value.catch(() => {});
        return '<promise>';
      }
      return value === undefined ? '<undefined>' : value;
    } catch (error) {
      return told(error);
    }
  });
}

// Resolves when `condition` holds; false when it did not within the time.
export async function until(condition, ms = 8000) {
  for (const end = Date.now() + ms; Date.now() < end; await pause(10)) {
    if (await condition()) return true;
  }
  return false;
}

// A table of cases. `staged(name, main, parts)`: main gets `object(suffix)`, an object of class Stage for this case, and
// what every case gets. `alone(name, body)`: the body runs inside such an object.
export function table() {
  const definitions = {};
  const staged = (name, main, parts = {}) => {
    definitions[name] = {
      main: (given) => main({ ...given, object: (suffix = '') => given.env.STAGE.getByName(`${name}#${suffix}`) }),
      ...parts,
    };
  };
  const alone = (name, body, parts = {}) => staged(name, ({ object }) => outcome(() => object().run('body')), { body, ...parts });
  return { definitions, staged, alone };
}

// The classes of gate_worker.mjs, for the runner.
export const stageClasses = {
  Stage: { binding: 'STAGE' },
  Legacy: { binding: 'LEGACY' },
  Bare: { binding: 'BARE' },
  Shapes: { binding: 'SHAPES_OBJECT' },
  Heir: { binding: 'HEIR' },
  Getters: { binding: 'GETTERS' },
  ReturnsOther: { binding: 'RETURNS_OTHER' },
};
