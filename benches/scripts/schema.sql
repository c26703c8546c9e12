-- What the scripts beside this file read and write: 100,000 customers, orders and items.
DROP TABLE IF EXISTS items, orders, customers, events, counters;
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, region int NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, reference int NOT NULL, amount numeric(12, 2) NOT NULL, note text NOT NULL);
CREATE TABLE items (id int PRIMARY KEY, orders int NOT NULL, product text NOT NULL, pieces int NOT NULL);
CREATE TABLE events (id bigserial PRIMARY KEY, kind int NOT NULL, payload text NOT NULL);
CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO customers SELECT i, 'customer ' || i, i % 50 FROM generate_series(1, 100000) AS g(i);
INSERT INTO orders SELECT i, 1 + i * 7919 % 100000, 1 + i * 104729 % 100000, i % 1000 + 0.99, 'note of order ' || i FROM generate_series(1::bigint, 100000) AS g(i);
INSERT INTO items SELECT i, 1 + i * 1299709 % 100000, 'product ' || i % 500, i % 9 + 1 FROM generate_series(1::bigint, 100000) AS g(i);
CREATE INDEX orders_reference ON orders (reference);
ANALYZE;
