// What the storage API says of wrong arguments, in workerd's words.

export function wrongType(where: string, method: string, parameter: number, type: string): TypeError {
  return new TypeError(`Failed to execute '${method}' on '${where}': parameter ${parameter} is not of type '${type}'.`);
}

// A dictionary of Web IDL: any object, or nothing.
export function checkOptions(where: string, method: string, parameter: number, type: string, options: unknown): void {
  if (options === undefined || options === null || typeof options === 'object' || typeof options === 'function') return;
  throw wrongType(where, method, parameter, type);
}
