#include "base/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace hf {
namespace {

std::unexpected<Error> systemFailure(int code, std::string_view action, const std::string& path) {
  Errc errc = Errc::kIo;
  if (code == ENOSPC || code == EDQUOT) errc = Errc::kNoSpace;
  if (code == ENOENT) errc = Errc::kNotFound;
  if (code == EEXIST) errc = Errc::kAlreadyExists;
  return fail(errc, std::string(action) + " " + path + ": " + std::generic_category().message(code));
}

class SystemFile final : public File {
 public:
  SystemFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~SystemFile() override { ::close(fd_); }
  SystemFile(const SystemFile&) = delete;
  SystemFile& operator=(const SystemFile&) = delete;

  Result<std::size_t> readAt(std::uint64_t offset, std::span<std::uint8_t> out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return systemFailure(errno, "read", path_);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Result<void> writeAt(std::uint64_t offset, std::span<const BytesView> parts) override {
    // As many parts as the kernel takes with one call; `skip` bytes of parts[next] are written already.
    static constexpr std::size_t kVectors = 256;
    std::array<iovec, kVectors> vectors;
    std::size_t next = 0;
    std::size_t skip = 0;
    while (next < parts.size()) {
      std::size_t count = 0;
      for (std::size_t i = next; i < parts.size() && count < kVectors; i++) {
        const BytesView part = i == next ? parts[i].subspan(skip) : parts[i];
        vectors[count++] = {const_cast<std::uint8_t*>(part.data()), part.size()};
      }
      const ssize_t put = ::pwritev(fd_, vectors.data(), static_cast<int>(count), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return systemFailure(errno, "write", path_);
      offset += static_cast<std::uint64_t>(put);
      skip += static_cast<std::size_t>(put);
      const std::size_t before = next;
      while (next < parts.size() && skip >= parts[next].size()) skip -= parts[next++].size();
      if (put == 0 && next == before) return systemFailure(EIO, "write (nothing was taken)", path_);
    }
    return {};
  }

  Result<void> sync() override {
    // Never repeated, not even after EINTR: what a failed sync leaves behind is unknown.
    if (::fdatasync(fd_) != 0) return systemFailure(errno, "fdatasync", path_);
    return {};
  }

  Result<void> allocate(std::uint64_t bytes) override {
    int code = 0;
    do {
      code = ::posix_fallocate(fd_, 0, static_cast<off_t>(bytes));
    } while (code == EINTR);
    if (code != 0) return systemFailure(code, "reserve space for", path_);
    return {};
  }

  Result<void> truncate(std::uint64_t bytes) override {
    int code = 0;
    do {
      code = ::ftruncate(fd_, static_cast<off_t>(bytes));
    } while (code != 0 && errno == EINTR);
    if (code != 0) return systemFailure(errno, "truncate", path_);
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat info{};
    if (::fstat(fd_, &info) != 0) return systemFailure(errno, "stat", path_);
    return static_cast<std::uint64_t>(info.st_size);
  }

 private:
  // Fixed once made
  const int fd_;
  const std::string path_;
};

class SystemFileSystem final : public FileSystem {
 public:
  SystemFileSystem(int fd, std::string directory) : fd_(fd), directory_(std::move(directory)) {}
  ~SystemFileSystem() override { ::close(fd_); }
  SystemFileSystem(const SystemFileSystem&) = delete;
  SystemFileSystem& operator=(const SystemFileSystem&) = delete;

  Result<void> sync() override {
    if (::syncfs(fd_) != 0) return systemFailure(errno, "sync file system of", directory_);
    return {};
  }

 private:
  // Fixed once made
  const int fd_;
  const std::string directory_;
};

class SystemDisk final : public Disk {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    switch (mode) {
      case OpenMode::kRead:
        flags |= O_RDONLY;
        break;
      case OpenMode::kReadWrite:
        flags |= O_RDWR;
        break;
      case OpenMode::kCreate:
        flags |= O_RDWR | O_CREAT;
        break;
      case OpenMode::kCreateNew:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
    }
    int fd = -1;
    do {
      fd = ::open(path.c_str(), flags, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return systemFailure(errno, "open", path);
    return std::make_unique<SystemFile>(fd, path);
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* handle = ::opendir(directory.c_str());
    if (handle == nullptr) return systemFailure(errno, "list", directory);
    std::vector<std::string> names;
    int code = 0;
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(handle);
      if (entry == nullptr) {
        code = errno;
        break;
      }
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(handle);
    if (code != 0) return systemFailure(code, "list", directory);
    std::ranges::sort(names);
    return names;
  }

  Result<void> makeDirectories(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return systemFailure(error.value(), "make directory", path);
    return {};
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return systemFailure(errno, "rename to " + to + " from", from);
    return {};
  }

  Result<void> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return systemFailure(errno, "remove", path);
    return {};
  }

  Result<void> removeTree(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return systemFailure(error.value(), "remove", path);
    return {};
  }

  Result<void> syncDirectory(const std::string& directory) override {
    const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return systemFailure(errno, "open directory", directory);
    const int code = ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    if (code != 0) return systemFailure(code, "fsync directory", directory);
    return {};
  }

  Result<std::unique_ptr<FileSystem>> openFileSystem(const std::string& directory) override {
    const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return systemFailure(errno, "open directory", directory);
    return std::make_unique<SystemFileSystem>(fd, directory);
  }

  Result<bool> exists(const std::string& path) override {
    if (::access(path.c_str(), F_OK) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return systemFailure(errno, "look for", path);
  }

  Result<std::uint64_t> freeBytes(const std::string& path) override {
    struct statvfs info{};
    if (::statvfs(path.c_str(), &info) != 0) return systemFailure(errno, "statvfs", path);
    return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  }
};

}  // namespace

Disk& systemDisk() {
  static SystemDisk disk;
  return disk;
}

}  // namespace hf
