// The tables of DIR/catalog.sqlite. PRAGMA user_version holds the number of the last migration applied; a file with a
// greater one is refused.
#pragma once

#include <array>

namespace hf::catalog {

// kSchema[n] takes a file from version n to n + 1. Never edit one that was released: append.
inline constexpr std::array kSchema = {
    R"sql(
CREATE TABLE accounts(
  id TEXT PRIMARY KEY NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE scripts(
  tag TEXT PRIMARY KEY NOT NULL,                -- 32 hex
  account TEXT NOT NULL REFERENCES accounts(id),
  name TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL,
  migration_tag TEXT,
  uses_exports INTEGER NOT NULL,
  settings TEXT NOT NULL,                       -- JSON: logpush, observability, tags, tail_consumers
  subdomain_enabled INTEGER NOT NULL,
  previews_enabled INTEGER NOT NULL,
  last_version_number INTEGER NOT NULL,
  last_upload_hash TEXT NOT NULL,
  UNIQUE(account, name)
) STRICT;

CREATE TABLE versions(
  id TEXT PRIMARY KEY NOT NULL,                 -- uuid
  script TEXT NOT NULL REFERENCES scripts(tag) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  metadata TEXT NOT NULL,                       -- JSON, keys in records.h
  bindings TEXT NOT NULL,                       -- JSON array; holds secrets
  annotations TEXT NOT NULL,                    -- JSON
  UNIQUE(script, number)
) STRICT;

-- Contents are kept once: a version made by `secret put` has the modules of the one before.
CREATE TABLE contents(
  sha256 BLOB PRIMARY KEY NOT NULL,
  bytes BLOB NOT NULL
) STRICT;

CREATE TABLE modules(
  version TEXT NOT NULL REFERENCES versions(id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,                           -- esm, text, data, wasm, json, source-map
  content BLOB NOT NULL REFERENCES contents(sha256),
  PRIMARY KEY(version, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX modules_by_content ON modules(content);

CREATE TABLE deployments(
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,   -- the greatest of a script is the current one
  id TEXT NOT NULL UNIQUE,                      -- uuid
  script TEXT NOT NULL REFERENCES scripts(tag) ON DELETE CASCADE,
  created_ms INTEGER NOT NULL,
  source TEXT NOT NULL,
  annotations TEXT NOT NULL,                    -- JSON
  update_mode TEXT NOT NULL,                    -- deferred, immediate
  update_max_delay_s INTEGER NOT NULL
) STRICT;
CREATE INDEX deployments_by_script ON deployments(script, sequence);

CREATE TABLE deployment_parts(
  deployment INTEGER NOT NULL REFERENCES deployments(sequence) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  version TEXT NOT NULL REFERENCES versions(id) ON DELETE CASCADE,
  percentage REAL NOT NULL,
  PRIMARY KEY(deployment, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX deployment_parts_by_version ON deployment_parts(version);

CREATE TABLE namespaces(
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,   -- the order in which lists show them
  id TEXT NOT NULL UNIQUE,                      -- 32 hex
  script TEXT NOT NULL REFERENCES scripts(tag),
  class TEXT NOT NULL,
  use_sqlite INTEGER NOT NULL
) STRICT;
CREATE INDEX namespaces_by_script ON namespaces(script);

-- Gone from the catalog, their objects' data perhaps not yet from the disk.
CREATE TABLE pending_namespace_deletions(
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  queued_ms INTEGER NOT NULL
) STRICT;
)sql",
};

}  // namespace hf::catalog
