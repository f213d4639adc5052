#include "storage/job_thread.h"

#include <utility>

namespace hf::storage {

JobThread::JobThread(ledger::Drive drive) : drive_(drive) {
  if (drive_ == ledger::Drive::kThreads) thread_ = std::thread([this] { loop(); });
}

JobThread::~JobThread() { stop(); }

void JobThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  jobs_.clear();
}

void JobThread::post(Task job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

bool JobThread::step() {
  Task job;
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.empty() || stopping_) return false;
    job = std::move(jobs_.front());
    jobs_.pop_front();
  }
  job();
  return true;
}

void JobThread::loop() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
    }
    step();
  }
}

}  // namespace hf::storage
