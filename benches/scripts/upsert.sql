\set id random(1, 100000)
INSERT INTO counters (id, n) VALUES (:id, 1) ON CONFLICT (id) DO UPDATE SET n = counters.n + 1;
