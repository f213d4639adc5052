// workers_api_getters_setters_on_prototype (2022-01-31): before it the attributes of an object (request.url) are properties
// of its own. Only then do these two do anything.

import { flag } from './compat.ts';
import { SafeMap, defineProperty, getOwnPropertyDescriptor, getPrototypeOf } from './primordials.ts';

const attributesOf = new SafeMap<object, [string, PropertyDescriptor][]>();

function move(prototype: object, names: readonly string[]): void {
  const moved: [string, PropertyDescriptor][] = [];
  for (const name of names) {
    const descriptor = getOwnPropertyDescriptor(prototype, name);
    if (descriptor?.get === undefined) continue;
    Reflect.deleteProperty(prototype, name);
    moved.push([name, { get: descriptor.get, set: descriptor.set, enumerable: true, configurable: true }]);
  }
  attributesOf.set(prototype, moved);
}

function give(self: object): void {
  for (let holder: object | null = getPrototypeOf(self); holder !== null; holder = getPrototypeOf(holder)) {
    const attributes = attributesOf.get(holder);
    if (attributes === undefined) continue;
    for (let i = 0; i < attributes.length; i++) defineProperty(self, attributes[i]![0], attributes[i]![1]);
  }
}

const onInstance = !flag('workers_api_getters_setters_on_prototype');

// Takes the attributes among `names` off the prototype.
export const moveAttributes: (prototype: object, names: readonly string[]) => void = onInstance ? move : () => {};
// For constructors.
export const giveAttributes: ((self: object) => void) | undefined = onInstance ? give : undefined;
