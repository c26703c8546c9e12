-- What is accepted because PostgreSQL's clients and dumps write it, and changes nothing here.
CREATE TABLE t (id int PRIMARY KEY WITH (fillfactor = 70), n int CONSTRAINT positive CHECK (n > 0) NO INHERIT) WITH (fillfactor = 50, autovacuum_enabled = false);
INSERT INTO t VALUES (1, 0);
INSERT INTO t VALUES (1, 1);
ALTER TABLE t SET (fillfactor = 90);
ALTER TABLE t RESET (fillfactor);
ALTER TABLE t ALTER COLUMN n SET STATISTICS 500;
CREATE INDEX CONCURRENTLY t_n ON t (n);
DROP INDEX CONCURRENTLY t_n;
VACUUM;
VACUUM (FULL, FREEZE, ANALYZE, VERBOSE) t;
VACUUM FULL t;
ANALYZE t;
ANALYZE;
TRUNCATE t;
COPY t FROM STDIN WITH (FREEZE);
2	2
\.
SELECT * FROM t;
SELECT 0x1F, 1_000;
SELECT * FROM (SELECT 1);
