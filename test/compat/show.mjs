// What a case saw, as JSON that tells apart what JSON alone would not. No part of it may differ between two right runtimes.

// A value and all that is in it. A part that was shown already is named by its place, so that cycles and identity show.
export function look(value, seen = new Map(), place = '$') {
  switch (typeof value) {
    case 'undefined':
      return '<undefined>';
    case 'number':
      return Object.is(value, -0) ? '<-0>' : Number.isFinite(value) ? value : `<${value}>`;
    case 'bigint':
      return `<${value}n>`;
    case 'symbol':
      return `<${String(value)}>`;
    case 'string':
      return value.length > 200 ? `<${value.length} chars, ${value.slice(0, 5)}…>` : value;
    case 'boolean':
      return value;
    default:
  }
  if (value === null) return null;
  if (seen.has(value)) return `<${seen.get(value)}>`;
  seen.set(value, place);
  const inner = (v, key) => look(v, seen, `${place}.${key}`);
  const kind = kindOf(value);
  if (/^(RpcStub|RpcPromise|RpcProperty|Fetcher|DurableObject|LoopbackServiceStub|Function|AsyncFunction)$/.test(kind)) return `<${kind}>`;
  if (Array.isArray(value)) {
    const list = value.length > 80 ? `<${value.length} items>` : Array.from(value, (v, i) => (i in value ? inner(v, i) : '<hole>'));
    const more = Object.keys(value).filter((key) => !/^\d+$/.test(key));
    return more.length === 0 ? list : { list, more: Object.fromEntries(more.map((key) => [key, inner(value[key], key)])) };
  }
  if (value instanceof Map) return { map: [...value].map(([k, v], i) => [inner(k, `key${i}`), inner(v, `value${i}`)]) };
  if (value instanceof Set) return { set: [...value].map(inner) };
  if (value instanceof Date) return { date: String(value.getTime()) };
  if (value instanceof RegExp) return { regexp: String(value), lastIndex: value.lastIndex };
  if (value instanceof Error) return lookAtError(value, inner);
  if (kind === 'ArrayBuffer' || kind === 'SharedArrayBuffer') {
    return { [kind]: value.byteLength > 64 ? value.byteLength : [...new Uint8Array(value)].join(), ...(value.resizable ? { resizable: value.maxByteLength } : {}) };
  }
  if (ArrayBuffer.isView(value)) return { [kind]: [...new Uint8Array(value.buffer, value.byteOffset, Math.min(value.byteLength, 64))].join(), offset: value.byteOffset, of: inner(value.buffer, 'buffer') };
  if (value instanceof Number || value instanceof String || value instanceof Boolean || kind === 'BigInt' || kind === 'Symbol') return { boxed: kind, value: look(value.valueOf()) };
  const out = kind === 'Object' ? {} : { '<kind>': kind };
  for (const key of Object.keys(value)) out[key] = inner(value[key], key);
  return out;
}

function kindOf(value) {
  const proto = Object.getPrototypeOf(value);
  return proto === null ? 'null' : (proto.constructor?.name ?? 'no constructor');
}

// Everything of an error but its stack, of which only what it is and where it starts shows.
export function lookAtError(error, inner = (v) => look(v)) {
  const out = { class: error.constructor.name, name: error.name, message: error.message, stack: typeof error.stack };
  for (const key of Object.getOwnPropertyNames(error)) {
    if (!['stack', 'message', 'name'].includes(key)) out[key] = inner(error[key], key);
  }
  if (error instanceof DOMException) out.code = error.code; // an own property of workerd's
  return out;
}

// What `f` returned or threw, of whatever kind it is.
export async function outcome(f) {
  try {
    return look(await f());
  } catch (error) {
    return { threw: error instanceof Error ? lookAtError(error) : look(error) };
  }
}

// In short: the value, or the error's class and text.
export async function brief(f) {
  try {
    return look(await f());
  } catch (error) {
    return error instanceof Error ? `!${error.name}: ${error.message}` : `!!${String(error)}`;
  }
}

// One after the other.
export async function briefs(...functions) {
  const out = [];
  for (const f of functions) out.push(await brief(f));
  return out;
}

// Polls, because what is awaited has no event of its own on this side.
export async function until(condition, limitMs = 4000) {
  for (const end = Date.now() + limitMs; Date.now() < end; ) {
    if (await condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return false;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
