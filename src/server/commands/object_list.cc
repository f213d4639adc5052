#include "server/commands/object_access.h"

namespace hf::server {

int runObjectList(const ObjectListOptions& options) {
  std::optional<ObjectId> after;
  if (!options.after.empty()) {
    ObjectId id;
    if (!fromHex(options.after, id.bytes)) {
      return failTool("--after takes an object's id, 64 hexadecimal digits, got '" + options.after + "'", kToolUsage);
    }
    after = id;
  }
  const auto objects = openObjects(options.common, Access::kRead);
  if (!objects) return failTool(objects.error());
  const NamespaceIds ids((*objects)->ns().id.hex());
  std::vector<std::vector<std::string>> rows;
  const auto listed = (*objects)->list(after, options.limit, [&](const ListedObject& object) {
    // The first half of a facet's id is its object's.
    const std::string of = ids.isFacet(object.id) ? object.id.hex().substr(0, 32) : "";
    if (!options.common.json) {
      rows.push_back(
          {object.id.hex(), std::to_string(object.bytes), of.empty() ? object.name : "(facet of " + of + "...)"});
      return;
    }
    OutputJson line{{"id", object.id.hex()}, {"bytes", object.bytes}};
    if (!of.empty()) line["facet_of"] = of;
    line["name"] = object.name.empty() ? OutputJson() : OutputJson(object.name);
    printJson(line);
  });
  if (!listed) return failTool(listed.error());
  if (!options.common.json) print(tableText({"ID", "BYTES", "NAME"}, rows));
  return kToolDone;
}

}  // namespace hf::server
