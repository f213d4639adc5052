#include "server/commands/object_access.h"

namespace hf::server {

int runObjectExport(const ObjectFileOptions& options) {
  const Result<bool> exists = toolDisk().exists(options.file);
  if (!exists) return failTool(exists.error());
  if (*exists && !options.force) {
    return failTool(options.file + " is there already: give another name, or --force to write over it");
  }
  const auto objects = openObjects(options.common, Access::kRead);
  if (!objects) return failTool(objects.error());
  const auto object = namedObject(**objects, options.common);
  if (!object) return failTool(object.error());
  const auto bytes = [&] {
    Progress progress(options.common.progress, "exporting");
    return exportObject(**objects, object->id, options.file, progress);
  }();
  if (!bytes) return failTool(bytes.error());
  if (options.common.json) {
    printJson({{"namespace", (*objects)->ns().id.hex()},
               {"object", object->id.hex()},
               {"file", options.file},
               {"bytes", *bytes}});
  } else {
    print("exported " + object->id.hex() + " to " + options.file + " (" + humanBytes(*bytes) + ")\n");
  }
  return kToolDone;
}

}  // namespace hf::server
