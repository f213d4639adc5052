// The table of differences.mjs for the cases of network_cases.mjs, in the same form.
export const networkDifferences = {
  'network: plain, a reserved bit': [
    'who breaks the protocol is told so in a Close frame; the one of workerd is too long to be one',
    {"value":[["open","text echo before","close 1002"],[]]},
  ],
  'network: plain, a ping of 126 bytes': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1002"],[]]},
  ],
  'network: plain, a Close of one byte': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1002"],[]]},
  ],
  'network: plain, a Close with code 999': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1002"],[]]},
  ],
  'network: plain, a Close with code 1005': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1002"],[]]},
  ],
  'network: plain, text that is no UTF-8': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1007"],[]]},
  ],
  'network: hibernatable, a ping of 126 bytes': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1002"],["error"]]},
  ],
  'network: hibernatable, a reserved opcode': [
    'who breaks the protocol is told so in a Close frame; workerd says nothing for a hibernating socket',
    {"value":[["open","text echo before","close 1002"],["error"]]},
  ],
  'network: hibernatable, a Close of one byte': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1002"],["error"]]},
  ],
  'network: hibernatable, a reserved bit': [
    'who breaks the protocol is told so in a Close frame; workerd says nothing for a hibernating socket',
    {"value":[["open","text echo before","close 1002"],["error"]]},
  ],
  'network: hibernatable, a Close with code 1005': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1002"],["error"]]},
  ],
  'network: hibernatable, a continuation of nothing': [
    'who breaks the protocol is told so in a Close frame; workerd says nothing for a hibernating socket',
    {"value":[["open","text echo before","close 1002"],["error"]]},
  ],
  'network: hibernatable, a ping in pieces': [
    'who breaks the protocol is told so in a Close frame; workerd says nothing for a hibernating socket',
    {"value":[["open","text echo before","close 1002"],["error"]]},
  ],
  'network: hibernatable, a message in a message': [
    'who breaks the protocol is told so in a Close frame; workerd says nothing for a hibernating socket',
    {"value":[["open","text echo before","close 1002"],["error"]]},
  ],
  'network: plain, a frame without a mask': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1002"],[]]},
  ],
  'network: hibernatable, sent and closed before the upgrade': [
    'the Close frame reaches the client; workerd loses it',
    {"value":[["open","text early","text early too","close 3001 at once"],["close 3001 at once true"]]},
  ],
  'network: hibernatable, a Close with code 999': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1002"],["error"]]},
  ],
  'network: hibernatable, text that is no UTF-8': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1007"],["error"]]},
  ],
  'network: hibernatable, a frame without a mask': [
    'who breaks the protocol is told so in a Close frame; workerd lets it pass',
    {"value":[["open","text echo before","close 1002"],["error"]]},
  ],
};
