// For benches and fuzz targets: a ledger that takes every record and forgets it.
#pragma once

#include <cstdint>
#include <memory>

#include "ledger/ledger.h"

namespace hf::storage {

class ForgetfulLedger final : public ledger::Ledger {
 public:
  Result<ledger::Position> append(const ledger::CommitRecord&) override {
    tail_ += 100;
    return ledger::Position{tail_};
  }
  Result<ledger::Position> append(std::span<const ledger::CommitRecord>) override {
    tail_ += 100;
    return ledger::Position{tail_};
  }
  Result<ledger::Position> append(const ledger::NamespaceDeletion&) override { return ledger::Position{tail_}; }
  Result<ledger::Position> append(const ledger::UndoRecord&) override { return ledger::Position{tail_}; }
  Result<ledger::Position> append(const ledger::RestoreRequest&) override { return ledger::Position{tail_}; }
  Result<void> read(ledger::Position, ledger::Position, ledger::RecordSink&) override { return {}; }
  std::unique_ptr<Hold> hold() override { return nullptr; }
  ledger::LedgerId id() const override { return {}; }
  ledger::Position tail() const override { return {tail_}; }
  ledger::Position durable() const override { return {tail_}; }
  Result<void> waitDurable(ledger::Position) override { return {}; }
  void addListener(Executor&, ledger::DurabilityListener&) override {}
  void removeListener(ledger::DurabilityListener&) override {}
  Result<void> retire(ledger::Position) override { return {}; }
  ledger::Position retired() const override { return {tail_}; }
  ledger::LedgerStats stats() const override { return {}; }
  const ledger::RecoveryReport& recovery() const override { return report_; }

 private:
  std::uint64_t tail_ = 0;
  ledger::RecoveryReport report_;
};

}  // namespace hf::storage
