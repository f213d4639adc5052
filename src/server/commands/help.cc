#include "server/commands/help.h"

#include <sstream>
#include <utility>

namespace hf::server {
namespace {

constexpr const char* kUsualExitCodes =
    "0  done\n"
    "1  it could not be done; standard error says why\n"
    "2  the command line is not understood";

std::string indented(const std::string& text) {
  std::ostringstream out;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) out << (line.empty() ? "" : "    ") << line << "\n";
  return out.str();
}

class ManualFormatter final : public CLI::Formatter {
 public:
  explicit ManualFormatter(Manual manual) : manual_(std::move(manual)) { column_width(30); }

  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode /*mode*/) const override {
    std::ostringstream out;
    out << "NAME\n    " << name << " - " << app->get_description() << "\n\nSYNOPSIS\n";
    for (const std::string& line : manual_.synopsis) out << "    holdfast " << line << "\n";
    out << "\nDESCRIPTION\n" << indented(manual_.description) << "\nOPTIONS\n";
    std::string group = make_positionals(app) + make_groups(app, CLI::AppFormatMode::Normal);
    // CLI11 heads its groups; the manual has one head for all.
    std::istringstream lines(group);
    std::string line;
    while (std::getline(lines, line)) {
      if (line.starts_with("  ")) out << "  " << line << "\n";
    }
    out << "\nEXIT CODES\n" << indented(manual_.exitCodes.empty() ? kUsualExitCodes : manual_.exitCodes);
    if (!manual_.examples.empty()) out << "\nEXAMPLES\n" << indented(manual_.examples);
    return out.str();
  }

 private:
  const Manual manual_;
};

}  // namespace

void setManual(CLI::App& command, Manual manual) {
  // Two owners: CLI11 asks for a shared pointer.
  command.formatter(std::make_shared<ManualFormatter>(std::move(manual)));
}

}  // namespace hf::server
