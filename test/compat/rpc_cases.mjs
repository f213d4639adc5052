// All cases about RPC, ids, stubs, errors, entrypoints and exports, by theme.
import { entrypointCases } from './entrypoint_cases.mjs';
import { rpcErrorCases } from './rpc_error_cases.mjs';
import { rpcLifetimeCases } from './rpc_lifetime_cases.mjs';
import { rpcPipelineCases } from './rpc_pipeline_cases.mjs';
import { rpcReceiverCases } from './rpc_receiver_cases.mjs';
import { rpcReferenceCases } from './rpc_reference_cases.mjs';
import { rpcStreamCases } from './rpc_stream_cases.mjs';
import { rpcValuesCases } from './rpc_values_cases.mjs';
import { stubCases } from './stub_cases.mjs';

export const rpcCases = {
  ...entrypointCases,
  ...rpcErrorCases,
  ...rpcLifetimeCases,
  ...rpcPipelineCases,
  ...rpcReceiverCases,
  ...rpcReferenceCases,
  ...rpcStreamCases,
  ...rpcValuesCases,
  ...stubCases,
};
