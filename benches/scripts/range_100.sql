\set first random(1, 99900)
SELECT id, customer, amount FROM orders WHERE id >= :first ORDER BY id LIMIT 100;
