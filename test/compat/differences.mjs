// Where Holdfast is meant to differ from the workerd binary: case name -> [reason, what Holdfast answers].
// A case listed here fails when Holdfast no longer differs in this way, so that the table stays true.
import { networkDifferences } from './network_differences.mjs';
import { rpcDifferences } from './rpc_differences.mjs';
import { stageDifferences } from './stage_differences.mjs';
import { storageDifferences } from './storage_differences.mjs';

const noTransactions =
  'To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements. The JavaScript API is safer because it will automatically roll back on exceptions, and because it interacts correctly with Durable Objects\' automatic atomic write coalescing.';

export const differences = {
  ...rpcDifferences,
  ...storageDifferences,
  ...stageDifferences,
  ...networkDifferences,
  'id: get refuses an id of another namespace': [
    'workerd makes a stub that no call can succeed with; we say at once what is wrong, with the text of idFromString()',
    { value: { error: { name: 'TypeError', message: 'Durable Object ID is not valid for this namespace.' } } },
  ],
  'sql: what is not allowed': [
    'SQLite is built without load_extension(), so that it is unknown rather than forbidden (the last of the statements)',
    {"value": {"value": [noTransactions, noTransactions, noTransactions, "not authorized: SQLITE_AUTH", "not authorized: SQLITE_AUTH", "not authorized: SQLITE_AUTH", "no such table: _cf_KV: SQLITE_ERROR", "not authorized: SQLITE_AUTH", "not authorized: SQLITE_AUTH", "not authorized: SQLITE_AUTH", "not authorized: SQLITE_AUTH", "not authorized to use function: sqlite_version at offset 7: SQLITE_ERROR", "cannot VACUUM from within a transaction: SQLITE_ERROR", "no such function: load_extension at offset 7: SQLITE_ERROR"]}},
  ],
};
