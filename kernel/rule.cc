#include "kernel/rule.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

namespace fairlead::kernel {

Message set_rule(const Rule& rule) {
  Message m(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, "set rule for mark " + std::to_string(rule.mark));
  fib_rule_hdr header{};
  header.family = static_cast<uint8_t>(rule.family);
  header.action = FR_ACT_TO_TBL;
  header.table = static_cast<uint8_t>(rule.table < 256 ? rule.table : RT_TABLE_UNSPEC);
  m.header(header);
  m.put_u32(FRA_PRIORITY, rule.priority).put_u32(FRA_FWMARK, rule.mark).put_u32(FRA_TABLE, rule.table);
  m.put_u8(FRA_PROTOCOL, 57);
  m.tolerate({EEXIST});
  return m;
}

Result<std::vector<Rule>> dump_rules(NetlinkSocket& socket) {
  std::vector<Rule> rules;
  Message m(RTM_GETRULE, 0, "list rules");
  m.header(fib_rule_hdr{});
  FL_CHECK(socket.dump(
      std::move(m),
      [&](const nlmsghdr& message) {
        if (message.nlmsg_type != RTM_NEWRULE) return;
        const auto* header = static_cast<const fib_rule_hdr*>(NLMSG_DATA(&message));
        Attributes a(message, sizeof *header);
        if (!a.has(FRA_FWMARK) || a.u32(FRA_FWMASK, 0xffffffff) != 0xffffffff) return;
        rules.push_back({header->family, a.u32(FRA_PRIORITY), a.u32(FRA_FWMARK), a.u32(FRA_TABLE, header->table)});
      },
      [&] { rules.clear(); }));
  return rules;
}

}  // namespace fairlead::kernel
