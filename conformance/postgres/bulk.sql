\set VERBOSITY default
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent SELECT generate_series(0, 9);
CREATE TABLE t (id bigint PRIMARY KEY, code text UNIQUE, parent int REFERENCES parent, made timestamp DEFAULT '2024-01-01', n serial, CHECK (id >= 0));
CREATE INDEX t_parent ON t (parent, id DESC);
\copy t (id, code, parent) FROM 'good.tsv'
SELECT count(*), min(id), max(id), sum(parent), count(DISTINCT code), min(made), min(n), max(n) FROM t;
SELECT id, code, parent FROM t ORDER BY id LIMIT 3;
SELECT id, code, parent FROM t ORDER BY code DESC LIMIT 3;
SELECT count(*) FROM t WHERE parent = 3;
SELECT id FROM t WHERE parent = 3 ORDER BY id DESC LIMIT 2;
SELECT id FROM t WHERE code = 'code 77';
INSERT INTO t (id, code) VALUES (77, 'new');
INSERT INTO t (id, code) VALUES (1000000, 'code 77');
INSERT INTO t (id, code, parent) VALUES (1000000, 'new', 3);
DELETE FROM parent WHERE id = 3;
UPDATE t SET id = id + 2000000 WHERE id < 3;
SELECT count(*), max(id) FROM t;
\copy t (id, code, parent) FROM 'good.tsv'
SELECT count(*) FROM t;
TRUNCATE t;
\copy t (id, code, parent) FROM 'duplicate_key.tsv'
\copy t (id, code, parent) FROM 'duplicate_code.tsv'
\copy t (id, code, parent) FROM 'both.tsv'
\copy t (id, code, parent) FROM 'duplicate_before_bad.tsv'
\copy t (id, code, parent) FROM 'bad_before_duplicate.tsv'
\copy t (id, code, parent) FROM 'no_parent.tsv'
-- Neither its line nor the numbers that serial gave to rows that failed are the same.
\set VERBOSITY terse
\copy t (id, code, parent) FROM 'negative.tsv'
\set VERBOSITY default
SELECT count(*) FROM t;
BEGIN;
INSERT INTO parent VALUES (50);
\copy t (id, code, parent) FROM 'good.tsv'
SELECT count(*), sum(id) FROM t;
SAVEPOINT a;
DELETE FROM t WHERE id % 2 = 0;
SELECT count(*) FROM t;
ROLLBACK TO a;
INSERT INTO t (id, code, parent) VALUES (1000001, 'last', 50);
SELECT count(*) FROM t;
ROLLBACK;
SELECT count(*) FROM t;
SELECT count(*) FROM parent;
BEGIN;
SAVEPOINT a;
\copy t (id, code, parent) FROM 'good.tsv'
SELECT count(*) FROM t;
ROLLBACK TO a;
SELECT count(*) FROM t;
\copy t (id, code, parent) FROM 'duplicate_key.tsv'
SELECT 1;
ROLLBACK TO a;
INSERT INTO t (id, code) VALUES (5, 'five');
COMMIT;
SELECT id, code FROM t;
DELETE FROM t;
BEGIN;
TRUNCATE t;
\copy t (id, code, parent) FROM 'good.tsv'
CREATE INDEX t_made ON t (made, id);
CREATE UNIQUE INDEX t_expression ON t ((id * 2)) WHERE id > 10;
INSERT INTO t (id, code) VALUES (9999999, 'one more');
COMMIT;
SELECT count(*) FROM t;
SELECT id FROM t WHERE id * 2 = 24 AND id > 10;
CREATE UNIQUE INDEX ON t (made);
CREATE UNIQUE INDEX ON t (code, parent);
ALTER TABLE t ADD UNIQUE (n, id);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM t;
CREATE INDEX t_n ON t (n);
SELECT count(*) FROM t WHERE n BETWEEN 0 AND 1000000000;
COMMIT;
CREATE TABLE keyless (id bigint, code text, parent int);
\copy keyless FROM 'shuffled.tsv'
\copy keyless FROM 'duplicate_key.tsv' WHERE id < 10
SELECT count(*), sum(id), count(DISTINCT id) FROM keyless;
CREATE TABLE nullable (id bigint PRIMARY KEY, code text UNIQUE, parent int);
\copy nullable FROM 'nulls.csv' WITH (FORMAT csv, HEADER, NULL 'none')
SELECT count(*), count(code), count(parent), min(code), max(code) FROM nullable;
CREATE TABLE filled (id bigint GENERATED ALWAYS AS IDENTITY, code text, parent int, twice bigint GENERATED ALWAYS AS (parent * 2) STORED);
\copy filled (code, parent) FROM PROGRAM 'cut -f 2,3 good.tsv'
SELECT count(*), min(id), max(id), sum(twice) FROM filled;
