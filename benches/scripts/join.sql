\set id random(1, 100000)
SELECT i.product, i.pieces, o.amount, c.name FROM items i JOIN orders o ON o.id = i.orders JOIN customers c ON c.id = o.customer WHERE i.id = :id;
