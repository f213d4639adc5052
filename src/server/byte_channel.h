// Bytes from a thread that makes them to the control thread, a few pieces ahead at most.
// Thread:  push, close: the maker's. The reader: control. cancel, isCancelled: any.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "api/maintenance.h"
#include "base/bytes.h"
#include "base/executor.h"
#include "base/result.h"

namespace hf::server {

class ByteChannel final {
 public:
  explicit ByteChannel(Executor& control) : control_(control) {}

  // Waits while the reader is behind. kCancelled: nobody wants more.
  Result<void> push(Bytes piece);
  // The end, good or bad. What was pushed is read first, unless it is bad.
  void close(Result<void> result);

  // The making ends with kCancelled, and so does the reading.
  void cancel();
  [[nodiscard]] bool isCancelled() const;

  // The reading end; once. Dropping it cancels.
  static api::Maintenance::StreamPtr readerOf(std::shared_ptr<ByteChannel> channel);

 private:
  class Reader;
  void read(Completion<Result<Bytes>> done);
  // mutex_ held. Answers a reader that waits, if there is something to say.
  void deliver();

  Executor& control_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  // Guarded by mutex_
  std::deque<Bytes> pieces_;
  std::optional<Result<void>> end_;
  Completion<Result<Bytes>> waiting_;
  bool cancelled_ = false;
};

}  // namespace hf::server
