#include "base/names.h"
#include "state/codec.h"
#include "state/records.h"

namespace fairlead {

Result<PortReport> decode_port_report(const Json& json, const std::string& source) {
  ObjectReader r(json, source);
  PortReport report;
  codec::read_version(r);
  codec::read_name(r, "network", report.network);
  r.required("attachment", report.attachment);
  r.optional("attempt", report.attempt, 0, UINT32_MAX);
  r.optional("answers", report.answers);
  r.optional("problem", report.problem);
  report.extra = r.extra();
  FL_CHECK(r.finish());
  return report;
}

std::string encode(const PortReport& report) {
  Json json = codec::start(report.extra);
  json["network"] = report.network;
  json["attachment"] = report.attachment;
  if (report.attempt) json["attempt"] = report.attempt;
  json["answers"] = report.answers;
  json["problem"] = report.problem;
  return codec::text(json);
}

}  // namespace fairlead
