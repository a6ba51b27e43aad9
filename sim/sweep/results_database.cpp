#include "sim/sweep/results_database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "sim/base/error.h"
#include "sim/sweep/analysis.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

// "TSSR": what `file` and others know the format by (PRAGMA application_id).
constexpr int application_id = 0x54535352;
constexpr int schema_version = 1;

constexpr const char* operation_columns =
    "name TEXT, op TEXT, precision TEXT, repeat INTEGER, cycles INTEGER, time_us REAL, "
    "flops INTEGER, hbm_bytes INTEGER, bound TEXT, roofline_us REAL, energy_j REAL, "
    "error_quantisation REAL, error_accumulation REAL, error_total REAL, error_propagated REAL";

void create_schema(SqliteFile& file, const std::vector<SweepColumn>& columns) {
  file.execute(fmt::format("PRAGMA application_id = {}", application_id));
  file.execute(fmt::format("PRAGMA user_version = {}", schema_version));
  file.execute("CREATE TABLE sweep (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID");
  file.execute(
      "CREATE TABLE columns (position INTEGER PRIMARY KEY, name TEXT, role TEXT, kind TEXT, "
      "unit TEXT, meaning TEXT, expression TEXT)");
  file.execute("CREATE TABLE objectives (position INTEGER PRIMARY KEY, metric TEXT, goal TEXT)");
  std::string points =
      "CREATE TABLE points (id INTEGER PRIMARY KEY, status TEXT NOT NULL, message TEXT, "
      "digest TEXT, trace_digest TEXT, bound TEXT";
  for (const SweepColumn& column : columns)
    points += fmt::format(", {} {}", sql_name(column.name), column.numeric ? "REAL" : "TEXT");
  file.execute(points + ")");
  file.execute(
      fmt::format("CREATE TABLE operations (point INTEGER, position INTEGER, {}, "
                  "PRIMARY KEY (point, position)) WITHOUT ROWID",
                  operation_columns));
  file.execute(
      "CREATE TABLE runs (point INTEGER PRIMARY KEY, wall_s REAL, peak_rss_bytes INTEGER)");
}

void insert_sweep(SqliteFile& file, const SweepFile& sweep, const SweepPlan& plan,
                  const std::vector<SweepColumn>& columns) {
  SqliteFile::Statement value(file, "INSERT INTO sweep VALUES (?, ?)");
  const std::pair<const char*, std::string> values[] = {
      {"title", sweep.title},
      {"question", sweep.question},
      {"tool_version", plan.tool_version},
      {"digest", plan.digest},
      {"planned", std::to_string(plan.points.points.size())},
      {"skipped", std::to_string(plan.points.skipped)},
      {"file", sweep.text},
  };
  for (const auto& [key, text] : values) value.bind(std::string(key)).bind(text).run();
  SqliteFile::Statement column(file, "INSERT INTO columns VALUES (?, ?, ?, ?, ?, ?, ?)");
  for (std::size_t i = 0; i < columns.size(); ++i) {
    column.bind(static_cast<std::int64_t>(i))
        .bind(columns[i].name)
        .bind(std::string(name(columns[i].role)))
        .bind(std::string(columns[i].numeric ? "number" : "text"))
        .bind(columns[i].unit)
        .bind(columns[i].meaning)
        .bind(columns[i].expression)
        .run();
  }
  SqliteFile::Statement objective(file, "INSERT INTO objectives VALUES (?, ?, ?)");
  for (std::size_t i = 0; i < sweep.objectives.size(); ++i) {
    objective.bind(static_cast<std::int64_t>(i))
        .bind(sweep.objectives[i].metric)
        .bind(std::string(sweep.objectives[i].minimise ? "min" : "max"))
        .run();
  }
}

void insert_points(SqliteFile& file, const SweepPlan& plan, const std::vector<SweepColumn>& columns,
                   const std::vector<std::int64_t>& part) {
  const std::set<std::int64_t> held(part.begin(), part.end());
  const std::size_t values = plan.points.points.front().values.size();
  std::string sql = "INSERT INTO points (id, status, message, digest";
  for (std::size_t i = 0; i < values; ++i) sql += ", " + sql_name(columns[i].name);
  sql += ") VALUES (?, ?, ?, ?";
  for (std::size_t i = 0; i < values; ++i) sql += ", ?";
  SqliteFile::Statement insert(file, sql + ")");
  for (std::size_t i = 0; i < plan.points.points.size(); ++i) {
    const SweepPoint& point = plan.points.points[i];
    if (!held.empty() && held.count(point.id) == 0) continue;
    const bool valid = !plan.digests[i].empty();
    insert.bind(point.id)
        .bind(std::string(name(valid ? PointStatus::pending : PointStatus::invalid)))
        .bind(plan.messages[i])
        .bind(plan.digests[i]);
    for (std::size_t c = 0; c < values; ++c) {
      if (columns[c].numeric) {
        insert.bind(point.values[c].number);
      } else {
        insert.bind(point.values[c].text);
      }
    }
    insert.run();
  }
}

std::string value_of(SqliteFile& file, const std::string& key) {
  SqliteFile::Statement select(file, "SELECT value FROM sweep WHERE key = ?");
  return select.bind(key).next() ? select.text(0) : "";
}

void check_format(SqliteFile& file) {
  const auto pragma = [&](const char* which) {
    SqliteFile::Statement read(file, fmt::format("PRAGMA {}", which));
    return read.next() ? read.integer(0) : 0;
  };
  const auto where = SourceLocation{file.path(), 0};
  if (pragma("application_id") != application_id)
    throw InputError(where, "", "not a database of `tessera sweep`",
                     "give a file that it has written");
  const std::int64_t version = pragma("user_version");
  if (version != schema_version)
    throw InputError(where, "", fmt::format("has schema {}", version),
                     fmt::format("this version reads schema {}", schema_version));
}

std::string metric_names() {
  std::string sql;
  for (const MetricInfo& metric : sweep_metrics()) sql += ", " + sql_name(metric.name);
  return sql;
}

PointOperation read_operation(const SqliteFile::Statement& row, int first) {
  PointOperation op;
  op.name = row.text(first);
  op.op = row.text(first + 1);
  op.precision = row.text(first + 2);
  op.repeat = row.integer(first + 3);
  op.cycles = row.integer(first + 4);
  op.time_us = row.number(first + 5);
  op.flops = row.integer(first + 6);
  op.hbm_bytes = row.integer(first + 7);
  op.bound = row.text(first + 8);
  op.roofline_us = row.number(first + 9);
  op.energy_j = row.number(first + 10);
  op.error_quantisation = row.number(first + 11);
  op.error_accumulation = row.number(first + 12);
  op.error_total = row.number(first + 13);
  op.error_propagated = row.number(first + 14);
  return op;
}

SweepColumn read_column(const SqliteFile::Statement& row) {
  SweepColumn column;
  column.name = row.text(0);
  for (const ColumnRole role : {ColumnRole::axis, ColumnRole::derived, ColumnRole::metric})
    if (name(role) == row.text(1)) column.role = role;
  column.numeric = row.text(2) == "number";
  column.unit = row.text(3);
  column.meaning = row.text(4);
  column.expression = row.text(5);
  return column;
}

}  // namespace

ResultsDatabase::ResultsDatabase(SqliteFile file) : file_(std::move(file)) {}

ResultsDatabase ResultsDatabase::create(const std::string& path, const SweepFile& sweep,
                                        const SweepPlan& plan,
                                        const std::vector<std::int64_t>& part_ids) {
  if (access(path.c_str(), F_OK) == 0)
    throw InputError({path, 0}, "", "exists", "go on with --resume, or give another file");
  const fs::path target(path);
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    throw InputError({path, 0}, "", fmt::format("there is no folder '{}'", folder.string()),
                     "make it, or give another file");
  const std::string part =
      (folder / fmt::format(".{}.{}.part", target.filename().string(), getpid())).string();
  try {
    SqliteFile file(part, SqliteFile::Mode::create);
    file.execute("PRAGMA journal_mode = DELETE");
    SqliteFile::Transaction transaction(file);
    const std::vector<SweepColumn> columns = sweep_columns(sweep);
    create_schema(file, columns);
    insert_sweep(file, sweep, plan, columns);
    insert_points(file, plan, columns, part_ids);
    transaction.commit();
  } catch (const InputError& error) {
    fs::remove(part, ignored);
    fs::remove(part + "-journal", ignored);
    std::string text = error.what();  // it names the temporary file
    const std::size_t at = text.find(part);
    if (at != std::string::npos) text.replace(at, part.size(), path);
    throw InputError("", text, "");
  }
  if (rename(part.c_str(), path.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    fs::remove(part, ignored);
    throw InputError({path, 0}, "", "cannot be written: " + why, "give another file");
  }
  return ResultsDatabase(SqliteFile(path, SqliteFile::Mode::open));
}

ResultsDatabase ResultsDatabase::open(const std::string& path, const SweepFile& sweep,
                                      const SweepPlan& plan) {
  SqliteFile file(path, SqliteFile::Mode::open);
  check_format(file);
  ResultsDatabase database(std::move(file));
  database.check_same(sweep, plan);
  return database;
}

void ResultsDatabase::check_same(const SweepFile& sweep, const SweepPlan& plan) {
  if (value_of(file_, "digest") == plan.digest) return;
  std::string what = "its chip, workload or settings differ";
  const std::string version = value_of(file_, "tool_version");
  std::vector<std::string> axes, here;
  SqliteFile::Statement select(file_,
                               "SELECT name FROM columns WHERE role = 'axis' ORDER BY position");
  while (select.next()) axes.push_back(select.text(0));
  for (const Axis& axis : sweep.axes) here.push_back(axis.parameter.name);
  const std::string points = value_of(file_, "planned");
  if (version != plan.tool_version) {
    what = fmt::format("it was made by version {} of the program, this is {}", version,
                       plan.tool_version);
  } else if (axes != here) {
    what = fmt::format("its axes are {}, not {}", fmt::join(axes, ", "), fmt::join(here, ", "));
  } else if (points != std::to_string(plan.points.points.size())) {
    what = fmt::format("it has {} points, not {}", points, plan.points.points.size());
  }
  throw InputError({file_.path(), 0}, "",
                   fmt::format("holds another sweep than {}: {}", sweep.path, what),
                   "give another --out, or the sweep file that it was made from");
}

std::vector<std::int64_t> ResultsDatabase::ids() {
  std::vector<std::int64_t> ids;
  SqliteFile::Statement select(file_, "SELECT id FROM points ORDER BY id");
  while (select.next()) ids.push_back(select.integer(0));
  return ids;
}

std::vector<std::int64_t> ResultsDatabase::open_points(bool failed) {
  std::string sql = "SELECT id FROM points WHERE status = 'pending'";
  if (failed) sql += " OR status IN ('crashed', 'timeout', 'out-of-memory')";
  SqliteFile::Statement select(file_, sql + " ORDER BY id");
  std::vector<std::int64_t> ids;
  while (select.next()) ids.push_back(select.integer(0));
  return ids;
}

std::size_t ResultsDatabase::count(PointStatus status) {
  SqliteFile::Statement select(file_, "SELECT count(*) FROM points WHERE status = ?");
  select.bind(std::string(name(status))).next();
  return static_cast<std::size_t>(select.integer(0));
}

void ResultsDatabase::store(const std::vector<PointOutcome>& outcomes) {
  if (outcomes.empty()) return;
  std::vector<std::string> metrics;
  SqliteFile::Statement select(file_,
                               "SELECT name FROM columns WHERE role = 'metric' ORDER BY position");
  while (select.next()) metrics.push_back(select.text(0));
  std::string sql = "UPDATE points SET status = ?, message = ?, trace_digest = ?, bound = ?";
  for (const std::string& metric : metrics) sql += fmt::format(", {} = ?", sql_name(metric));
  SqliteFile::Transaction transaction(file_);
  SqliteFile::Statement update(file_, sql + " WHERE id = ?");
  SqliteFile::Statement clear(file_, "DELETE FROM operations WHERE point = ?");
  SqliteFile::Statement operation(
      file_, "INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  SqliteFile::Statement run(file_, "INSERT OR REPLACE INTO runs VALUES (?, ?, ?)");
  for (const PointOutcome& outcome : outcomes) {
    const PointFigures& figures = outcome.figures;
    update.bind(std::string(name(outcome.status)))
        .bind(outcome.message)
        .bind(figures.trace_digest)
        .bind(figures.bound);
    const std::size_t common = sweep_metrics().size();
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      const std::vector<double>& values = i < common ? figures.metrics : outcome.own_metrics;
      const std::size_t at = i < common ? i : i - common;
      if (at < values.size()) {
        update.bind(values[at]);
      } else {
        update.bind_null();
      }
    }
    update.bind(outcome.id).run();
    clear.bind(outcome.id).run();
    std::int64_t position = 0;
    for (const PointOperation& op : figures.operations) {
      operation.bind(outcome.id)
          .bind(position++)
          .bind(op.name)
          .bind(op.op)
          .bind(op.precision)
          .bind(op.repeat)
          .bind(op.cycles)
          .bind(op.time_us)
          .bind(op.flops)
          .bind(op.hbm_bytes)
          .bind(op.bound)
          .bind(op.roofline_us)
          .bind(op.energy_j)
          .bind(op.error_quantisation)
          .bind(op.error_accumulation)
          .bind(op.error_total)
          .bind(op.error_propagated)
          .run();
    }
    run.bind(outcome.id).bind(outcome.wall_s).bind(outcome.peak_rss_bytes).run();
  }
  transaction.commit();
}

std::size_t ResultsDatabase::merge(const std::string& other) {
  {
    SqliteFile file(other, SqliteFile::Mode::open);
    check_format(file);
    if (value_of(file, "digest") != value_of(file_, "digest"))
      throw InputError({other, 0}, "", "holds another sweep than " + file_.path(),
                       "merge the results of one sweep file and one version of the program");
  }
  SqliteFile::Statement attach(file_, "ATTACH ? AS other");
  attach.bind(other).run();
  std::size_t taken = 0;
  try {
    SqliteFile::Transaction transaction(file_);
    file_.execute(
        "CREATE TEMP TABLE taken AS SELECT theirs.id FROM other.points AS theirs "
        "JOIN main.points AS ours USING (id) "
        "WHERE (ours.status = 'pending' AND theirs.status <> 'pending') "
        "OR (ours.status IN ('crashed', 'timeout', 'out-of-memory') AND theirs.status = 'done')");
    // The columns of both are the same, as their digests are.
    file_.execute("REPLACE INTO main.points SELECT * FROM other.points WHERE id IN taken");
    file_.execute(
        "REPLACE INTO main.operations SELECT * FROM other.operations WHERE point IN taken");
    file_.execute("REPLACE INTO main.runs SELECT * FROM other.runs WHERE point IN taken");
    {
      SqliteFile::Statement number(file_, "SELECT count(*) FROM taken");
      number.next();
      taken = static_cast<std::size_t>(number.integer(0));
    }
    file_.execute("DROP TABLE taken");
    transaction.commit();
  } catch (...) {
    try {
      file_.execute("DETACH other");
    } catch (const InputError&) {  // the first failure is the one to tell
    }
    throw;
  }
  file_.execute("DETACH other");
  return taken;
}

std::map<std::string, PointOutcome> ResultsDatabase::done_points(const std::string& path) {
  SqliteFile file(path, SqliteFile::Mode::open);
  check_format(file);
  std::map<std::string, PointOutcome> done;
  std::map<std::int64_t, PointOutcome*> by_id;
  SqliteFile::Statement points(file, fmt::format("SELECT id, digest, trace_digest, bound{} FROM "
                                                 "points WHERE status = 'done' ORDER BY id",
                                                 metric_names()));
  while (points.next()) {
    PointOutcome outcome;
    outcome.figures.trace_digest = points.text(2);
    outcome.figures.bound = points.text(3);
    for (std::size_t i = 0; i < sweep_metrics().size(); ++i)
      outcome.figures.metrics.push_back(points.number(static_cast<int>(4 + i)));
    const auto [place, fresh] = done.emplace(points.text(1), std::move(outcome));
    if (fresh) by_id[points.integer(0)] = &place->second;
  }
  SqliteFile::Statement operations(file, "SELECT * FROM operations ORDER BY point, position");
  while (operations.next()) {
    const auto found = by_id.find(operations.integer(0));
    if (found != by_id.end())
      found->second->figures.operations.push_back(read_operation(operations, 2));
  }
  return done;
}

DatabaseLock::DatabaseLock(const std::string& database) {
  std::error_code unknown;
  const fs::path canonical = fs::weakly_canonical(database, unknown);
  path_ = (unknown ? database : canonical.string()) + ".lock";
  for (;;) {
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file_ < 0)
      throw InputError({database, 0}, "",
                       fmt::format("cannot be written: {}", std::strerror(errno)),
                       "give a file in a folder that can be written");
    // A record lock: children do not inherit it, and it works on network file systems.
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (fcntl(file_, F_SETLK, &lock) != 0) {
      struct flock holder = lock;
      const bool known = fcntl(file_, F_GETLK, &holder) == 0 && holder.l_type != F_UNLCK;
      close(file_);
      throw InputError({database, 0}, "",
                       known ? fmt::format("another sweep (process {}) is writing it", holder.l_pid)
                             : std::string("another sweep is writing it"),
                       "wait for it, or give another file");
    }
    // Whoever had it before may have removed the file in the meantime.
    struct stat held {
    }, named{};
    if (fstat(file_, &held) == 0 && stat(path_.c_str(), &named) == 0 &&
        held.st_ino == named.st_ino && held.st_dev == named.st_dev)
      return;
    close(file_);
  }
}

DatabaseLock::~DatabaseLock() {
  unlink(path_.c_str());
  close(file_);
}

SweepResults read_results(const std::string& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored))
    throw InputError({path, 0}, "", "no such file", "give a database of `tessera sweep`");
  SqliteFile file(path, SqliteFile::Mode::open);
  check_format(file);
  SweepResults results;
  results.path = path;
  results.title = value_of(file, "title");
  results.question = value_of(file, "question");
  results.tool_version = value_of(file, "tool_version");
  results.sweep_file = value_of(file, "file");
  results.planned = std::atoll(value_of(file, "planned").c_str());
  results.skipped = std::atoll(value_of(file, "skipped").c_str());
  SqliteFile::Statement columns(
      file, "SELECT name, role, kind, unit, meaning, expression FROM columns ORDER BY position");
  while (columns.next()) results.columns.push_back(read_column(columns));
  SqliteFile::Statement objectives(file, "SELECT metric, goal FROM objectives ORDER BY position");
  while (objectives.next())
    results.objectives.push_back({results.column(objectives.text(0)), objectives.text(1) == "min"});
  std::string sql = "SELECT id, status, message, bound";
  for (const SweepColumn& column : results.columns) sql += ", " + sql_name(column.name);
  SqliteFile::Statement points(file, sql + " FROM points ORDER BY id");
  while (points.next()) {
    ResultPoint point;
    point.id = points.integer(0);
    point.status = parse_point_status(points.text(1));
    point.message = points.text(2);
    point.bound = points.text(3);
    for (std::size_t i = 0; i < results.columns.size(); ++i) {
      const int at = static_cast<int>(i) + 4;
      const bool numeric = results.columns[i].numeric;
      point.numbers.push_back(numeric ? points.number(at)
                                      : std::numeric_limits<double>::quiet_NaN());
      point.texts.push_back(numeric ? std::string() : points.text(at));
    }
    results.points.push_back(std::move(point));
  }
  analyse(results);
  return results;
}

std::vector<PointOperation> read_operations(const std::string& path, std::int64_t point) {
  SqliteFile file(path, SqliteFile::Mode::open);
  check_format(file);
  SqliteFile::Statement select(file, "SELECT * FROM operations WHERE point = ? ORDER BY position");
  select.bind(point);
  std::vector<PointOperation> operations;
  while (select.next()) operations.push_back(read_operation(select, 2));
  return operations;
}

}  // namespace tessera
