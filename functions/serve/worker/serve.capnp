# What workerd serves. One socket listens, and no Worker may fetch anything from a network. `layercast serve` gives the
# address of the socket, the directories and the environment.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "api", worker = .api),
    (name = "database", worker = .database),
    (name = "d1", disk = (writable = true)),
    (name = "do", disk = (writable = true)),
    (name = "nowhere", network = (allow = [])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "api")],
  logging = (structuredLogging = true),
);

const api :Workerd.Worker = (
  modules = [(name = "index.js", esModule = embed "../worker/index.js"), (name = "core.wasm", wasm = embed "../worker/core.wasm")],
  compatibilityDate = "2026-10-01",
  bindings = [
    .db,
    (name = "FLEET_OBJECTS", durableObjectNamespace = "Fleet"),
    (name = "OPEN_PLANNER", fromEnvironment = "LAYERCAST_OPEN_PLANNER"),
    (name = "HOSTS", fromEnvironment = "LAYERCAST_HOSTS"),
    (name = "OPERATOR_TOKEN_SHA256", fromEnvironment = "LAYERCAST_OPERATOR_TOKEN_SHA256"),
  ],
  # The key and the class's name stay as they are: workerd finds the fleet object's data by the key.
  durableObjectNamespaces = [(className = "Fleet", uniqueKey = "layercast-Fleet", enableSql = true)],
  durableObjectStorage = (localDisk = "do"),
  globalOutbound = "nowhere",
);

# The keys and the names of the directories must not change: workerd finds the data of earlier versions by them.
const database :Workerd.Worker = (
  modules = [(name = "database.js", esModule = embed "database.js")],
  compatibilityDate = "2026-10-01",
  bindings = [(name = "OBJECT", durableObjectNamespace = "D1DatabaseObject")],
  durableObjectNamespaces =
    [(className = "D1DatabaseObject", uniqueKey = "miniflare-D1DatabaseObject", enableSql = true)],
  durableObjectStorage = (localDisk = "d1"),
  globalOutbound = "nowhere",
);

const db :Workerd.Worker.Binding = (
  name = "DB",
  wrapped = (moduleName = "cloudflare-internal:d1-api", innerBindings = [(name = "fetcher", service = "database")]),
);
