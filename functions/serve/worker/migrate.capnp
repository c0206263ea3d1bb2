# What workerd runs before it serves, with no socket: the migrations, over the same database.
using Workerd = import "/workerd/workerd.capnp";
using Serve = import "serve.capnp";

const config :Workerd.Config = (
  services = [
    (name = "migrate", worker = .migrate),
    (name = "database", worker = Serve.database),
    (name = "d1", disk = (writable = true)),
    (name = "nowhere", network = (allow = [])),
  ],
);

const migrate :Workerd.Worker = (
  modules = [(name = "migrate.js", esModule = embed "migrate.js")],
  compatibilityDate = "2026-10-01",
  bindings = [Serve.db, (name = "MIGRATIONS", json = embed "migrations.json")],
  globalOutbound = "nowhere",
);
