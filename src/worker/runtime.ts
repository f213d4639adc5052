// The bundle's entry: what C++ calls (the interface Runtime of web/native.ts). Everything here only queues; user code runs
// in turns (web/io.ts).

import { runAlarm } from '../actor/alarms.ts';
import { actorMessage as receiveActorMessage, channelMessage, channelsPeerGone } from '../actor/channel.ts';
import type { PeerEnd } from '../actor/rpc_messages.ts';
import { evictLeastRecentlyUsed, retire, setQuietListener, superseded } from '../actor/container.ts';
import '../actor/facets.ts';
import { hostTimeout } from '../actor/host_timer.ts';
import { actorHost } from '../actor/state.ts';
import { flag } from '../web/compat.ts';
import { failure } from '../web/errors.ts';
import { requestFromExchange, sendError, sendResponse, watchClient } from '../web/exchange.ts';
import { installGlobals } from '../web/globals.ts';
import { native } from '../web/host.ts';
import { nodeModule } from '../web/node_modules.ts';
import { promiseResolve, promiseThen } from '../web/primordials.ts';
import { RequestContext, busyContextCount, contextCount, setContextListener } from './context.ts';
import { cloudflareModule } from './entrypoints.ts';
import { actorClasses } from './env.ts';
import { workerExports } from './exports.ts';
import { invoke, serviceMessage } from './service.ts';

export { storageReply } from '../actor/bookmarks.ts';
export { databaseFailed, durable } from '../actor/instance.ts';
export { referenceCounts } from '../actor/rpc_target.ts';
export { requestChunk, responseClosed, responseDrain } from '../web/exchange.ts';
export { runTurn } from '../web/io.ts';
export { describeException, setSourceMaps } from '../web/source_maps.ts';
export { socketEvent } from '../web/websocket/websocket.ts';
export { setMain } from './exports.ts';

const kCodeUpdated = 'Durable Object reset because its code was updated.';

if (flag('enable_ctx_exports')) actorHost.exports = workerExports;
installGlobals();

// Whether user code may compile text while its modules start; afterwards it never may.
export function allowsEvalAtStart(): boolean {
  return flag('allow_eval_during_startup');
}

export function builtinModule(specifier: string): Record<string, unknown> | undefined {
  return cloudflareModule(specifier) ?? nodeModule(specifier);
}

// ------------------------------------------------------------------------------------------------ requests

const front = { entrypoint: '', props: {} };

export function fetch(
  exchange: number,
  method: string,
  url: string,
  headers: string[],
  bodyLength: number,
  upgrade: boolean,
): void {
  const context = new RequestContext();
  context.enter(null, () => {
    const threw = (error: unknown): void => {
      sendError(exchange, error, context);
      context.release();
    };
    let result: unknown;
    try {
      const request = requestFromExchange(exchange, method, url, headers, bodyLength);
      watchClient(exchange, request, context);
      result = invoke(front, context).fetch(request);
    } catch (error) {
      threw(error);
      return;
    }
    promiseThen(
      promiseResolve(result),
      (value) => {
        try {
          sendResponse(exchange, value, upgrade, context, () => context.release());
        } catch (error) {
          threw(error);
        }
      },
      threw,
    );
  });
}

// ------------------------------------------------------------------------------------------------ messages and objects

export function message(from: number, value: unknown): void {
  if (!Array.isArray(value)) return; // broken in transit: C++ has logged it
  if (!channelMessage(from, value)) serviceMessage(from, value);
}

export function actorMessage(from: number, ns: string, id: string, name: string | undefined, value: unknown): void {
  if (!Array.isArray(value)) return;
  receiveActorMessage(from, actorClasses.get(ns), id, name, value);
}

export function peerGone(address: number, why: PeerEnd, namespaces: string[]): void {
  channelsPeerGone(address, why, namespaces);
}

export function alarm(ns: string, id: string, name: string | undefined, scheduledTime: number, retryCount: number): void {
  const container = actorClasses.get(ns)?.find(id, name);
  if (container === undefined) native.alarmDone(ns, id, 'retry-uncounted');
  else runAlarm(container, scheduledTime, retryCount);
}

// ------------------------------------------------------------------------------------------------ life

const codeWasUpdated = (): Error => failure(kCodeUpdated, { retryable: true, durableObjectReset: true });

function resetAll(makeError: () => Error, namespaces: readonly string[]): void {
  actorClasses.forEach((actorClass, ns) => {
    if (!namespaces.includes(ns)) return;
    for (const container of [...actorClass.containers.values()]) container.break(makeError(), { disconnected: true });
  });
}

function supersedeAll(): void {
  actorClasses.forEach((actorClass) => {
    for (const container of [...actorClass.containers.values()]) container.supersede(codeWasUpdated);
  });
}

// Another deploy may come before the deadline of the one before: the earlier deadline counts.
export function codeUpdated(mode: 'deferred' | 'now', deadline: number): void {
  retire([...actorClasses.values()]);
  if (mode === 'now') supersedeAll();
  else hostTimeout(Math.max(0, deadline - Date.now()), supersedeAll);
}

export function adopt(ns: string, id: string, name: string | undefined): void {
  actorClasses.get(ns)?.find(id, name);
}

export function memoryPressure(): void {
  const count = evictLeastRecentlyUsed(actorClasses.values());
  if (count > 0) native.log('debug', `memory is short: ${count} idle objects have left it`, '');
}

export function namespacesLeft(namespaces: string[], why: 'deleted' | 'transferred'): void {
  const error =
    why === 'deleted'
      ? (): Error => failure('The Durable Object namespace was deleted.', { durableObjectReset: true })
      : codeWasUpdated;
  resetAll(error, namespaces);
}

export function storageReplaced(ns: string, id: string): void {
  const container = actorClasses.get(ns)?.containers.get(id);
  container?.break(failure('Durable Object reset because its storage was replaced.', { durableObjectReset: true }), { disconnected: true });
}

export function activity(): number {
  let count = contextCount() + superseded.size;
  actorClasses.forEach((actorClass) => {
    count += actorClass.containers.size;
  });
  return count;
}

function isQuiet(): boolean {
  if (busyContextCount() > 0) return false;
  let events = superseded.size;
  actorClasses.forEach((actorClass) => {
    actorClass.containers.forEach((container) => {
      events += container.eventCount;
    });
  });
  return events === 0;
}

let drained: (() => void) | undefined;

function checkDrained(): void {
  if (drained === undefined || !isQuiet()) return;
  const done = drained;
  drained = undefined;
  done();
}
setQuietListener(checkDrained);
setContextListener(checkDrained);

export function drain(done: () => void): void {
  drained = done;
  checkDrained();
}
