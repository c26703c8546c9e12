create table t(id serial primary key, a int not null default 1 check (a > 0), b text unique, c numeric(10,2), d timestamptz default now(), e varchar(20), f bigint, j jsonb, arr int[]);
create table u(id int references t(id), t_id int, name text, amount float8);
create table g(x int, y int generated always as (x * 2) stored, i int generated always as identity);
create view v as select id, b as label, count(*) over () as n from t;
