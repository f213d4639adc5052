// A thread for what reads much from the disk on somebody's behalf: one job after another.
// Thread:  post: any. With Drive::kSteps there is no thread: step() runs one job.
// Close:   the destructor finishes the job under way and drops those that wait.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/executor.h"
#include "ledger/ledger.h"

namespace hf::storage {

class JobThread final {
 public:
  explicit JobThread(ledger::Drive drive);
  ~JobThread();
  JobThread(const JobThread&) = delete;
  JobThread& operator=(const JobThread&) = delete;

  void post(Task job);
  // False: none waits.
  bool step();
  // No job runs when it returns, and none will.
  void stop();

 private:
  void loop();

  const ledger::Drive drive_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_
  std::deque<Task> jobs_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace hf::storage
