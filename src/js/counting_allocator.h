// CountingAllocator: ArrayBuffer memory with a budget per environment.
// V8's heap limit does not see these bytes. Beyond the budget an allocation fails, V8 collects garbage and tries again,
// and then user code gets `RangeError: Array buffer allocation failed`.
// Thread: any; V8 frees buffers from its helper threads.
#pragma once

#include <node.h>

#include <atomic>
#include <cstddef>
#include <memory>

namespace hf::js {

class CountingAllocator final : public node::ArrayBufferAllocator {
 public:
  explicit CountingAllocator(std::size_t bytesMax)
      : inner_(node::ArrayBufferAllocator::Create()), bytesMax_(bytesMax) {}

  void* Allocate(std::size_t length) override {
    return take(length) ? orGiveBack(inner_->Allocate(length), length) : nullptr;
  }
  void* AllocateUninitialized(std::size_t length) override {
    return take(length) ? orGiveBack(inner_->AllocateUninitialized(length), length) : nullptr;
  }
  void Free(void* data, std::size_t length) override {
    inner_->Free(data, length);
    bytes_.fetch_sub(length, std::memory_order_relaxed);
  }
  v8::PageAllocator* GetPageAllocator() override { return inner_->GetPageAllocator(); }

  [[nodiscard]] std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  bool take(std::size_t length) {
    if (length <= bytesMax_ && bytes_.fetch_add(length, std::memory_order_relaxed) <= bytesMax_ - length) return true;
    if (length <= bytesMax_) bytes_.fetch_sub(length, std::memory_order_relaxed);
    return false;
  }
  void* orGiveBack(void* data, std::size_t length) {
    if (data == nullptr) bytes_.fetch_sub(length, std::memory_order_relaxed);
    return data;
  }
  // Node would use its own allocator's shortcuts, which go past the count. Without it Node asks V8 like anybody.
  node::NodeArrayBufferAllocator* GetImpl() override { return nullptr; }

  const std::unique_ptr<node::ArrayBufferAllocator> inner_;
  const std::size_t bytesMax_;
  std::atomic<std::size_t> bytes_{0};
};

}  // namespace hf::js
