// Why the process ended itself. `holdfast serve` then starts anew in its own place (server/restart.h); with
// `--on-failure exit` these are its exit codes, and whoever sees one starts it again: every acknowledged write is on
// disk.
#pragma once

namespace hf::js {

// A turn was terminated (CPU or heap limit) and still ran after the grace period: V8 cannot be stopped there.
inline constexpr int kExitRunawayTurn = 75;
// V8 ran out of memory beyond what the heap limit's callback could rescue.
inline constexpr int kExitOutOfMemory = 76;
// V8 or Node found itself broken (FatalError, abort).
inline constexpr int kExitEngineFatal = 77;

}  // namespace hf::js
