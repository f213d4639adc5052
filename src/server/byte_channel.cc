#include "server/byte_channel.h"

#include <utility>

#include "base/check.h"

namespace hf::server {
namespace {

constexpr std::size_t kPiecesMax = 4;

}  // namespace

class ByteChannel::Reader final : public api::ByteStream {
 public:
  explicit Reader(std::shared_ptr<ByteChannel> channel) : channel_(std::move(channel)) {}
  ~Reader() override { channel_->cancel(); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  void read(Completion<Result<Bytes>> done) override { channel_->read(std::move(done)); }

 private:
  const std::shared_ptr<ByteChannel> channel_;  // with the maker
};

api::Maintenance::StreamPtr ByteChannel::readerOf(std::shared_ptr<ByteChannel> channel) {
  return std::make_shared<Reader>(std::move(channel));
}

Result<void> ByteChannel::push(Bytes piece) {
  if (piece.empty()) return {};
  std::unique_lock lock(mutex_);
  room_.wait(lock, [this] { return cancelled_ || pieces_.size() < kPiecesMax; });
  if (cancelled_) return fail(Errc::kCancelled, "nobody reads any more");
  HF_CHECK(!end_, "nothing comes after the end");
  pieces_.push_back(std::move(piece));
  deliver();
  return {};
}

void ByteChannel::close(Result<void> result) {
  const std::scoped_lock lock(mutex_);
  if (!result) pieces_.clear();
  end_ = std::move(result);
  deliver();
}

void ByteChannel::cancel() {
  const std::scoped_lock lock(mutex_);
  cancelled_ = true;
  pieces_.clear();
  if (!end_) end_ = fail(Errc::kCancelled, "the server is stopping");
  room_.notify_all();
  deliver();
}

bool ByteChannel::isCancelled() const {
  const std::scoped_lock lock(mutex_);
  return cancelled_;
}

void ByteChannel::read(Completion<Result<Bytes>> done) {
  const std::scoped_lock lock(mutex_);
  HF_CHECK(waiting_ == nullptr, "one read at a time");
  waiting_ = std::move(done);
  deliver();
}

void ByteChannel::deliver() {
  if (waiting_ == nullptr || (pieces_.empty() && !end_)) return;
  Result<Bytes> answer = Bytes();
  if (!pieces_.empty()) {
    answer = std::move(pieces_.front());
    pieces_.pop_front();
    room_.notify_all();
  } else if (!*end_) {
    answer = std::unexpected(end_->error());
  }
  control_.post(
      [done = std::exchange(waiting_, nullptr), answer = std::move(answer)]() mutable { done(std::move(answer)); });
}

}  // namespace hf::server
