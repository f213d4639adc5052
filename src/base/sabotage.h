// Mistakes that the code makes on purpose when it is told to, each at the place where it could be made by accident: the
// simulator (src/sim) must notice every one of them, or its checks are worth nothing. Off, each costs a comparison.
// Nothing but simulators and tests sets one; it travels in LedgerOptions and StoreOptions.
#pragma once

#include <cstdint>

namespace hf {

enum class Sabotage : std::uint8_t {
  kNone,
  // Ledger
  kLedgerSyncSkipped,         // a batch is written, not synced
  kDurableBeforeSync,         // it counts as durable while its sync is still under way
  kSyncRepeated,              // a failed sync is tried again, and believed
  kPayloadUnchecked,          // recovery takes a batch's payload as it is
  kBatchHeaderUnchecked,      // and its header, whatever use of the segment it is of
  kSaltRepeated,              // a segment's new use has the old one's salt
  kRetiredTooFar,             // the mark says more than what is in files
  kReusedBeforeMark,          // segments are used again before the mark lets them go
  kMarkNotSynced,             // the mark takes its name before its bytes are there
  kLedgerDirectoryNotSynced,  // a segment is used whose name may be forgotten
  kFirstSegmentOnly,          // recovery stops at the end of the first segment
  kLastBatchNotRewritten,     // recovery believes what it reads to be durable
  kGroupSplit,                // the commits of a group are records of their own
  // Storage
  kSizeForgotten,             // recovery leaves a database as large as it was
  kAlarmForgotten,            // recovery passes over changes of alarms
  kNamespaceDeletionIgnored,  // and over deletions of namespaces
  kStaleBase,                 // a change to an image that a checkpoint has taken away
  kChangedPageDropped,        // a page that changed while it was copied leaves the overlay all the same
  kFilesNotSynced,            // objects' files are written, not synced
  kFileDirectoriesNotSynced,  // nor their names
  kRetiredBeforeFiles,        // the ledger forgets before the files are written
  kAlarmsNotSaved,            // it forgets alarms that are in no file
  kPageUnchecked,             // a page of a file is served whatever its checksum says
  // History
  kUndoSkipped,       // what a checkpoint overwrites is not saved
  kArchiveSkipped,    // what the ledger forgets is not kept
  kRestoreForgotten,  // recovery passes over requests for a restoration
  kCount,
};

inline constexpr const char* name(Sabotage sabotage) {
  constexpr const char* kNames[] = {"none",
                                    "ledger-sync-skipped",
                                    "durable-before-sync",
                                    "sync-repeated",
                                    "payload-unchecked",
                                    "batch-header-unchecked",
                                    "salt-repeated",
                                    "retired-too-far",
                                    "reused-before-mark",
                                    "mark-not-synced",
                                    "ledger-directory-not-synced",
                                    "first-segment-only",
                                    "last-batch-not-rewritten",
                                    "group-split",
                                    "size-forgotten",
                                    "alarm-forgotten",
                                    "namespace-deletion-ignored",
                                    "stale-base",
                                    "changed-page-dropped",
                                    "files-not-synced",
                                    "file-directories-not-synced",
                                    "retired-before-files",
                                    "alarms-not-saved",
                                    "page-unchecked",
                                    "undo-skipped",
                                    "archive-skipped",
                                    "restore-forgotten"};
  static_assert(sizeof kNames / sizeof kNames[0] == static_cast<std::size_t>(Sabotage::kCount));
  return kNames[static_cast<std::size_t>(sabotage)];
}

}  // namespace hf
