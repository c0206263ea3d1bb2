# What workerd runs before it serves: the migrations, on the database that serve.capnp serves. It has no socket.
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
