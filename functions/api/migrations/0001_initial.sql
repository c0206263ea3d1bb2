-- Everything belongs to a fleet. Statements end with a semicolon at a line's end; `layercast serve` splits them there.

-- Image documents and plans, exact text by digest, in parts because a D1 value holds 2 MB at most.
CREATE TABLE texts (
  fleet TEXT NOT NULL,
  digest TEXT NOT NULL,
  part INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (fleet, digest, part)
);

CREATE TABLE images (
  fleet TEXT NOT NULL,
  digest TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (fleet, digest)
);

CREATE TABLE plans (
  fleet TEXT NOT NULL,
  digest TEXT NOT NULL,
  reference TEXT NOT NULL,
  snapshotter TEXT NOT NULL,
  manifest_digest TEXT NOT NULL,
  config_digest TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (fleet, digest)
);

-- Of a token only the sha256 is kept. A node token names its node; a join token has an end, and perhaps a number of uses.
CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  fleet TEXT NOT NULL,
  scope TEXT NOT NULL CHECK (scope IN ('operator', 'join', 'node')),
  sha256 TEXT NOT NULL,
  node_id TEXT,
  note TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  max_uses INTEGER,
  uses INTEGER NOT NULL DEFAULT 0,
  revoked_at INTEGER
);

CREATE INDEX tokens_by_scope ON tokens (fleet, scope, id);
CREATE INDEX tokens_by_node ON tokens (node_id);

CREATE TABLE nodes (
  id TEXT PRIMARY KEY,
  fleet TEXT NOT NULL,
  name TEXT NOT NULL,
  labels TEXT NOT NULL,
  facts TEXT NOT NULL,
  enrolment_sha256 TEXT,
  created_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  reported_generation INTEGER NOT NULL DEFAULT 0,
  UNIQUE (fleet, name)
);

-- The labels once more, as a selector asks for them.
CREATE TABLE node_labels (
  node_id TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (node_id, key)
);

-- A selector is a JSON object of the labels that a node must have.
CREATE TABLE assignments (
  id TEXT PRIMARY KEY,
  fleet TEXT NOT NULL,
  selector TEXT NOT NULL,
  generation INTEGER NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE INDEX assignments_by_fleet ON assignments (fleet, id);

CREATE TABLE assignment_plans (
  assignment_id TEXT NOT NULL,
  position INTEGER NOT NULL,
  plan_digest TEXT NOT NULL,
  PRIMARY KEY (assignment_id, position)
);

-- Which nodes an assignment reaches, kept rather than computed, because every node asks for its own all the time.
CREATE TABLE assigned (
  node_id TEXT NOT NULL,
  assignment_id TEXT NOT NULL,
  PRIMARY KEY (node_id, assignment_id)
);

CREATE INDEX assigned_by_assignment ON assigned (assignment_id);

CREATE TABLE reports (
  node_id TEXT NOT NULL,
  plan_digest TEXT NOT NULL,
  generation INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'applied', 'failed')),
  error_code TEXT,
  error_message TEXT,
  chain_id TEXT,
  duration_ms INTEGER,
  reported_at INTEGER NOT NULL,
  PRIMARY KEY (node_id, plan_digest)
);
