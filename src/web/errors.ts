// Exceptions as plain data, for crossing isolates, and back (spec 1.5).
//
// Data is made of values that Native.send can serialise. The receiving side builds a new error whose stack is its own:
// a remote stack is not transferred.

import { flag } from './compat.ts';
import { native } from './host.ts';
import { SafeMap, arrayPush, isArray, uncurryThis } from './primordials.ts';

export interface ErrorData {
  // A built-in class that survives, 'DOMException', 'Value' for what is no error, or 'Error' for everything else.
  type: string;
  name: string; // of a DOMException; otherwise ''
  message: string;
  // Own properties, name, value, name, value ... With enhanced_error_serialization only.
  props: unknown[];
  cause: ErrorData | undefined;
  hasCause: boolean;
  causeValue: unknown; // a cause that is not an error; or the 'Value' itself
  errors: ErrorData[] | undefined; // of an AggregateError
  retryable: boolean;
  overloaded: boolean;
  durableObjectReset: boolean;
  hasDetails: boolean; // nothing had to be left out
}

const NativeAggregateError = AggregateError;
const objectToString = Object.prototype.toString;
const uncurriedToString = uncurryThis(objectToString);

export interface FailureClass {
  retryable?: boolean;
  overloaded?: boolean;
  durableObjectReset?: boolean;
}

function makeAggregate(this: unknown, message: string): Error {
  return new NativeAggregateError([], message);
}

const constructors = new SafeMap<string, new (message?: string) => Error>([
  ['Error', Error],
  ['RangeError', RangeError],
  ['TypeError', TypeError],
  ['SyntaxError', SyntaxError],
  ['ReferenceError', ReferenceError],
  ['EvalError', EvalError],
  ['URIError', URIError],
  ['AggregateError', makeAggregate as never],
]);

// All own properties cross.
export const enhanced: boolean = flag('enhanced_error_serialization');
const kCauseDepthMax = 8;
const kErrorsMax = 64;
const NativeDOMException = DOMException;
const NativeError = Error;
const reserved = new SafeMap<string, true>([
  ['message', true],
  ['stack', true],
  ['cause', true],
  ['remote', true],
  ['retryable', true],
  ['overloaded', true],
  ['durableObjectReset', true],
  ['errors', true],
]);

// An error of the runtime itself, with the class of its failure as own properties.
export function failure(message: string, failureClass: FailureClass): Error {
  return Object.assign(new NativeError(message), failureClass);
}

// User errors may have getters that throw; nothing here may.
function read(object: object, key: string): unknown {
  try {
    return (object as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

function textOf(value: unknown): string {
  try {
    if (typeof value === 'object' && value !== null && !NativeError.isError(value)) return nameOfObject(value);
    return String(value);
  } catch {
    return 'unknown error';
  }
}

function isCloneable(value: unknown): boolean {
  if (value === null) return true;
  const type = typeof value;
  if (type === 'function' || type === 'symbol') return false;
  if (type !== 'object') return true;
  try {
    native.clone(value, 1);
    return true;
  } catch {
    return false;
  }
}

// What an object is called in the text of an exception: none of its code runs.
function nameOfObject(value: object): string {
  if (read(value, 'toString') === objectToString) {
    const constructor = read(value, 'constructor');
    if (typeof constructor === 'function') return `#<${String(read(constructor, 'name'))}>`;
  }
  return uncurriedToString(value);
}

// False: one of them cannot cross.
function copyProperties(from: Error, data: ErrorData): boolean {
  const keys = Object.getOwnPropertyNames(from);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    if (reserved.has(key)) continue;
    const value = read(from, key);
    if (!isCloneable(value) || value === from) return false;
    arrayPush(data.props, key, value);
  }
  return true;
}

function emptyData(): ErrorData {
  return {
    type: 'Error',
    name: '',
    message: '',
    props: [],
    cause: undefined,
    hasCause: false,
    causeValue: undefined,
    errors: undefined,
    retryable: false,
    overloaded: false,
    durableObjectReset: false,
    hasDetails: false,
  };
}

// What an error is without its own properties.
export function errorHead(error: Error): ErrorData {
  const data = emptyData();
  data.message = textOf(read(error, 'message'));
  if (error instanceof NativeDOMException) {
    data.type = 'DOMException';
    data.name = error.name;
  } else {
    const name = textOf(read(error, 'name'));
    if (constructors.has(name)) data.type = name;
    else if (!enhanced && name !== '' && Object.hasOwn(error, 'name')) data.message = `${name}: ${data.message}`; // its name would be lost
  }
  data.retryable = read(error, 'retryable') === true;
  data.overloaded = read(error, 'overloaded') === true;
  data.durableObjectReset = read(error, 'durableObjectReset') === true;
  return data;
}

export function errorToData(error: unknown, depth: number = 0): ErrorData {
  if (!NativeError.isError(error)) {
    const data = emptyData();
    // A thrown text becomes an error, one inside of an AggregateError does not.
    if (!enhanced || !addValue(error, data, depth)) data.message = textOf(error);
    return data;
  }
  const data = errorHead(error);
  if (!enhanced || data.type === 'DOMException') return data;
  return addDetails(error, data, depth) ? data : errorHead(error);
}

// False: it crosses as an error that has its text.
function addValue(value: unknown, data: ErrorData, depth: number): boolean {
  if (depth === 0 && (typeof value !== 'object' || value === null)) return false;
  try {
    data.causeValue = native.clone(value, 0);
    data.type = 'Value';
    return true;
  } catch {
    return false;
  }
}

// All that an error has beyond its head. False: something of it cannot cross, so that it has to do without all of it.
function addDetails(error: Error, data: ErrorData, depth: number): boolean {
  if (!copyProperties(error, data)) return false;
  const name = textOf(read(error, 'name'));
  if (name !== data.type && !Object.hasOwn(error, 'name')) arrayPush(data.props, 'name', name);
  if (data.type === 'AggregateError') {
    const errors = read(error, 'errors');
    data.errors = [];
    if (isArray(errors) && depth < kCauseDepthMax) {
      for (let i = 0; i < errors.length && i < kErrorsMax; i++) arrayPush(data.errors, errorToData(errors[i], depth + 1));
    }
  }
  if (Object.hasOwn(error, 'cause')) {
    const cause = read(error, 'cause');
    if (NativeError.isError(cause)) {
      if (depth < kCauseDepthMax) {
        data.cause = errorToData(cause, depth + 1);
        data.hasCause = true;
      }
    } else {
      if (!isCloneable(cause)) return false;
      data.hasCause = true;
      data.causeValue = cause;
    }
  }
  data.hasDetails = true;
  return true;
}

function setOwn(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, writable: true, enumerable: true, configurable: true });
}

function errorsFromData(all: readonly ErrorData[]): unknown[] {
  const errors: unknown[] = [];
  for (let i = 0; i < all.length; i++) arrayPush(errors, errorFromData(all[i]!, false));
  return errors;
}

// `remote`: it was thrown on the other side of a stub.
export function errorFromData(data: ErrorData, remote: boolean): Error {
  let error: Error;
  if (data.type === 'DOMException') {
    error = new NativeDOMException(data.message, data.name);
  } else if (data.type === 'Value') {
    if (typeof data.causeValue !== 'object' || data.causeValue === null) return data.causeValue as Error;
    error = data.causeValue as Error;
  } else {
    const Class = constructors.get(data.type) ?? NativeError;
    error = new Class(data.message);
  }
  if (data.type === 'AggregateError' && data.errors === undefined) delete (error as { errors?: unknown }).errors;
  if (data.errors !== undefined) setOwn(error, 'errors', errorsFromData(data.errors));
  if (data.hasCause) {
    const value = data.cause === undefined ? data.causeValue : errorFromData(data.cause, false);
    Object.defineProperty(error, 'cause', { value, writable: true, enumerable: enhanced, configurable: true });
  }
  for (let i = 0; i < data.props.length; i += 2) setOwn(error, data.props[i] as string, data.props[i + 1]);
  if (data.retryable) setOwn(error, 'retryable', true);
  if (data.overloaded) setOwn(error, 'overloaded', true);
  if (data.durableObjectReset) setOwn(error, 'durableObjectReset', true);
  if (remote) setOwn(error, 'remote', true);
  return error;
}

// What Native.logException wants to know of anything that was thrown.
export function errorForLog(error: unknown): { name: string; message: string; stack: string } {
  if (!NativeError.isError(error)) return { name: 'Error', message: textOf(error), stack: '' };
  return {
    name: textOf(read(error, 'name')),
    message: textOf(read(error, 'message')),
    stack: textOf(read(error, 'stack') ?? ''),
  };
}
