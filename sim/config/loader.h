#pragma once

#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/config/chip_config.h"

namespace tessera {

/// Reads a chip, applies `overrides` ("KEY=VALUE", the last of one key wins) and checks it.
///
/// `name_or_path` is a file when it has a '/' or ends in .yaml or .yml, else the name of a file
/// NAME.yaml in one of `search_dirs`, the first that has it. A file may name a `base:` (a name, or
/// a file relative to its own folder) and then gives only the differences; name and description
/// are not inherited. Throws InputError for anything wrong: a chip or base not found, a cycle of
/// bases, malformed YAML, unknown or duplicate keys, values of the wrong type, unit or range,
/// missing keys, and keys that contradict each other. Files are at most 1 MiB; anchors, aliases,
/// tags and lists are refused.
ChipConfig load_chip(const std::string& name_or_path,
                     const std::vector<std::string>& overrides = {},
                     const std::vector<std::string>& search_dirs = {});

/// The files that load_chip() reads: the chip's and its bases'. Ends before the first that cannot
/// be found or read, which load_chip() then reports, and after one that is no regular file: a pipe
/// can be read only once.
std::vector<std::string> chip_files(const std::string& name_or_path,
                                    const std::vector<std::string>& search_dirs = {});

/// Throws InputError if a value is out of range or keys contradict each other. For chips that were
/// not read by load_chip(), which does this itself.
void check_chip(const ChipConfig& chip);

/// Sets one key as a file would: the value is checked for type, unit and range, and what is wrong
/// stands at `where`. The keys against each other: check_chip(). Throws InputError.
void set_key(ChipConfig& chip, const std::string& key, const std::string& text,
             const SourceLocation& where);

/// Names of the chips in `search_dirs`, sorted, each once; folders that do not exist count as
/// empty.
std::vector<std::string> chip_names(const std::vector<std::string>& search_dirs);

/// The chip as a file without base; load_chip() of it gives the same values, bit for bit.
std::string dump_yaml(const ChipConfig& chip);

/// Every key as "KEY=VALUE\n" in the order of the schema, doubles exact: the text to digest.
std::string canonical_text(const ChipConfig& chip);

/// docs/reference/chip-keys.md, generated from the schema.
std::string reference_page();

}  // namespace tessera
