// The hibernation API of an object's WebSockets (spec 7.3 to 7.5). What is here survives the instance: the sockets, their
// tags and attachments. When the object wakes, each socket that is asked for or speaks becomes a new WebSocket object.

import { native } from '../web/host.ts';
import { SafeSet, encodeUtf8, isArray, promiseResolve, promiseThen } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import {
  type HibernatableSink,
  type Incoming,
  type SleepingSocket,
  type WebSocket,
  WebSocketRequestResponsePair,
  abortSocket,
  acceptHibernatable,
  ackSocket,
  answerClose,
  applyIncoming,
  checkAutoResponse,
  exportSleeping,
  importSleeping,
  isAutoResponsePair,
  isFresh,
  isHibernatable,
  isReleased,
  isWebSocket,
  putToSleep,
  resumeSleeping,
  socketEnd,
  wakeSocket,
} from '../web/websocket/websocket.ts';
import type { Container } from './container.ts';
import { cancelHostTimeout, hostTimeout } from './host_timer.ts';
import type { Instance } from './instance.ts';

const kSocketsMax = 32_768;
const kTagsMax = 10;
const kTagBytesMax = 256;
const kEventTimeoutMaxMs = 604_800_000;
const kUint32Max = 4_294_967_295;

// One accepted socket, in the order of acceptance.
class Entry implements HibernatableSink {
  readonly hibernation: Hibernation;
  readonly tags: string[];
  ws: WebSocket;
  asleep = false;
  // Its last event is being handled: it is still listed.
  isLast = false;

  constructor(hibernation: Hibernation, ws: WebSocket | undefined, tags: string[]) {
    this.hibernation = hibernation;
    this.ws = ws!;
    this.tags = tags;
  }

  deliver(_ws: WebSocket, incoming: Incoming): void {
    this.hibernation.deliver(this, incoming);
  }

  // The WebSocket object of the current instance.
  socket(instance: Instance): WebSocket {
    if (this.asleep) {
      this.asleep = false;
      this.ws = wakeSocket(this.ws, instance);
    }
    return this.ws;
  }
}

// An object's sockets on their way to another isolate. Auto-responses and their times stay with the pipes.
export interface HandedOver {
  autoResponse: [request: string, response: string] | undefined;
  eventTimeoutMs: number | undefined;
  sockets: (SleepingSocket & { tags: string[] })[];
}

export class Hibernation {
  readonly #container: Container;
  readonly #entries = new SafeSet<Entry>();
  autoResponse: WebSocketRequestResponsePair | undefined = undefined;
  eventTimeoutMs: number | undefined = undefined;

  constructor(container: Container) {
    this.#container = container;
  }

  get count(): number {
    return this.#entries.size;
  }

  accept(instance: Instance, ws: WebSocket, given: unknown): void {
    if (!isWebSocket(ws)) {
      throw new TypeError("Failed to execute 'acceptWebSocket' on 'DurableObjectState': parameter 1 is not of type 'WebSocket'.");
    }
    const tags = checkTags(given);
    if (this.#entries.size >= kSocketsMax) {
      throw new Error(`only ${kSocketsMax} websockets can be accepted on a single Durable Object instance`);
    }
    const entry = new Entry(this, ws, tags);
    acceptHibernatable(ws, entry, instance);
    this.#entries.add(entry);
    if (this.autoResponse !== undefined) this.#applyAutoResponse(entry);
  }

  // Without a tag the newest first, with one the oldest first.
  list(tag: string | undefined): WebSocket[] {
    const sockets: WebSocket[] = [];
    const { instance } = this.#container;
    if (instance === undefined) return sockets;
    this.#entries.forEach((entry) => {
      if (isReleased(entry.ws) && !entry.isLast) this.#entries.delete(entry);
      else if (tag === undefined || entry.tags.includes(tag)) sockets.push(entry.socket(instance));
    });
    return tag === undefined ? sockets.reverse() : sockets;
  }

  #entryOf(ws: WebSocket): Entry | undefined {
    let found: Entry | undefined;
    this.#entries.forEach((entry) => {
      if (entry.ws === ws) found = entry;
    });
    return found;
  }

  tags(ws: WebSocket): string[] {
    if (!isWebSocket(ws)) {
      throw new TypeError("Failed to execute 'getTags' on 'DurableObjectState': parameter 1 is not of type 'WebSocket'.");
    }
    if (isFresh(ws)) {
      throw new Error("you must call 'acceptWebSocket()' before attempting to access the tags of a WebSocket.");
    }
    const entry = isHibernatable(ws) ? this.#entryOf(ws) : undefined;
    if (entry === undefined) throw new Error('only hibernatable websockets can have tags.');
    return [...entry.tags];
  }

  // --- auto-response

  setAutoResponse(pair: WebSocketRequestResponsePair | undefined): void {
    if (pair !== undefined && !isAutoResponsePair(pair)) {
      throw new TypeError(
        "Failed to execute 'setWebSocketAutoResponse' on 'DurableObjectState': parameter 1 is not of type 'WebSocketRequestResponsePair'.",
      );
    }
    if (pair !== undefined) checkAutoResponse(pair);
    this.autoResponse = pair;
    this.#entries.forEach((entry) => this.#applyAutoResponse(entry));
  }

  #applyAutoResponse(entry: Entry): void {
    const pair = this.autoResponse;
    native.pipeAutoResponse(socketEnd(entry.ws), pair?.request, pair?.response ?? '');
  }

  autoResponseTime(ws: WebSocket): Date | null {
    if (!isWebSocket(ws)) {
      throw new TypeError(
        "Failed to execute 'getWebSocketAutoResponseTimestamp' on 'DurableObjectState': parameter 1 is not of type 'WebSocket'.",
      );
    }
    const at = native.pipeAutoResponseTime(socketEnd(ws));
    return at === 0 ? null : new Date(at);
  }

  setEventTimeout(given: number | undefined): void {
    const ms = given === undefined || given === null ? 0 : Math.trunc(Number(given));
    if (Number.isNaN(ms)) throw new TypeError('The value cannot be converted because it is not an integer.');
    if (ms < 0) throw new TypeError('The value cannot be converted because it is negative and this API expects a positive number.');
    if (ms > kUint32Max) throw new TypeError(`Value out of range. Must be less than or equal to ${kUint32Max}.`);
    if (ms > kEventTimeoutMaxMs) throw new Error(`Event timeout should not exceed ${kEventTimeoutMaxMs} ms.`);
    this.eventTimeoutMs = ms > 0 ? ms : undefined;
  }

  // --- events

  // Outside a turn; the container's line keeps the order.
  deliver(entry: Entry, incoming: Incoming): void {
    const container = this.#container;
    const event = {
      run: (instance: Instance): void => {
        const result = this.#dispatch(instance, entry, incoming);
        if (result === undefined) {
          container.done(event);
          return;
        }
        const timer = this.#limit();
        const end = (): void => {
          cancelHostTimeout(timer);
          container.done(event);
        };
        promiseThen(promiseResolve(result), end, (error) => {
          reportException(eventName(incoming), error, container.id);
          end();
        });
      },
      fail: (): void => {}, // The object is gone and its sockets are cut.
    };
    container.accept(event);
  }

  #limit(): ReturnType<typeof hostTimeout> | undefined {
    if (this.eventTimeoutMs === undefined) return undefined;
    return hostTimeout(this.eventTimeoutMs, () => {
      this.#container.break(new Error('Actor exceeded event execution time and was disconnected.'), { disconnected: true });
    });
  }

  // The synchronous part of the handler. Its promise, or undefined.
  #dispatch(instance: Instance, entry: Entry, incoming: Incoming): unknown {
    if (isReleased(entry.ws)) return undefined;
    const ws = entry.socket(instance);
    const { object } = instance;
    entry.isLast = incoming.kind !== 'message';
    applyIncoming(ws, incoming);
    let result: unknown;
    try {
      if (incoming.kind === 'message') {
        result = instance.handler('webSocketMessage')?.call(object, ws, incoming.data);
      } else if (incoming.kind === 'close') {
        const { code, reason, wasClean } = incoming;
        result = instance.handler('webSocketClose')?.call(object, ws, code, reason, wasClean);
      } else {
        result = instance.handler('webSocketError')?.call(object, ws, incoming.error);
      }
    } catch (error) {
      reportException(eventName(incoming), error, this.#container.id);
    }
    // Still listed while the synchronous part of a last event ran.
    if (incoming.kind === 'close') answerClose(ws, incoming);
    if (incoming.kind === 'message') ackSocket(ws);
    else this.#entries.delete(entry);
    return typeof result === 'object' && result !== null ? result : undefined;
  }

  // --- life

  // The instance goes, the sockets stay.
  sleep(): void {
    this.#entries.forEach((entry) => {
      if (isReleased(entry.ws)) {
        this.#entries.delete(entry);
      } else if (!entry.asleep) {
        entry.asleep = true;
        putToSleep(entry.ws);
      }
    });
  }

  // The object goes on in another isolate; after sleep().
  handOver(): HandedOver {
    const sockets: HandedOver['sockets'] = [];
    this.#entries.forEach(({ ws, tags }) => sockets.push({ ...exportSleeping(ws), tags }));
    this.#entries.clear();
    const pair = this.autoResponse;
    return {
      autoResponse: pair === undefined ? undefined : [pair.request, pair.response],
      eventTimeoutMs: this.eventTimeoutMs,
      sockets,
    };
  }

  // From another isolate. Events that have waited come at once.
  adopt({ autoResponse, eventTimeoutMs, sockets }: HandedOver): void {
    if (autoResponse !== undefined) this.autoResponse = new WebSocketRequestResponsePair(...autoResponse);
    this.eventTimeoutMs = eventTimeoutMs;
    for (const socket of sockets) {
      const entry = new Entry(this, undefined, socket.tags);
      entry.ws = importSleeping(socket, entry);
      entry.asleep = true;
      this.#entries.add(entry);
    }
    this.#entries.forEach((entry) => resumeSleeping(entry.ws));
  }

  // Clients see 1006.
  cut(): void {
    this.#entries.forEach((entry) => {
      if (!isReleased(entry.ws)) abortSocket(entry.ws);
    });
    this.#entries.clear();
  }
}

function eventName(incoming: Incoming): string {
  return incoming.kind === 'message' ? 'webSocketMessage' : incoming.kind === 'close' ? 'webSocketClose' : 'webSocketError';
}

function checkTags(given: unknown): string[] {
  const tags: string[] = [];
  if (given === undefined) return tags;
  if (!isArray(given)) {
    throw new TypeError("Failed to execute 'acceptWebSocket' on 'DurableObjectState': parameter 2 is not of type 'Array'.");
  }
  for (const item of given as Iterable<unknown>) {
    if (tags.length >= kTagsMax) throw new Error(`a Hibernatable WebSocket cannot have more than ${kTagsMax} tags`);
    const tag = `${item as string}`;
    if (encodeUtf8(tag).byteLength > kTagBytesMax) {
      throw new Error(`"${tag}" is longer than the max tag length (${kTagBytesMax} characters).`);
    }
    if (!tags.includes(tag)) tags.push(tag);
  }
  return tags;
}

// An object's table of sockets, made when it is first needed.
export function hibernationOf(instance: Instance): Hibernation {
  const { container } = instance;
  return (container.hibernation ??= new Hibernation(container));
}
