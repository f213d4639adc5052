// The command line of the commands beside `serve` and `env`.
// Thread:  one. No V8 here.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

namespace hf::server {

class ToolCommands final {
 public:
  // Adds the commands to `app`, which outlives this.
  explicit ToolCommands(CLI::App& app);
  ~ToolCommands();
  ToolCommands(const ToolCommands&) = delete;
  ToolCommands& operator=(const ToolCommands&) = delete;

  // After parsing: what was asked for, and its exit code when it has run; empty if it was none of these.
  [[nodiscard]] std::function<int()> chosen() const;

 private:
  struct Values;
  std::unique_ptr<Values> values_;
};

}  // namespace hf::server
