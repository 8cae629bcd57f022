#include "cluster/member_documents.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "cluster/channel.h"
#include "state/node_record.h"

namespace fairlead::cluster {

std::string encode(const MemberRecord& member) {
  return dump_json({{"apiVersion", 1},
                    {"name", member.name},
                    {"role", member.role},
                    {"number", member.number},
                    {"address", to_text(member.address)},
                    {"key", member.key},
                    {"joined", member.joined}});
}

Result<MemberRecord> decode_member(const std::string& text) {
  FL_TRY(Json json, parse_json(text, "member"));
  if (!json.is_object()) return fail("member: it is no object");
  MemberRecord member{
      text_at(json, "name"), text_at(json, "role"),    static_cast<uint32_t>(number_at(json, "number")), {},
      text_at(json, "key"),  number_at(json, "joined")};
  FL_TRY(member.address, parse_host_port(text_at(json, "address")));
  return member;
}

std::string node_document(const MemberRecord& member) {
  Node node{member.name, member.number, member.address.address,
            dump_json({{"role", member.role}, {"port", member.address.port}})};
  return encode(node);
}

}  // namespace fairlead::cluster
