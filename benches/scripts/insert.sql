\set kind random(1, 100)
INSERT INTO events (kind, payload) VALUES (:kind, 'a payload of a few dozen characters, as events have');
