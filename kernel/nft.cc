#include "kernel/nft.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>

#include <cstring>
#include <optional>

#include "kernel/netlink.h"

namespace fairlead::kernel {

struct NftSession::Context {
  nft_ctx* nft = nullptr;
  std::optional<NetlinkSocket> socket;
  ~Context() { nft_ctx_free(nft); }
};

namespace {

// The first lines of nft's complaint, on one line: later lines repeat the command with a row of carets.
std::string complaint(nft_ctx* nft) {
  const char* buffer = nft_ctx_get_error_buffer(nft);
  std::string text = buffer ? buffer : "";
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.size() > 600) text.resize(600);
  for (auto& c : text)
    if (c == '\n') c = ' ';
  return text.empty() ? "no reason given" : text;
}

}  // namespace

NftSession::NftSession(std::unique_ptr<Context> context) : context_(std::move(context)) {}
NftSession::NftSession(NftSession&&) noexcept = default;
NftSession& NftSession::operator=(NftSession&&) noexcept = default;
NftSession::~NftSession() = default;

Result<NftSession> NftSession::open() {
  auto context = std::make_unique<Context>();
  context->nft = nft_ctx_new(NFT_CTX_DEFAULT);
  if (!context->nft) return fail("open nftables: out of memory or no netlink socket");
  nft_ctx_buffer_output(context->nft);
  nft_ctx_buffer_error(context->nft);
  FL_TRY(context->socket, NetlinkSocket::open(NETLINK_NETFILTER));
  return NftSession(std::move(context));
}

Result<void> NftSession::run(const std::string& commands) {
  int rc = nft_run_cmd_from_buffer(context_->nft, commands.c_str());
  nft_ctx_get_output_buffer(context_->nft);  // reading it empties it
  if (rc != 0) return fail("nftables refused the change (nothing was changed): " + complaint(context_->nft));
  return {};
}

Result<std::string> NftSession::list_table(const std::string& family, const std::string& name) {
  nft_ctx_output_set_flags(context_->nft, NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_NUMERIC_ALL);
  int rc = nft_run_cmd_from_buffer(context_->nft, ("list table " + family + " " + name).c_str());
  std::string text = nft_ctx_get_output_buffer(context_->nft);
  nft_ctx_output_set_flags(context_->nft, 0);
  if (rc == 0) return text;
  std::string reason = complaint(context_->nft);
  if (reason.find("No such file or directory") != std::string::npos) return std::string();
  return fail("list table " + family + " " + name + ": " + reason);
}

Result<uint32_t> NftSession::generation() { return nft_generation(*context_->socket); }

Result<uint32_t> nft_generation(NetlinkSocket& socket) {
  Message m(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, "read nftables generation");
  m.header(nfgenmsg{});
  uint32_t generation = 0;
  FL_CHECK(socket.query(std::move(m), [&](const nlmsghdr& message) {
    generation = __builtin_bswap32(Attributes(message, sizeof(nfgenmsg)).u32(NFTA_GEN_ID));
  }));
  return generation;
}

}  // namespace fairlead::kernel
