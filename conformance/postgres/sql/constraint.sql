-- Foreign keys and their actions, deferred checks, unique keys with nulls.
CREATE TABLE parent (id int PRIMARY KEY, code text UNIQUE);
CREATE TABLE child_restrict (id int PRIMARY KEY, parent_id int REFERENCES parent);
CREATE TABLE child_cascade (id int PRIMARY KEY, parent_id int REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE child_null (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE SET NULL ON UPDATE SET NULL);
CREATE TABLE child_default (id int PRIMARY KEY, parent_id int DEFAULT 1 REFERENCES parent ON DELETE SET DEFAULT);
CREATE TABLE child_code (id int PRIMARY KEY, parent_code text REFERENCES parent (code) ON DELETE RESTRICT);
\d parent
\d child_cascade
INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e'), (6, 'f');
INSERT INTO child_restrict VALUES (1, 2), (2, NULL);
INSERT INTO child_restrict VALUES (3, 99);
UPDATE child_restrict SET parent_id = 98 WHERE id = 1;
INSERT INTO child_cascade VALUES (1, 3), (2, 3), (3, 4);
INSERT INTO child_null VALUES (1, 4), (2, 5);
INSERT INTO child_default VALUES (1, 5), (2, 6);
INSERT INTO child_code VALUES (1, 'a');
DELETE FROM parent WHERE id = 2;
UPDATE parent SET id = 20 WHERE id = 2;
DELETE FROM parent WHERE id = 1;
DELETE FROM parent WHERE id = 3;
SELECT * FROM child_cascade ORDER BY id;
UPDATE parent SET id = 40 WHERE id = 4;
SELECT * FROM child_cascade ORDER BY id;
SELECT * FROM child_null ORDER BY id;
DELETE FROM parent WHERE id IN (5, 6);
SELECT * FROM child_null ORDER BY id;
SELECT * FROM child_default ORDER BY id;
SELECT * FROM parent ORDER BY id;
TRUNCATE parent;
DROP TABLE parent;
DROP TABLE parent CASCADE;
INSERT INTO child_restrict VALUES (9, 999);
DROP TABLE child_restrict, child_cascade, child_null, child_default, child_code;
-- A table that refers to itself.
CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE);
INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 2), (5, 1);
DELETE FROM tree WHERE id = 2;
SELECT * FROM tree ORDER BY id;
INSERT INTO tree VALUES (10, 11), (11, 10);
SELECT * FROM tree ORDER BY id;
-- Several columns.
CREATE TABLE pair (a int, b int, PRIMARY KEY (a, b));
CREATE TABLE pair_ref (a int, b int, FOREIGN KEY (a, b) REFERENCES pair);
INSERT INTO pair VALUES (1, 2);
INSERT INTO pair_ref VALUES (1, 2), (1, NULL), (NULL, NULL);
INSERT INTO pair_ref VALUES (2, 1);
CREATE TABLE bad_ref (a int REFERENCES pair);
CREATE TABLE bad_ref (a int, FOREIGN KEY (a) REFERENCES pair (a));
CREATE TABLE bad_ref (a text, b int, FOREIGN KEY (a, b) REFERENCES pair);
-- Checked at the end.
CREATE TABLE late_parent (id int PRIMARY KEY);
CREATE TABLE late (id int PRIMARY KEY, p int REFERENCES late_parent DEFERRABLE INITIALLY DEFERRED);
BEGIN;
INSERT INTO late VALUES (1, 1);
INSERT INTO late_parent VALUES (1);
COMMIT;
BEGIN;
INSERT INTO late VALUES (2, 2);
COMMIT;
SELECT * FROM late;
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO late VALUES (3, 3);
ROLLBACK;
-- Nulls in unique keys.
CREATE TABLE u (a int UNIQUE, b int, UNIQUE (b, a));
INSERT INTO u VALUES (NULL, 1), (NULL, 1), (1, NULL);
CREATE TABLE un (a int, UNIQUE NULLS NOT DISTINCT (a));
INSERT INTO un VALUES (NULL);
INSERT INTO un VALUES (NULL);
-- Adding to filled tables.
CREATE TABLE filled (id int, ref int);
INSERT INTO filled VALUES (1, 1), (2, 77), (2, 1);
ALTER TABLE filled ADD FOREIGN KEY (ref) REFERENCES late_parent;
ALTER TABLE filled ADD PRIMARY KEY (id);
ALTER TABLE filled ADD CONSTRAINT below CHECK (ref < 50);
ALTER TABLE filled ADD CONSTRAINT below CHECK (ref < 50) NOT VALID;
INSERT INTO filled VALUES (3, 60);
ALTER TABLE filled VALIDATE CONSTRAINT below;
DELETE FROM filled WHERE ref = 77;
ALTER TABLE filled VALIDATE CONSTRAINT below;
UPDATE filled SET id = 3 WHERE ref = 1 AND id = 2;
ALTER TABLE filled ADD PRIMARY KEY (id);
\d filled
UPDATE filled SET id = id + 1;
UPDATE filled SET id = id * 10;
SELECT * FROM filled ORDER BY id;
