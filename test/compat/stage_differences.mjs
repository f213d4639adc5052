// The table of differences.mjs for the cases about gates, life, sockets and alarms, in the same form.
export const stageDifferences = {
  'order: calls and fetches of one stub arrive in order': [
    'a stub keeps the order of its calls and fetches among each other; workerd delivers the fetches first',
    {"value":[0,"/1",2,"/3",4,"/5",6,"/7",8,"/9",10,"/11",12,"/13",14,"/15",16,"/17",18,"/19"]},
  ],
  'ctx: own properties and where members are': [
    'storage, exports and the like are accessors of the prototype until they are looked at: an instance that never touches them does not pay for them',
    {"value":[["id","props"],["abort","acceptWebSocket","blockConcurrencyWhile","constructor","container","exports","facets","getHibernatableWebSocketEventTimeout","getTags","getWebSocketAutoResponse","getWebSocketAutoResponseTimestamp","getWebSockets","id","setHibernatableWebSocketEventTimeout","setWebSocketAutoResponse","storage","waitUntil"],"[object DurableObjectState]","DurableObjectState",[["id",true,"object"],["storage",true,"object"],["props",true,"object"],["exports",true,"object"],["facets",true,"object"],["container",true,"undefined"]]]},
  ],
  'ctx: own properties after a look at each': [
    'container, which is never there, stays an accessor of the prototype',
    {"value":[["id",true,true,true,true],["storage",true,true,true,true],["props",true,true,true,true],["exports",true,true,true,true],["facets",true,true,true,true],"<undefined>"]},
  ],
  'shape: handlers that are put on the instance': [
    'handlers are looked up when an event comes; workerd looks them up once, after the constructor',
    {"value":["stage","replaced","!TypeError: The RPC receiver does not implement the method \"echo\". {remote}"]},
  ],
  'shape: handlers from getters and fields': [
    'handlers are looked up when an event comes; workerd looks them up once, after the constructor',
    {"value":["{\"reads\":1,\"thisIsUs\":true}","{\"reads\":2,\"thisIsUs\":true}",true]},
  ],
  'websocket: send() of a Blob': [
    'the bytes of a Blob are sent, as the standard says; workerd sends the text [object Blob]',
    {"value":["message Blob 4 ","message last"]},
  ],
  'websocket: send() of a lone surrogate': [
    'lone surrogates become U+FFFD, as the standard says; workerd makes three of one',
    {"value":["message lone � surrogate"]},
  ],
  'websocket events: abort in a handler': [
    'what was sent before the abort, with no write before it, is on its way',
    {"value":[["message never seen","close 1006 WebSocket disconnected without sending Close frame. false"],"!Error: in a message handler {durableObjectReset}",2,0]},
  ],
  'websocket response: with an end that was accepted': [
    'refused at once with the documented text; between objects workerd does not notice',
    {"value":"!TypeError: Can't return WebSocket in a Response after calling accept(). {remote}"},
  ],
  'websocket response: with an end that hibernates': [
    'refused at once with the documented text; between objects workerd does not notice',
    {"value":"!TypeError: Can't return WebSocket in a Response after calling acceptWebSocket(). {remote}"},
  ],
  'websocket response: the same one twice': [
    'refused at once with the documented text; between objects workerd does not notice',
    {"value":[101,"!TypeError: Can't return WebSocket that was already used in a response. {remote}"]},
  ],
  'websocket time-out: a handler that takes too long': [
    'the documented limit is enforced; workerd remembers it and lets the handler run on',
    {"value":[["close 1006 WebSocket disconnected without sending Close frame. false"],"!Error: Actor exceeded event execution time and was disconnected.",2]},
  ],
  'websocket close: hibernatable, the client closes': [
    "the runtime answers a hibernating socket's Close behind its handler from 2026-04-07 on, as Cloudflare documents; workerd leaves it to the handler whatever the date, so that a client that waits for the answer hangs",
    {"value":[["",true,["close 1005  true readyState=2 listed=true"],["close 1005  true readyState=3"]],["1000",true,["close 1000  true readyState=2 listed=true"],["close 1000  true readyState=3"]],["1000 bye",true,["close 1000 bye true readyState=2 listed=true"],["close 1000 bye true readyState=3"]],["1001",true,["close 1001  true readyState=2 listed=true"],["close 1001  true readyState=3"]],["1002 protocol",true,["close 1002 protocol true readyState=2 listed=true"],["close 1002 protocol true readyState=3"]],["1007",true,["close 1007  true readyState=2 listed=true"],["close 1007  true readyState=3"]],["1008",true,["close 1008  true readyState=2 listed=true"],["close 1008  true readyState=3"]],["1009 big",true,["close 1009 big true readyState=2 listed=true"],["close 1009 big true readyState=3"]],["1010",true,["close 1010  true readyState=2 listed=true"],["close 1010  true readyState=3"]],["1011 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",true,["close 1011 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx true readyState=2 listed=true"],["close 1011 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx true readyState=3"]],["1012",true,["close 1012  true readyState=2 listed=true"],["close 1012  true readyState=3"]],["1014",true,["close 1014  true readyState=2 listed=true"],["close 1014  true readyState=3"]],["1016",true,["close 1016  true readyState=2 listed=true"],["close 1016  true readyState=3"]],["2999",true,["close 2999  true readyState=2 listed=true"],["close 2999  true readyState=3"]],["3000 \u00e9",true,["close 3000 \u00e9 true readyState=2 listed=true"],["close 3000 \u00e9 true readyState=3"]],["4999 end",true,["close 4999 end true readyState=2 listed=true"],["close 4999 end true readyState=3"]]]},
  ],
  'websocket events: arguments and this': [
    "the runtime answers a hibernating socket's Close behind its handler from 2026-04-07 on, as Cloudflare documents; workerd leaves it to the handler whatever the date, so that a client that waits for the answer hangs",
    {"value":[["message [[\"x\"],true,true,1]","close 3000 r true readyState=3"],[[[3000,"r",true],2]]]},
  ],
  'websocket response: passed on by another object, as it is and copied': [
    "the runtime answers a hibernating socket's Close behind its handler from 2026-04-07 on, as Cloudflare documents; workerd leaves it to the handler whatever the date, so that a client that waits for the answer hangs",
    {"value":[[["message echo hello","close 3000 through true readyState=3"],["message echo hello","close 3000 through true readyState=3"]],["close 3000 through true readyState=2 listed=true","close 3000 through true readyState=2 listed=true"]]},
  ],
  'websocket: plain, an exception in a handler leaves the socket open': [
    'an exception of a listener is reported and the next listener runs, as in browsers and at Cloudflare from 2026-09-15 on (spec_compliant_dispatch_exceptions); workerd ends the socket before that date',
    {"value":["message echo after"]},
  ],
  'websocket: half-open, an exception in a handler leaves the socket open': [
    'an exception of a listener is reported and the next listener runs, as in browsers and at Cloudflare from 2026-09-15 on (spec_compliant_dispatch_exceptions); workerd ends the socket before that date',
    {"value":["message echo after"]},
  ],
  'websocket: a listener that throws': [
    'an exception of a listener is reported and the next listener runs, as in browsers and at Cloudflare from 2026-09-15 on (spec_compliant_dispatch_exceptions); workerd ends the socket before that date',
    {"value":["x","second listener","y","second listener"]},
  ],
  'abort: nothing runs after it': [
    'a microtask that was queued before abort() still runs, because the objects of an isolate share the queue; it reaches neither storage nor anything outside',
    {"value":["!Error: terminated {durableObjectReset}",["microtask"]]},
  ],
};
