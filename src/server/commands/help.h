// Help that reads like a manual page: NAME, SYNOPSIS, DESCRIPTION, OPTIONS, EXIT CODES, EXAMPLES. Of the options CLI11
// knows everything; the rest is the command's own text.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

namespace hf::server {

struct Manual {
  std::vector<std::string> synopsis;  // without the program's name: "ledger verify [OPTIONS] DIR"
  std::string description;            // paragraphs, wrapped by hand at 76 columns
  std::string exitCodes;              // empty: the usual three
  std::string examples;
};

// Makes `command --help` print it.
void setManual(CLI::App& command, Manual manual);

}  // namespace hf::server
