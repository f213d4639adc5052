// The way from a stub to its object, and what objects here are asked by other isolates.
//
// A channel is opened by its first call: to a container of this isolate, or, by messages, to wherever the object lives. It
// breaks with the instance it reached and stays broken; a new stub makes a new channel.

import { type ErrorData, errorToData } from '../web/errors.ts';
import { config, native } from '../web/host.ts';
import { SafeMap, SafeSet, promiseResolve, promiseThen } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import { bodyState } from '../web/body.ts';
import { type Request, requestFlatHeaders, requestState } from '../web/request.ts';
import { bodiesPeerGone, bodyMessage, connectionLost, unlendBody } from './bodies.ts';
import {
  type Channel,
  type Outgoing,
  RemoteReply,
  type Reply,
  answerError,
  answerResponse,
  answerValue,
  kNoFetchHandler,
  requestFromMessage,
  requestHere,
  requestMessage,
  responseFromMessage,
  wantsUpgrade,
} from './calls.ts';
import type { ActorClass, ActorEvent, Container, RemoteClient } from './container.ts';
import type { Instance } from './instance.ts';
import { hostTimeout } from './host_timer.ts';
import { MessageKind, type RequestMessage, type ResponseMessage } from './messages.ts';
import { weigh } from './overload.ts';
import { callMember, findMember, refuseLegacy } from './rpc.ts';

// ------------------------------------------------------------------------------------------------ an object's side

// One call of an object of this isolate.
class ObjectCall implements ActorEvent {
  readonly #container: Container;
  readonly #reply: Reply;
  readonly #path: readonly string[];
  readonly #args: unknown[] | undefined;
  readonly #request: Request | undefined;

  constructor(
    container: Container,
    reply: Reply,
    path: readonly string[],
    args: unknown[] | undefined,
    request: Request | undefined,
  ) {
    this.#container = container;
    this.#reply = reply;
    this.#path = path;
    this.#args = args;
    this.#request = request;
  }

  fail(error: ErrorData): void {
    this.#reply.error(error, false);
  }

  weight(): number {
    const request = this.#request;
    if (request === undefined) return weigh(this.#args);
    return weigh([requestState(request).url, requestFlatHeaders(request), bodyState(request)?.data]);
  }

  ended(): void {
    this.#container.done(this);
  }

  run(instance: Instance): void {
    let result: unknown;
    let isUserCode = false;
    try {
      if (this.#request !== undefined) {
        const handler = instance.handler('fetch');
        if (handler === undefined) throw new Error(kNoFetchHandler);
        isUserCode = true;
        result = handler.call(instance.object, this.#request);
      } else {
        if (this.#container.actorClass.isLegacy) refuseLegacy();
        const found = findMember(instance.object!, this.#path);
        if (this.#args === undefined) {
          result = found.fn;
        } else {
          isUserCode = typeof found.fn === 'function';
          result = callMember(found, this.#path, this.#args);
        }
      }
    } catch (error) {
      this.#threw(instance, error, isUserCode);
      return;
    }
    if (typeof result === 'object' && result !== null && typeof (result as PromiseLike<unknown>).then === 'function') {
      promiseThen(
        promiseResolve(result),
        (value) => this.#returned(instance, value),
        (error) => this.#threw(instance, error, true),
      );
    } else {
      this.#returned(instance, result);
    }
  }

  #returned(instance: Instance, value: unknown): void {
    if (instance.ended) return;
    if (this.#request === undefined) answerValue(this.#reply, instance, value, this);
    else answerResponse(this.#reply, instance.root.frame, value, wantsUpgrade(this.#request), this);
  }

  #threw(instance: Instance, error: unknown, isUserCode: boolean): void {
    if (instance.ended) return;
    // The caller gets a copy without this stack.
    if (isUserCode) reportException(this.#request === undefined ? `rpc ${this.#path.join('.')}` : 'fetch', error, instance.where);
    const data = errorToData(error);
    // Not on what is no plain error (a thrown text, a DOMException).
    if (isUserCode && this.#request === undefined && Error.isError(error) && data.type !== 'DOMException') {
      data.props.push('durableObjectId', instance.where);
    }
    answerError(this.#reply, instance, data, this);
  }
}

// A call of this isolate to a container of this isolate.
export function deliver(container: Container, call: Outgoing): void {
  const request = call.request === undefined ? undefined : requestHere(call.request, call.frame);
  container.accept(new ObjectCall(container, call, call.path, call.args, request));
}

// ------------------------------------------------------------------------------------------------ a caller's side

interface PendingCall {
  reply: Outgoing;
  channel: ObjectChannel | undefined;
  address: number; // of the isolate that has the call; 0: not known yet
}

let nextCall = 1;
const pending = new SafeMap<number, PendingCall>();

// A call to another isolate: answered by result, response, error or the isolate's end.
export function awaitAnswer(reply: Outgoing, address: number, channel: ObjectChannel | undefined): number {
  const id = nextCall++;
  pending.set(id, { reply, channel, address });
  return id;
}

export function dropAnswer(id: number): void {
  pending.delete(id);
}

let nextChannel = 1;
const channels = new SafeMap<number, WeakRef<ObjectChannel>>();

// The receiving isolate keeps something for every channel that reached it.
const closed = new FinalizationRegistry<{ id: number; link: { address: number } }>(({ id, link }) => {
  channels.delete(id);
  if (link.address !== 0) native.send(link.address, [MessageKind.close, id]);
});

export class ObjectChannel implements Channel {
  lastName: string | undefined = undefined;
  lastProperty: unknown = undefined;
  readonly #ns: string;
  readonly #id: string;
  readonly #name: string | undefined;
  readonly #class: ActorClass | undefined; // a class of this script
  #container: Container | undefined = undefined;
  #broken: ErrorData | undefined = undefined;
  #remote: { id: number; link: { address: number } } | undefined = undefined;

  constructor(ns: string, id: string, name: string | undefined, actorClass: ActorClass | undefined) {
    this.#ns = ns;
    this.#id = id;
    this.#name = name;
    this.#class = actorClass;
  }

  dispatch(call: Outgoing): void {
    if (this.#broken !== undefined) {
      call.error(this.#broken, false);
      return;
    }
    let container = this.#container;
    if (container === undefined || container.released) {
      container = this.#remote === undefined ? this.#class?.find(this.#id, this.#name) : undefined;
      this.#container = container;
    }
    if (container === undefined) {
      this.#send(call);
      return;
    }
    deliver(container, call);
  }

  #send(call: Outgoing): void {
    if (this.#remote === undefined) {
      const id = nextChannel++;
      this.#remote = { id, link: { address: 0 } };
      channels.set(id, new WeakRef(this));
      closed.register(this, this.#remote);
    }
    const { id, link } = this.#remote;
    const answer = awaitAnswer(call, link.address, this);
    const request = call.request === undefined ? undefined : requestMessage(call.request, call.frame);
    try {
      native.sendToActor(
        this.#ns,
        this.#id,
        this.#name,
        request === undefined
          ? [MessageKind.call, id, answer, call.path, call.args]
          : [MessageKind.fetch, id, answer, request],
      );
    } catch (error) {
      dropAnswer(answer);
      if (request !== undefined) unlendBody(request[4]);
      call.threw(error);
    }
  }

  // An answer came from there.
  reached(address: number): void {
    if (this.#remote !== undefined) this.#remote.link.address = address;
  }

  broke(error: ErrorData): void {
    this.#broken ??= error;
  }

  get shard(): number {
    const hex = this.#id;
    const word = parseInt(hex.slice(6, 8) + hex.slice(4, 6) + hex.slice(2, 4) + hex.slice(0, 2), 16);
    return word % config.shardCount;
  }
}

// ------------------------------------------------------------------------------------------------ messages

// A channel of another isolate that has reached a container here. It outlives the container: calls that come after the
// object broke must fail.
class ServerChannel implements RemoteClient {
  readonly #address: number;
  readonly #id: number;
  container: Container;
  error: ErrorData | undefined = undefined;
  saidOpened = false;

  constructor(address: number, id: number, container: Container) {
    this.#address = address;
    this.#id = id;
    this.container = container;
    this.attach(container);
  }

  attach(container: Container): void {
    this.saidOpened = false;
    this.container = container;
    (container.clients ??= new SafeSet<RemoteClient>()).add(this);
  }

  detach(): void {
    this.container.clients?.delete(this);
  }

  broken(error: ErrorData): void {
    this.error = error;
    native.send(this.#address, [MessageKind.broken, this.#id, error]);
  }
}

const serverChannels = new SafeMap<number, Map<number, ServerChannel>>(); // by address, by channel

function serverChannel(from: number, id: number, container: Container | undefined): ServerChannel | undefined {
  let ofPeer = serverChannels.get(from);
  const known = ofPeer?.get(id);
  if (known !== undefined) {
    if (known.error === undefined && known.container.released && container !== undefined) known.attach(container);
    return known;
  }
  if (container === undefined) return undefined;
  if (ofPeer === undefined) serverChannels.set(from, (ofPeer = new SafeMap()));
  const made = new ServerChannel(from, id, container);
  ofPeer.set(id, made);
  return made;
}

// Runtime.actorMessage.
export function actorMessage(from: number, actorClass: ActorClass | undefined, id: string, name: string | undefined, message: unknown): void {
  const [kind, channelId, answer] = message as [number, number, number];
  const reply = new RemoteReply(from, answer);
  const known = serverChannel(from, channelId, undefined);
  if (known?.error !== undefined) {
    reply.error(known.error, false);
    return;
  }
  const container = actorClass?.find(id, name);
  if (container === undefined) {
    reply.error(errorToData(connectionLost()), false);
    return;
  }
  const channel = serverChannel(from, channelId, container)!;
  if (kind === MessageKind.call) {
    const [, , , path, args] = message as [number, number, number, string[], unknown[] | undefined];
    container.accept(new ObjectCall(container, reply, path, args, undefined));
  } else {
    const request = requestFromMessage((message as [number, number, number, RequestMessage])[3], from);
    container.accept(new ObjectCall(container, reply, [], undefined, request));
  }
  if (container.broken === undefined && !channel.saidOpened) sayOpenedLater(from, channelId);
}

// A caller must learn where its call is, in case this isolate ends before it answers. (Until then the caller gives up
// when any isolate of this shard ends.) Most calls are answered before that is worth a message.
const kSayOpenedMs = 50;
let unsaid: [address: number, channel: number][] = [];

function sayOpenedLater(address: number, channel: number): void {
  unsaid.push([address, channel]);
  if (unsaid.length > 1) return;
  hostTimeout(kSayOpenedMs, () => {
    const all = unsaid;
    unsaid = [];
    for (const [from, id] of all) {
      const known = serverChannels.get(from)?.get(id);
      if (known === undefined || known.saidOpened || !known.container.isBusy) continue;
      known.saidOpened = true;
      native.send(from, [MessageKind.opened, id]);
    }
  });
}

function answered(id: number, from: number): Outgoing | undefined {
  const call = pending.get(id);
  if (call === undefined) return undefined;
  pending.delete(id);
  call.channel?.reached(from);
  return call.reply;
}

// An own message that could not be delivered came back: the object's class or script is gone.
function bounced(message: readonly unknown[]): void {
  const [kind, channelId, answer] = message as [number, number, number];
  if (kind !== MessageKind.call && kind !== MessageKind.fetch) return;
  answered(answer, 0)?.error(errorToData(connectionLost()), false);
  channels.get(channelId)?.deref()?.broke(errorToData(connectionLost()));
}

// A message that concerns calls or bodies. False: it is about something else.
export function channelMessage(from: number, message: readonly unknown[]): boolean {
  if (from === 0) {
    bounced(message);
    return true;
  }
  const id = message[1] as number;
  switch (message[0]) {
    case MessageKind.result:
      answered(id, from)?.result(message[2]);
      return true;
    case MessageKind.response:
      answered(id, from)?.response(responseFromMessage(message[2] as ResponseMessage, from));
      return true;
    case MessageKind.error:
      answered(id, from)?.error(message[2] as ErrorData, message[3] as boolean);
      return true;
    case MessageKind.opened: {
      const channel = channels.get(id)?.deref();
      channel?.reached(from);
      pending.forEach((call) => {
        if (call.channel === channel && call.address === 0) call.address = from;
      });
      return true;
    }
    case MessageKind.broken:
      channels.get(id)?.deref()?.broke(message[2] as ErrorData);
      return true;
    case MessageKind.close: {
      const ofPeer = serverChannels.get(from);
      ofPeer?.get(id)?.detach();
      ofPeer?.delete(id);
      return true;
    }
    default:
      return bodyMessage(from, message);
  }
}

// Runtime.peerGone. The shard of an isolate is in the low byte of its address (worker/shard.cc).
export function channelsPeerGone(address: number): void {
  pending.forEach((call, id) => {
    const here = call.address === address || (call.address === 0 && call.channel?.shard === address % 256);
    if (!here) return;
    pending.delete(id);
    call.channel?.broke(errorToData(connectionLost()));
    call.reply.error(errorToData(connectionLost()), false);
  });
  serverChannels.get(address)?.forEach((channel) => channel.detach());
  serverChannels.delete(address);
  bodiesPeerGone(address);
}
