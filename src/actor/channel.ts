// The way from a stub to its object, and what objects here are asked by other isolates.
//
// A channel is opened by its first call: to a container of this isolate, or, by messages, to wherever the object lives. It
// breaks with the instance it reached and stays broken; a new stub makes a new channel.

import { type ErrorData, errorToData } from '../web/errors.ts';
import { config, native } from '../web/host.ts';
import { SafeMap, SafeSet } from '../web/primordials.ts';
import { reportException } from '../web/report.ts';
import { type Request, requestFlatHeaders, requestState } from '../web/request.ts';
import { isResponse } from '../web/response.ts';
import { bodyState } from '../web/body.ts';
import { bodiesPeerGone, bodyMessage, connectionLost, unlendBody } from './bodies.ts';
import {
  answerResponse,
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
import { Incoming, RemoteReply, type Reply, answerError, answerValue, isThenable, settle, throwData } from './rpc_incoming.ts';
import type { Arguments, Channel, Outgoing, RemotePlace } from './rpc_outgoing.ts';
import type { WireRefs } from './rpc_pack.ts';
import {
  type CallOrigin,
  type PeerEnd,
  type PipeMessage,
  answered,
  answersComeFrom,
  argumentsFromWire,
  awaitAnswer,
  dropAnswer,
  lost,
  packedMessage,
  pipeMessage,
  receivePiped,
  rpcMessage,
  rpcPeerGone,
} from './rpc_messages.ts';

// ------------------------------------------------------------------------------------------------ an object's side

// One call of an object of this isolate.
class ObjectCall extends Incoming implements ActorEvent {
  readonly #container: Container;
  readonly #request: Request | undefined;

  constructor(container: Container, reply: Reply, path: readonly string[], args: Arguments, request: Request | undefined) {
    super(reply, path, args);
    this.#container = container;
    this.#request = request;
  }

  // The object was reset. A request says that its error comes from the other side, a call does not.
  fail(error: ErrorData): void {
    const remote = this.#request !== undefined;
    this.disposeArguments();
    this.reply.error(error, remote);
    this.failPipelined(error, remote);
  }

  weight(): number {
    const request = this.#request;
    if (request === undefined) return this.argumentsWeight();
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
        // A class that extends nothing gets what a plain object of handlers gets.
        result = this.#container.actorClass.isLegacy
          ? handler.call(instance.object, this.#request, this.#container.actorClass.env(), instance.state)
          : handler.call(instance.object, this.#request);
      } else {
        if (this.#container.actorClass.isLegacy) refuseLegacy();
        const found = findMember(instance.object!, this.path);
        const args = this.arguments(instance.root.frame);
        if (args === undefined) {
          result = found.fn;
        } else {
          isUserCode = typeof found.fn === 'function';
          result = callMember(found, this.path, args);
        }
      }
    } catch (error) {
      this.#threw(instance, error, isUserCode);
      return;
    }
    if (this.#request !== undefined && !isResponse(result) && !isThenable(result)) {
      this.#threw(instance, new TypeError("Callback returned incorrect type; expected 'Promise'"), false);
      return;
    }
    settle(
      result,
      (value) => this.#returned(instance, value),
      (error) => this.#threw(instance, error, true),
    );
  }

  #returned(instance: Instance, value: unknown): void {
    if (instance.ended) return;
    if (this.#request === undefined) answerValue(this, instance.root.frame, value);
    else answerResponse(this, instance.root.frame, value, wantsUpgrade(this.#request));
  }

  #threw(instance: Instance, error: unknown, isUserCode: boolean): void {
    if (instance.ended) return;
    // The caller gets a copy without this stack.
    if (isUserCode) reportException(this.#request === undefined ? `rpc ${this.path.join('.')}` : 'fetch', error, instance.where);
    const ofObject = isUserCode && this.#request === undefined;
    answerError(this, instance, throwData(error, ofObject ? instance.where : ''));
  }
}

// A call of this isolate to a container of this isolate.
export function deliver(container: Container, call: Outgoing): void {
  const request = call.request === undefined ? undefined : requestHere(call.request, call.frame);
  const incoming = new ObjectCall(container, call, call.path, call.takeArguments(), request);
  call.serving = incoming;
  container.accept(incoming);
}

// ------------------------------------------------------------------------------------------------ a caller's side

let nextChannel = 1;
const channels = new SafeMap<number, WeakRef<ObjectChannel>>();

// The receiving isolate keeps something for every channel that reached it.
const closed = new FinalizationRegistry<{ id: number; link: { address: number } }>(({ id, link }) => {
  channels.delete(id);
  if (link.address !== 0) native.send(link.address, [MessageKind.close, id]);
});

export class ObjectChannel implements Channel, RemotePlace, CallOrigin {
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
    if (container.broken !== undefined) {
      call.error(container.broken, false);
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
    if (call.request === undefined) {
      call.place = this;
      packedMessage(answer, call, (args, refs) => this.#tell([MessageKind.call, id, answer, call.path, args, refs]));
      return;
    }
    const request = requestMessage(call.request, call.frame);
    try {
      this.#tell([MessageKind.fetch, id, answer, request]);
    } catch (error) {
      dropAnswer(answer);
      unlendBody(request[4]);
      call.threw(error);
    }
  }

  #tell(message: unknown[]): void {
    native.sendToActor(this.#ns, this.#id, this.#name, message);
  }

  // RemotePlace.
  pipe(base: Outgoing, call: Outgoing): void {
    const { id, link } = this.#remote!;
    call.place = this;
    pipeMessage(base, call, link.address, this, (answer, args, refs) =>
      this.#tell([MessageKind.pipeActor, id, answer, base.answerId, call.path, args, refs]),
    );
  }

  // An answer came from there.
  reached(address: number): void {
    if (this.#remote !== undefined) this.#remote.link.address = address;
  }

  broke(error: ErrorData): void {
    this.#broken ??= error;
  }

  // What a copy of the stub needs, in any isolate.
  get address(): [ns: string, id: string, name: string | undefined] {
    return [this.#ns, this.#id, this.#name];
  }

  get ns(): string {
    return this.#ns;
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
  if (kind === MessageKind.pipeActor) {
    const [, , , base, path, args, refs] = message as PipeMessage;
    receivePiped(from, answer, base, path, args, refs);
    return;
  }
  const reply = new RemoteReply(from, answer);
  const known = serverChannel(from, channelId, undefined);
  if (known?.error !== undefined) {
    // It left before its caller knew.
    reply.error(known.error, kind === MessageKind.fetch);
    return;
  }
  const container = actorClass?.find(id, name);
  if (container === undefined) {
    reply.error(errorToData(connectionLost()), false);
    return;
  }
  const channel = serverChannel(from, channelId, container)!;
  if (kind === MessageKind.fetch) {
    const request = requestFromMessage((message as [number, number, number, RequestMessage])[3], from);
    container.accept(new ObjectCall(container, reply, [], undefined, request));
  } else {
    const [, , , path, args, refs] = message as [number, number, number, string[], unknown[] | undefined, WireRefs | undefined];
    const call = new ObjectCall(container, reply, path, argumentsFromWire(args, refs, from), undefined);
    reply.serve(call);
    container.accept(call);
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

// An own message that could not be delivered came back: the object's class or script is gone.
function bounced(message: readonly unknown[]): void {
  const [kind, channelId, answer] = message as [number, number, number];
  if (kind !== MessageKind.call && kind !== MessageKind.fetch && kind !== MessageKind.pipeActor) return;
  lost(answer)?.error(errorToData(connectionLost()), false);
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
    case MessageKind.response:
      answered(id, from)?.response(responseFromMessage(message[2] as ResponseMessage, from));
      return true;
    case MessageKind.opened: {
      const channel = channels.get(id)?.deref();
      channel?.reached(from);
      if (channel !== undefined) answersComeFrom(channel, from);
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
      return rpcMessage(from, message) || bodyMessage(from, message);
  }
}

// Runtime.peerGone. The shard of an isolate is in the low byte of its address (worker/shard.cc).
export function channelsPeerGone(address: number, why: PeerEnd, namespaces: readonly string[]): void {
  rpcPeerGone(address, why, namespaces);
  serverChannels.get(address)?.forEach((channel) => channel.detach());
  serverChannels.delete(address);
  bodiesPeerGone(address);
}
