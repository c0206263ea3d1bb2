-- How many layers a remote snapshotter keeps lazy, of how many; null where that is no question, or was not said.
ALTER TABLE reports ADD COLUMN lazy_layers INTEGER;
ALTER TABLE reports ADD COLUMN lazy_of INTEGER;
