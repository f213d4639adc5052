// All cases about RPC, ids, stubs, errors, entrypoints and exports, by theme.
import { rpcReceiverCases } from './rpc_receiver_cases.mjs';

export const rpcCases = {
  ...rpcReceiverCases,
};
