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
};
