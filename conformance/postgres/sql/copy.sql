-- COPY in and out.
CREATE TABLE c (id int PRIMARY KEY, t text, n numeric, d date);
COPY c FROM STDIN;
1	plain	1.5	2024-01-01
2	tab\there	\N	\N
3	back\\slash	-2	2024-02-29
4		0	\N
5	line\nbreak	1e3	\N
\.
SELECT * FROM c ORDER BY id;
COPY c TO STDOUT;
COPY c (t, id) TO STDOUT;
COPY (SELECT id, upper(t) FROM c WHERE id < 3 ORDER BY id DESC) TO STDOUT;
COPY c TO STDOUT WITH (FORMAT csv);
COPY c TO STDOUT WITH (FORMAT csv, HEADER, DELIMITER ';', NULL 'none');
COPY c TO STDOUT WITH (FORMAT csv, QUOTE '''', FORCE_QUOTE (t));
COPY c TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *, ESCAPE '\');
COPY c TO STDOUT CSV HEADER;
COPY c TO STDOUT WITH DELIMITER '|' NULL 'null';
COPY c TO STDOUT (FORMAT text, HEADER);
TRUNCATE c;
COPY c FROM STDIN WITH (FORMAT csv);
1,"quoted, comma",1.5,2024-01-01
2,"say ""hi""",,
3,"two
lines",3,
4,"",4,
5,,5,
\.
SELECT id, t, t IS NULL AS nothing, n FROM c ORDER BY id;
TRUNCATE c;
COPY c FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER ';', NULL 'none', QUOTE '''');
id;t;n;d
1;'semi;colon';none;none
2;none;2;2020-01-01
\.
SELECT * FROM c ORDER BY id;
COPY c (id) FROM STDIN;
10
11
\.
SELECT count(*) FROM c;
COPY c FROM STDIN;
1	dup	1	\N
\.
COPY c FROM STDIN;
20	too few
\.
COPY c FROM STDIN;
21	a	1	2024-01-01	too many
\.
COPY c FROM STDIN;
22	a	x	\N
\.
COPY c FROM STDIN;
23	a	1	2024-01-01
24	b	1	2024-13-01
\.
COPY c FROM STDIN WITH (FORMAT csv);
25,"open
\.
COPY c (id, t) FROM STDIN WITH (FORMAT csv, HEADER MATCH);
id,wrong
1,2
\.
SELECT count(*) FROM c;
COPY c FROM STDIN WITH (FORMAT csv, FORCE_NOT_NULL (t));
30,,1,
\.
COPY c FROM STDIN WITH (FORMAT csv, FORCE_NULL (t));
31,"",1,
\.
SELECT id, t IS NULL FROM c WHERE id >= 30 ORDER BY id;
COPY c FROM STDIN WHERE id > 40;
40	a	1	\N
41	b	1	\N
\.
SELECT id FROM c WHERE id >= 40;
COPY c TO STDOUT (DELIMITER 'ab');
COPY c TO STDOUT (DELIMITER 'a');
COPY c TO STDOUT (QUOTE 'x');
COPY c TO STDOUT (FORMAT csv, FORMAT text);
COPY c FROM STDIN (NULL E'\n');
COPY nosuch TO STDOUT;
COPY (INSERT INTO c (id) VALUES (50) RETURNING id) TO STDOUT;
CREATE VIEW cv AS SELECT id FROM c;
COPY cv TO STDOUT;
COPY (SELECT * FROM cv ORDER BY id LIMIT 1) TO STDOUT;
CREATE TABLE gen (id int GENERATED ALWAYS AS IDENTITY, v int, w int GENERATED ALWAYS AS (v * 2) STORED);
COPY gen (v) FROM STDIN;
5
6
\.
COPY gen TO STDOUT;
SELECT * FROM gen;
CREATE TABLE every (b bool, f float8, i int[], j jsonb, y bytea, ts timestamp, iv interval, u uuid);
COPY every FROM STDIN;
t	1.5	{1,2,NULL}	{"a": "x\\ty"}	\\xdead	2024-01-01 10:00:00	1 day	a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11
\N	\N	\N	\N	\N	\N	\N	\N
\.
COPY every TO STDOUT;
COPY every TO STDOUT (FORMAT csv);
\copy c (id) TO STDOUT
