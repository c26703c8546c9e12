\set id random(1, :rows)
SELECT payload FROM points WHERE id = :id;
