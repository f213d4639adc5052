// Every limit of the house, with its unit last. Queues, batches, sizes, retries: full is an error to the caller.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hf::limits {

// HTTP front door (net, gateway)
inline constexpr std::size_t kHeaderBytesMax = 128 * 1024;
inline constexpr std::size_t kHeaderCountMax = 256;
inline constexpr std::size_t kTargetBytesMax = 32 * 1024;
inline constexpr std::size_t kConnectionsMax = 100'000;
inline constexpr std::chrono::seconds kHeaderTimeout{30};
inline constexpr std::chrono::seconds kIdleTimeout{120};
inline constexpr std::chrono::seconds kBodyTimeout{60};
inline constexpr std::chrono::seconds kWriteTimeout{60};
inline constexpr std::size_t kBodyWindowBytes = 256 * 1024;
inline constexpr std::size_t kWebSocketMessageBytesMax = 32 * 1024 * 1024;
// What may wait in a WebSocket pipe: for its end to be attached, or for a client that does not read.
inline constexpr std::size_t kPipeWaitingBytesMax = 64 * 1024 * 1024;
// Messages of one client that may be under way to JavaScript before its socket is no longer read.
inline constexpr std::size_t kSocketUnackedMessagesMax = 64;
inline constexpr std::size_t kSocketUnackedBytesMax = 1024 * 1024;

// Workers (js, worker)
inline constexpr std::size_t kHeapBytesDefault = 128 * 1024 * 1024;
inline constexpr std::chrono::milliseconds kCpuPerTurnDefault{30'000};
inline constexpr std::chrono::seconds kCpuAtCheckMax{2};  // to start the code of an upload, whatever a turn may take

// Objects (actor, storage; spec durable-objects 4.4, 7.3)
inline constexpr std::size_t kKeyPlusValueBytesMax = 2'097'152;
inline constexpr std::size_t kKeysPerCallMax = 128;
inline constexpr std::size_t kStatementCacheTextBytesMax = 1024 * 1024;
inline constexpr std::size_t kStatementCacheCountMax = 100;
inline constexpr std::chrono::seconds kSqlStatementTimeMax{30};
// Pages that one transaction may have changed, before it ends in SQLITE_FULL. They stay in memory until the commit.
inline constexpr std::size_t kTransactionBytesMax = 128 * 1024 * 1024;
// What SQLite may allocate while one statement runs: a transaction at its limit with its rollback journal, and sorters.
inline constexpr std::size_t kStatementMemoryBytesMax = 384 * 1024 * 1024;
inline constexpr std::size_t kOpenObjectFilesMax = 512;
// Databases of an isolate that keep a connection between turns: those used in one turn so far, and the others.
inline constexpr std::size_t kDatabaseConnectionsUsedOnceMax = 256;
inline constexpr std::size_t kDatabaseConnectionsMax = 4096;
// Alarms under way on a shard: those that began less than kAlarmRunLong ago, and all of them.
inline constexpr std::size_t kAlarmRunsRecentMax = 256;
inline constexpr std::size_t kAlarmRunsMax = 2048;
inline constexpr std::chrono::milliseconds kAlarmRunLong{1000};
inline constexpr std::size_t kRpcBytesMax = 32 * 1024 * 1024;
inline constexpr std::size_t kAttachmentBytesMax = 16'384;
inline constexpr std::size_t kSocketsPerObjectMax = 32'768;

// Control plane (api)
inline constexpr std::size_t kUploadBytesMax = 64 * 1024 * 1024;
inline constexpr std::size_t kVersionTextBytesMax = 4 * 1024 * 1024;  // metadata, bindings and annotations as JSON
inline constexpr std::size_t kScriptSettingsBytesMax = 256 * 1024;
// A database that replaces an object's: one commit, and in memory for a moment.
inline constexpr std::size_t kImportBytesMax = 128 * 1024 * 1024;
inline constexpr std::size_t kMaintenanceJobsMax = 4;  // backups, exports, imports at once

// Process
inline constexpr std::chrono::seconds kDrainTimeout{30};

}  // namespace hf::limits
