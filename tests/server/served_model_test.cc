#include "server/served_model.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(ModelRegistryTest, FindsByNameAndNamesWhatIsServed) {
  ServedModel a;
  a.name = "a";
  ServedModel b;
  b.name = "b";
  ModelRegistry models;
  models.Add(a);
  models.Add(b);
  EXPECT_EQ(*models.Find("b"), &b);
  const Result<ServedModel*> none = models.Find("c");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(none.status().reason(), "model_not_found");
  EXPECT_EQ(none.status().message(), "The model 'c' does not exist. Served here: 'a', 'b'.");
}

}  // namespace
}  // namespace runahead
