#include "server/commands/object_access.h"
#include "storage/import_database.h"

namespace hf::server {

int runObjectImport(const ObjectFileOptions& options) {
  // What is wrong with the file is said before anything is asked of anybody.
  const auto scratch = ScratchDirectory::make();
  if (!scratch) return failTool(scratch.error());
  const std::string clean = (*scratch)->path() + "/database.sqlite";
  if (const auto normal = storage::normaliseDatabase(options.file, clean); !normal) return failTool(normal.error());
  if (const auto read = storage::readImport(toolDisk(), clean); !read) return failTool(read.error());

  const auto objects = openObjects(options.common, Access::kWrite);
  if (!objects) return failTool(objects.error());
  const auto object = namedObject(**objects, options.common);
  if (!object) return failTool(object.error());
  const auto report = [&] {
    Progress progress(options.common.progress, "importing");
    return (*objects)->replace(object->id, object->name, clean, [&](std::uint64_t bytes) -> Result<void> {
      progress.update(bytes);
      return {};
    });
  }();
  if (!report) return failTool(report.error());
  if (options.common.json) {
    OutputJson json{{"namespace", (*objects)->ns().id.hex()}, {"object", object->id.hex()}, {"bytes", report->bytes}};
    json["alarm_ms"] = report->alarm ? OutputJson(*report->alarm) : OutputJson();
    printJson(json);
  } else {
    print("imported " + options.file + " as " + object->id.hex() + " (" + humanBytes(report->bytes) + ")" +
          (report->alarm ? ", its alarm is set" : "") + "\n");
  }
  return kToolDone;
}

}  // namespace hf::server
