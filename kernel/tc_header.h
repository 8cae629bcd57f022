// The fixed part of a request about queues and filters: linux/rtnetlink.h, struct tcmsg.
#pragma once

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstdint>

namespace fairlead::kernel {

inline tcmsg tc_header(uint32_t index, uint32_t parent, uint32_t handle = 0, uint32_t info = 0) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(index);
  header.tcm_parent = parent;
  header.tcm_handle = handle;
  header.tcm_info = info;
  return header;
}

}  // namespace fairlead::kernel
