#include "lb/claim_book.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/file.h"

namespace fairlead::lb {
namespace {

TEST(ClaimBook, RemembersOverARestart) {
  char folder[] = "/tmp/claim-book-XXXXXX";
  ASSERT_TRUE(mkdtemp(folder));
  Paths paths{folder, folder};
  EXPECT_TRUE(load_claims(paths).value().empty());
  Incumbents claims{{"tcp port 8000", "service appnet/web"}, {"vip 10.32.255.1 appnet", "service appnet/web"}};
  ASSERT_TRUE(save_claims(paths, claims));
  EXPECT_EQ(load_claims(paths).value(), claims);
  ASSERT_TRUE(save_claims(paths, {}));
  EXPECT_FALSE(read_file(paths.run + "/lb-claims.json").value());
}

TEST(ClaimBook, ABadDocumentIsNamed) {
  char folder[] = "/tmp/claim-book-XXXXXX";
  ASSERT_TRUE(mkdtemp(folder));
  Paths paths{folder, folder};
  ASSERT_TRUE(replace_file(paths.run + "/lb-claims.json", "{\"claims\":7}", Durability::kBoot));
  auto claims = load_claims(paths);
  ASSERT_FALSE(claims);
  EXPECT_NE(claims.error().message.find("lb-claims.json"), std::string::npos) << claims.error().message;
}

}  // namespace
}  // namespace fairlead::lb
