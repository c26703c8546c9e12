\set reference random(1, 100000)
SELECT id, customer, amount FROM orders WHERE reference = :reference;
