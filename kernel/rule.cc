#include "kernel/rule.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

namespace fairlead::kernel {
namespace {

std::string subject(const Rule& rule) {
  return rule.from ? rule.from.to_string() : "mark " + std::to_string(rule.mark);
}

bool one_address(const fib_rule_hdr& header, const Attributes& a) {
  const size_t bytes = header.family == AF_INET ? 4 : 16;
  return header.src_len == bytes * 8 && a.bytes(FRA_SRC).size() == bytes;
}

}  // namespace

Message set_rule(const Rule& rule) {
  Message m(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, "set rule for " + subject(rule));
  fib_rule_hdr header{};
  header.family = static_cast<uint8_t>(rule.family);
  header.action = FR_ACT_TO_TBL;
  header.table = static_cast<uint8_t>(rule.table < 256 ? rule.table : RT_TABLE_UNSPEC);
  if (rule.from) header.src_len = static_cast<uint8_t>(rule.from.bits());
  m.header(header);
  m.put_u32(FRA_PRIORITY, rule.priority).put_u32(FRA_TABLE, rule.table);
  if (rule.mark) m.put_u32(FRA_FWMARK, rule.mark);
  if (rule.mask) m.put_u32(FRA_FWMASK, rule.mask);
  if (rule.from) m.put(FRA_SRC, rule.from.bytes(), rule.from.size());
  m.put_u8(FRA_PROTOCOL, 57);
  m.tolerate({EEXIST});
  return m;
}

Message delete_rule(const Rule& rule) {
  Message m(RTM_DELRULE, 0, "delete rule for " + subject(rule));
  fib_rule_hdr header{};
  header.family = static_cast<uint8_t>(rule.family);
  header.action = FR_ACT_TO_TBL;
  header.table = static_cast<uint8_t>(rule.table < 256 ? rule.table : RT_TABLE_UNSPEC);
  if (rule.from) header.src_len = static_cast<uint8_t>(rule.from.bits());
  m.header(header);
  m.put_u32(FRA_PRIORITY, rule.priority).put_u32(FRA_TABLE, rule.table);
  if (rule.mark) m.put_u32(FRA_FWMARK, rule.mark);
  if (rule.mask) m.put_u32(FRA_FWMASK, rule.mask);
  if (rule.from) m.put(FRA_SRC, rule.from.bytes(), rule.from.size());
  m.tolerate({ENOENT});
  return m;
}

Batch delete_rules(int family, uint32_t table, int count) {
  Batch batch;
  for (int i = 0; i < count; i++) {
    Message m(RTM_DELRULE, 0, "delete rule for table " + std::to_string(table));
    fib_rule_hdr header{};
    header.family = static_cast<uint8_t>(family);
    header.action = FR_ACT_TO_TBL;
    header.table = static_cast<uint8_t>(table < 256 ? table : RT_TABLE_UNSPEC);
    m.header(header);
    m.put_u32(FRA_TABLE, table);
    m.tolerate({ENOENT, EAFNOSUPPORT, EOPNOTSUPP});
    batch.push_back(std::move(m));
  }
  return batch;
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
        if (header->src_len && !one_address(*header, a)) return;
        const uint32_t mask = a.u32(FRA_FWMASK);  // shown without a mark, too (fib_nl_fill_rule)
        if (mask == 0 && !header->src_len) return;
        rules.push_back({header->family,
                         a.u32(FRA_PRIORITY),
                         a.u32(FRA_FWMARK),
                         a.u32(FRA_TABLE, header->table),
                         {},
                         mask == 0xffffffff ? 0 : mask});
        if (header->src_len) rules.back().from = Address::from_bytes(header->family, a.bytes(FRA_SRC).data());
      },
      [&] { rules.clear(); }));
  return rules;
}

}  // namespace fairlead::kernel
