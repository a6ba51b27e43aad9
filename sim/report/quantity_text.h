#pragma once

#include <string>

namespace tessera {

// Quantities as the reports print them for people.

/// Three or four significant digits and no exponent; thousands of what is large.
std::string digits_text(double value);
/// "12.3 us", "4.56 ms", "7.89 s".
std::string time_text(double us);

}  // namespace tessera
