// `env`: what the bindings of a version are worth. Made on first use, when the upload's modules are there.

import { ActorClass } from '../actor/container.ts';
import { makeNamespace } from '../actor/namespace.ts';
import { config, native, nodeRequire } from '../web/host.ts';
import { nodeCrypto } from '../web/host_modules.ts';
import type { BindingConfig } from '../web/native.ts';
import { SafeMap, jsonParse } from '../web/primordials.ts';
import { serviceFetcher } from './service.ts';

// This script's Durable Object classes that have storage, by namespace.
export const actorClasses = new SafeMap<string, ActorClass>();
for (let i = 0; i < config.namespaces.length; i++) {
  const { ns, className, useSqlite } = config.namespaces[i]!;
  actorClasses.set(ns, new ActorClass(ns, className, useSqlite, () => env()));
}

interface SecretKey {
  algorithm: string | { name: string };
  format: 'raw' | 'pkcs8' | 'spki' | 'jwk';
  usages: string[];
  key_base64?: string;
  key_jwk?: object;
}

// A CryptoKey that user code can use and not read. (KeyObject, because importKey would not be ready when `env` is.)
function secretKey(json: string): unknown {
  const { algorithm, format, usages, key_base64: base64, key_jwk: jwk } = jsonParse(json) as SecretKey;
  const crypto = nodeCrypto();
  const bytes = bytesFrom(base64 ?? '');
  let key: import('node:crypto').KeyObject;
  if (format === 'jwk') {
    const kind = (jwk as { kty?: string; d?: string }) ?? {};
    if (kind.kty === 'oct') key = crypto.createSecretKey(bytesFrom((jwk as { k: string }).k, 'base64url'));
    else if (kind.d !== undefined) key = crypto.createPrivateKey({ key: jwk as never, format: 'jwk' });
    else key = crypto.createPublicKey({ key: jwk as never, format: 'jwk' });
  } else if (format === 'pkcs8') {
    key = crypto.createPrivateKey({ key: bytes as never, format: 'der', type: 'pkcs8' });
  } else if (format === 'spki') {
    key = crypto.createPublicKey({ key: bytes as never, format: 'der', type: 'spki' });
  } else {
    key = crypto.createSecretKey(bytes);
  }
  return (key as any).toCryptoKey(algorithm, false, usages);
}

function bytesFrom(text: string, encoding: 'base64' | 'base64url' = 'base64'): Uint8Array {
  return (nodeRequire('node:buffer') as typeof import('node:buffer')).Buffer.from(text, encoding);
}

function valueOf(binding: BindingConfig): unknown {
  switch (binding.kind) {
    case 'plain_text':
    case 'secret_text':
      return binding.text;
    case 'json':
      return jsonParse(binding.json);
    case 'secret_key':
      return secretKey(binding.json);
    case 'data':
    case 'wasm':
      return native.moduleValue(binding.part);
    case 'durable_object':
      return makeNamespace(binding.ns, actorClasses.get(binding.ns));
    case 'service':
      return serviceFetcher(binding.script, binding.entrypoint, binding.props === '' ? {} : jsonParse(binding.props));
    case 'version_metadata':
      return { id: config.versionId, tag: config.versionTag, timestamp: config.versionCreatedOn };
  }
}

let made: Record<string, unknown> | undefined;

export function env(): Record<string, unknown> {
  if (made !== undefined) return made;
  made = {};
  for (let i = 0; i < config.bindings.length; i++) {
    const binding = config.bindings[i]!;
    made[binding.name] = valueOf(binding);
  }
  return made;
}
