// How far two machines' clocks are apart, as it is said to people. Pure.
//
// Certificates, tokens and epochs are dated, and bear a difference of an hour (cluster/join_hello.cc). It is said long
// before it hurts. Seconds; positive: the one asked about is ahead.
#pragma once

#include <cstdint>
#include <string>

namespace fairlead::cluster {

// What to go on saying when `measured` is seen, `said` having been said so far; 0: the clocks agree. What is measured
// contains the time a request took, so little is nothing, and a little more is no news.
int64_t noted_skew(int64_t said, int64_t measured);

// "10 minutes ahead of", "45 seconds behind"
std::string skew_text(int64_t seconds);

}  // namespace fairlead::cluster
