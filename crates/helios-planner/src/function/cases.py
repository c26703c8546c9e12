#!/usr/bin/env python3
"""Asks a real PostgreSQL 15 for the results of calls; writes cases.tsv beside this file.

    cases.py "host=/tmp/types port=25415 user=postgres dbname=postgres"

A line is `name`, the arguments as `type=text` (`type` alone is NULL), and the result as text or
`ERROR <sqlstate> <message>`. Aggregates have `agg:` before their name and a row of arguments in
each cell, separated by `|`.
"""
import subprocess
import sys
from pathlib import Path

TRY = """
create or replace function pg_temp.try(q text) returns text language plpgsql as $$
declare r text;
begin
  execute q into r;
  return coalesce(r, 'NULL');
exception when others then return 'ERROR ' || sqlstate || ' ' || sqlerrm;
end $$;
"""

CALLS = """
int4pl int4=1 int4=2
int4pl int4=2147483647 int4=1
int48pl int4=2147483647 int8=1
int24mi int2=1 int4=5
int2mul int2=300 int2=300
int4div int4=7 int4=-2
int4div int4=7 int4=0
int4div int4=-2147483648 int4=-1
int8div int8=-9223372036854775808 int8=-1
int4mod int4=-7 int4=3
int4mod int4=-2147483648 int4=-1
int8um int8=-9223372036854775808
float8div float8=1 float8=0
float8div float8=NaN float8=0
float8mul float8=1e200 float8=1e200
float8mul float8=1e-200 float8=1e-200
float8pl float8=1e308 float8=1e308
float4mul float4=1.1 float4=1.1
float48pl float4=1.1 float8=1
numeric_div numeric=10 numeric=4
int4shl int4=1 int4=33
int4shl int4=1 int4=4
int8shr int8=-8 int4=1
int4not int4=5
int4xor int4=5 int4=3
abs int4=-2147483648
abs float8=-1.5
round numeric=2.5
round numeric=-2.567 int4=2
round numeric=1234.567 int4=-2
round float8=2.5
round float8=-3.5
trunc numeric=-2.567 int4=1
ceil float8=-0.5
floor numeric=-1.1
sign numeric=-3
sign float8=0
sqrt float8=-1
sqrt float8=2
sqrt numeric=2
cbrt float8=8
exp numeric=1
exp float8=1000
exp float8=1
ln float8=0
ln numeric=10
log numeric=1000
log numeric=2 numeric=64
log float8=100
power float8=2 float8=10
power float8=0 float8=-1
power float8=-8 float8=0.5
power numeric=2 numeric=0.5
mod numeric=10.5 numeric=3
div numeric=10 numeric=3
gcd int4=12 int4=18
lcm int4=4 int4=6
gcd numeric=1.5 numeric=0.6
lcm numeric=1.5 numeric=0.6
factorial int8=20
factorial int8=25
factorial int8=-1
width_bucket float8=5.35 float8=0.024 float8=10.06 int4=5
width_bucket numeric=5.35 numeric=0.024 numeric=10.06 int4=5
width_bucket numeric=11 numeric=0 numeric=10 int4=5
width_bucket numeric=3 numeric=10 numeric=0 int4=5
scale numeric=1.2300
min_scale numeric=1.2300
trim_scale numeric=1.2300
degrees float8=1
radians float8=45
pi
sin float8=1
cosd float8=60
sind float8=30
tand float8=45
asind float8=0.5
atan2 float8=1 float8=2
acos float8=2
to_hex int4=255
to_hex int4=-1
to_hex int8=-1
int4eq int4=1 int4=1
int48lt int4=1 int8=2
text_lt text=a text=b
date_lt_timestamp date=2024-01-01 timestamp=2024-01-01_00:00:01
timestamp_cmp timestamp=2024-01-01 timestamp=2024-01-02
array_eq int4[]={1,2} int4[]={1,2}
array_lt int4[]={1,2} int4[]={1,3}
jsonb_eq jsonb={"a":1,"b":2} jsonb={"b":2,"a":1.0}
jsonb_lt jsonb=[] jsonb=1
jsonb_lt jsonb={} jsonb=[]
jsonb_gt jsonb=[1,2] jsonb=[3]
jsonb_cmp jsonb={"a":1,"bb":2} jsonb={"b":1,"c":2}
jsonb_cmp jsonb="a" jsonb="b"
jsonb_cmp jsonb=null jsonb="b"
jsonb_cmp jsonb=true jsonb=1
interval_eq interval=1_month interval=30_days
numeric_larger numeric=1.0 numeric=1
length text=héllo
octet_length text=héllo
bit_length text=abc
length bytea=\\x010203
lower text=ÀBC
upper text=straße
initcap text=hello_wORLD_it's_3abc
left text=héllo int4=2
left text=hello int4=-2
right text=hello int4=2
right text=hello int4=-2
lpad text=hi int4=5 text=xy
lpad text=hello int4=3
rpad text=hi int4=5
rpad text=hi int4=5 text=
btrim text=xxhixx text=x
ltrim text=__hi
rtrim text=hi__
replace text=abcabc text=b text=XX
replace text=abc text= text=X
translate text=12345 text=143 text=ax
repeat text=ab int4=3
repeat text=ab int4=-1
reverse text=héllo
strpos text=hello text=lo
strpos text=hello text=
position text=hello text=zz
split_part text=a,b,c text=, int4=2
split_part text=a,b,c text=, int4=-1
split_part text=a,b,c text=, int4=0
split_part text=a,b,c text=, int4=9
overlay text=Txxxxas text=hom int4=2 int4=4
overlay text=abcdef text=ZZ int4=3
ascii text=é
chr int4=233
chr int4=0
chr int4=-5
starts_with text=hello text=he
substring text=héllo int4=2 int4=3
substring text=hello int4=-1 int4=4
substring text=hello int4=2 int4=-1
substr text=hello int4=3
substring bytea=\\x01020304 int4=2 int4=2
substring text=foobar text=o.b
substring text=foobar text=o(.)b
quote_ident text=Foo
quote_ident text=select
quote_ident text=foo_1
quote_literal text=it's
quote_literal text=a\\\\b
quote_nullable text
quote_nullable int4=5
concat_ws text=, text=a text text=b int4=1 bool=t
concat text=a text int4=5 numeric=1.50 bool=t date=2024-01-01
format text=Hello_%s,_%I_%L_%% text=World text=Foo_Bar text=it's
format text=%2$s_%1$s text=a text=b
format text=|%10s|%-10s| text=foo text=bar
format text=%s
format text=%x text=a
format text=%L text
format text=%I text
string_to_array text=a,b,,c text=,
string_to_array text=abc text
string_to_array text=a,NULL,b text=, text=NULL
string_to_array text= text=,
array_to_string int4[]={1,NULL,3} text=,
array_to_string int4[]={1,NULL,3} text=, text=*
parse_ident text=Foo."Bar".baz
parse_ident text=1foo
textlike text=abc text=a%
textlike text=abc text=_b_
textlike text=a%c text=a\\\\%c
textlike text=abc text=a\\\\
textlike text=héllo text=h_llo
textlike text=aaab text=%ab
textnlike text=abc text=b%
texticlike text=ABC text=a%
like_escape text=a#%b text=#
bytealike bytea=\\x616263 bytea=\\x6125
textregexeq text=foobar text=^foo.*r$
textregexeq text=foobar text=FOO
texticregexeq text=foobar text=FOO
textregexne text=foobar text=x
textregexeq text=ab text=[[:alpha:]]+
textregexeq text=a text=(
textregexeq text=a.b text=a\\\\.b
textregexeq text=one_two text=\\\\mtwo\\\\M
regexp_replace text=foobarbaz text=b.. text=X
regexp_replace text=foobarbaz text=b.. text=X text=g
regexp_replace text=foobarbaz text=b(..) text=X\\\\1Y text=g
regexp_replace text=A_PostgreSQL text=a|e|i|o|u text=X int4=1 int4=2 text=i
regexp_replace text=abc text=b text=[\\\\&]
regexp_match text=foobarbequebaz text=(bar)(beque)
regexp_match text=foobarbequebaz text=barbeque
regexp_match text=abc text=x
regexp_match text=abc text=b text=g
regexp_split_to_array text=hello_world text=\\\\s+
regexp_split_to_array text=abc text=
regexp_count text=ABCABCAXYaxy text=A. int4=1 text=i
regexp_instr text=ABCDEFGHI text=D..
regexp_substr text=ABCDEFGHI text=D..
regexp_like text=Hello text=hello text=i
similar_to_escape text=a%(b|c)_ text=\\\\
encode bytea=\\x0102ff text=hex
encode bytea=\\x0102ff text=base64
encode bytea=\\x0102ff5c41 text=escape
decode text=AQL/ text=base64
decode text=0102 text=hex
decode text=zz text=hex
decode text=x text=foo
md5 text=abc
sha256 bytea=\\x616263
convert_to text=é text=UTF8
convert_from bytea=\\xc3a9 text=UTF8
convert_from bytea=\\xff text=UTF8
get_byte bytea=\\x0102 int4=1
get_byte bytea=\\x0102 int4=5
set_byte bytea=\\x0102 int4=0 int4=255
get_bit bytea=\\x03 int8=1
date_pli date=2024-02-28 int4=2
date_mii date=2024-03-01 int4=1
date_mi date=2024-03-01 date=2024-02-01
date_pl_interval date=2024-01-31 interval=1_month
timestamp_pl_interval timestamp=2024-01-31_10:00 interval=1_month_1_day
timestamp_mi_interval timestamp=2024-03-31 interval=1_month
timestamptz_pl_interval timestamptz=2024-03-30_12:00+00 interval=1_day
timestamp_mi timestamp=2024-03-01_10:00 timestamp=2024-02-28_12:00
time_pl_interval time=23:00 interval=02:00
time_mi_time time=10:00 time=12:30
interval_mul interval=1_mon_15_days float8=1.5
interval_div interval=1_mon float8=3
interval_mul interval=1_year float8=0.1
interval_div interval=1_day float8=0
interval_pl interval=1_mon interval=-1_day
interval_um interval=1_mon_-2_days
justify_hours interval=27_hours
justify_days interval=35_days
justify_interval interval=1_mon_-1_hour
extract text=year date=2024-05-17
extract text=epoch timestamp=2024-05-17_12:00:00.5
extract text=second timestamp=2024-05-17_12:00:05.25
extract text=milliseconds timestamp=2024-05-17_12:00:05.25
extract text=microseconds time=12:00:05.25
extract text=dow date=2024-05-19
extract text=isodow date=2024-05-19
extract text=doy date=2024-05-19
extract text=week date=2021-01-01
extract text=isoyear date=2021-01-01
extract text=century date=2000-12-31
extract text=century date=0044-03-15_BC
extract text=millennium date=2001-01-01
extract text=decade date=1999-01-01
extract text=decade date=0044-03-15_BC
extract text=year date=0044-03-15_BC
extract text=quarter date=2024-05-19
extract text=julian timestamp=2024-05-17_12:00
extract text=julian date=2024-05-17
extract text=timezone timestamptz=2024-05-17_12:00+00
extract text=hour date=2024-05-17
extract text=foo date=2024-05-17
extract text=epoch interval=1_year_2_mons_3_days_04:05:06.7
extract text=month interval=1_year_2_mons
extract text=century interval=250_years
extract text=year timestamp=infinity
extract text=month timestamp=infinity
date_part text=epoch timestamptz=2024-05-17_12:00:00.5+00
date_part text=month date=2024-05-17
date_trunc text=hour timestamp=2024-05-17_12:34:56
date_trunc text=week timestamp=2024-05-17_12:34:56
date_trunc text=quarter timestamp=2024-05-17_12:34:56
date_trunc text=decade timestamp=2024-05-17_12:34:56
date_trunc text=century timestamp=2024-05-17_12:34:56
date_trunc text=century timestamp=0044-03-15_BC
date_trunc text=millennium timestamp=2024-05-17
date_trunc text=day timestamptz=2024-05-17_01:00+00 text=America/New_York
date_trunc text=month interval=1_year_2_mons_3_days
date_trunc text=foo timestamp=2024-05-17
date_trunc text=day timestamptz=2024-05-17_01:00+00
date_bin interval=15_minutes timestamp=2024-05-17_12:34:56 timestamp=2001-01-01
date_bin interval=1_month timestamp=2024-05-17_12:34:56 timestamp=2001-01-01
date_bin interval=7_days timestamp=1999-05-17_12:34:56 timestamp=2001-01-01
age timestamp=2024-05-17 timestamp=1990-11-30
age timestamp=1990-11-30 timestamp=2024-05-17
age timestamp=2024-03-31 timestamp=2024-02-29
age timestamp=2024-03-01_10:00 timestamp=2024-02-29_12:00
make_date int4=2024 int4=2 int4=30
make_date int4=-44 int4=3 int4=15
make_date int4=2024 int4=2 int4=29
make_time int4=8 int4=15 float8=23.5
make_time int4=25 int4=0 float8=0
make_timestamp int4=2024 int4=2 int4=29 int4=8 int4=15 float8=23.5
make_interval int4=1 int4=2 int4=3 int4=4 int4=5 int4=6 float8=7.5
isfinite date=infinity
timezone text=America/New_York timestamptz=2024-05-17_12:00+00
timezone text=America/New_York timestamp=2024-05-17_12:00
timezone text=Nowhere timestamp=2024-05-17_12:00
timezone interval=02:00 timestamptz=2024-05-17_12:00+00
to_timestamp float8=1715949296.5
to_timestamp float8=NaN
date timestamp=2024-05-17_12:00
time timestamp=2024-05-17_12:34
timestamp date=2024-05-17
timestamptz timestamp=2024-05-17_12:00
to_char timestamp=2024-05-07_15:04:05.678901 text=YYYY-MM-DD_HH24:MI:SS
to_char timestamp=2024-05-07_15:04:05.678901 text=Day,_DD_Month_YYYY_HH12:MI_AM
to_char timestamp=2024-05-07_15:04:05.678901 text=FMDay,_FMDD_FMMonth_YYYY
to_char timestamp=2024-05-07_15:04:05.678901 text=Dy_Mon_dd_yy_Y,YYY
to_char timestamp=2024-05-07_15:04:05.678901 text=DDDth_D_ID_WW_IW_IYYY_Q_CC_J
to_char timestamp=2024-05-07_15:04:05.678901 text=MS_US_FF3_SSSS_a.m._BC
to_char timestamp=2024-05-01_15:04:05.678901 text="Year"_YYYY_ddth_RM_rm
to_char timestamptz=2024-05-07_15:04:05+00 text=HH_TZ_OF_TZH:TZM
to_char timestamp=0044-03-15_00:00:00_BC text=YYYY_BC
to_char interval=1_year_2_mons_3_days_04:05:06 text=YYYY_MM_DD_HH24:MI:SS
to_char interval=15h_2m_12s text=HH24:MI:SS
to_char int4=485 text=999
to_char int4=-485 text=999
to_char int4=485 text=9_9_9
to_char int4=1485 text=9,999
to_char numeric=148.5 text=999.999
to_char numeric=148.5 text=FM999.999
to_char numeric=148.5 text=FM999.990
to_char numeric=-485 text=999S
to_char numeric=-485 text=999MI
to_char numeric=485 text=999MI
to_char numeric=485 text=FM999MI
to_char numeric=485 text=PL999
to_char numeric=485 text=SG999
to_char numeric=-485 text=SG999
to_char numeric=-485 text=9SG99
to_char numeric=-485 text=999PR
to_char numeric=485 text=999th
to_char numeric=482 text=999TH
to_char numeric=485 text=RN
to_char numeric=485 text=FMRN
to_char numeric=5.2 text=FMRN
to_char numeric=12 text=99V999
to_char numeric=12.45 text=99V9
to_char numeric=0.0004859 text=9.99EEEE
to_char numeric=-0.1 text=99.99
to_char numeric=-0.1 text=FM9.99
to_char numeric=0.1 text=0.9
to_char numeric=12 text=9990999.9
to_char numeric=12 text=FM9990999.9
to_char numeric=1234 text=99
to_char numeric=3148.5 text=9,999.999
to_char numeric=485.8 text="Pre:"999"_Post:"_.999
to_char int8=0 text=99
to_char float8=125.8 text=999D9
to_char numeric=1234567.891 text=9G999G999D99
to_date text=2024-05-17 text=YYYY-MM-DD
to_date text=17_May_2024 text=DD_Mon_YYYY
to_date text=05/17/24 text=MM/DD/YY
to_date text=20240517 text=YYYYMMDD
to_date text=2024-13-01 text=YYYY-MM-DD
to_date text=2024_138 text=YYYY_DDD
to_date text=2024-W20-5 text=IYYY-"W"IW-ID
to_timestamp text=2024-05-17_12:34:56 text=YYYY-MM-DD_HH24:MI:SS
to_timestamp text=05_Dec_2000_03:04_PM text=DD_Mon_YYYY_HH12:MI_AM
to_timestamp text=2024-05-17_12:34:56.789 text=YYYY-MM-DD_HH24:MI:SS.MS
to_number text=12,454.8- text=99G999D9S
to_number text=-34,338,492 text=99G999G999
to_number text=$1,234.50 text=L9,999.99
int4 float8=2.5
int4 float8=3.5
int4 float8=1e10
int2 int4=40000
int4 numeric=2.5
int8 numeric=NaN
int4 bool=t
bool int4=5
float4 numeric=1e50
float8 numeric=1.1
numeric float8=0.1
numeric float4=0.1
numeric int4=5
numeric numeric=123.456 int4=327686
varchar varchar=abcdef int4=7 bool=t
varchar varchar=abcdef int4=7 bool=f
text bool=t
name text=abc
int4 jsonb=5.7
int4 jsonb="a"
bool jsonb=true
float8 jsonb=1.5
timestamp timestamp=2024-01-01_00:00:00.5555 int4=2
array_append int4[]={1,2} int4=3
array_append int4[] int4=3
array_prepend int4=0 int4[]={1,2}
array_cat int4[]={1,2} int4[]={3}
array_length int4[]={{1,2,3},{4,5,6}} int4=2
array_length int4[]={1} int4=3
array_upper int4[]=[2:4]={1,2,3} int4=1
array_dims int4[]=[2:4]={1,2,3}
array_ndims int4[]={{1}}
cardinality int4[]={{1,2},{3,4}}
array_position int4[]={1,2,3,2} int4=2
array_position int4[]={1,2,3,2} int4=2 int4=3
array_position int4[]={1,NULL} int4
array_positions int4[]={1,2,3,2} int4=2
array_remove int4[]={1,2,3,2} int4=2
array_replace int4[]={1,2,3,2} int4=2 int4=9
array_fill int4=7 int4[]={2,2}
arraycontains int4[]={1,2,3} int4[]={1,3}
arraycontains int4[]={1,NULL} int4[]={NULL}
arrayoverlap int4[]={1,2} int4[]={2,3}
trim_array int4[]={1,2,3} int4=2
trim_array int4[]={1} int4=2
jsonb_object_field jsonb={"a":{"b":1}} text=a
jsonb_object_field_text jsonb={"a":"x"} text=a
jsonb_object_field_text jsonb={"a":null} text=a
jsonb_array_element jsonb=[1,2,3] int4=-1
json_object_field json={"a":_{"b":_1.50}} text=a
json_object_field_text json={"a":"x\\\\ny"} text=a
json_array_element json=[1,_[2,_3]] int4=1
jsonb_extract_path jsonb={"a":[{"b":5}]} text[]={a,0,b}
jsonb_extract_path_text jsonb={"a":["x"]} text[]={a,0}
json_extract_path json={"a":[1,2]} text[]={a,1}
jsonb_contains jsonb={"a":1,"b":2} jsonb={"b":2}
jsonb_contains jsonb=[1,2,[3]] jsonb=[2]
jsonb_contains jsonb=[1,2] jsonb=1
jsonb_contains jsonb={"a":[1,2,{"c":3}]} jsonb={"a":[{"c":3}]}
jsonb_contains jsonb=["foo","bar"] jsonb="bar"
jsonb_contains jsonb={"a":{"b":1}} jsonb={"b":1}
jsonb_exists jsonb={"a":1} text=a
jsonb_exists jsonb=["a","b"] text=b
jsonb_exists_any jsonb={"a":1} text[]={x,a}
jsonb_exists_all jsonb={"a":1} text[]={x,a}
jsonb_typeof jsonb=[1]
jsonb_typeof jsonb=null
json_typeof json=_"a"
jsonb_array_length jsonb=[1,2]
jsonb_array_length jsonb={}
jsonb_array_length jsonb=1
jsonb_concat jsonb={"a":1} jsonb={"b":2,"a":3}
jsonb_concat jsonb=[1] jsonb=[2]
jsonb_concat jsonb=1 jsonb=2
jsonb_concat jsonb={"a":1} jsonb=[1]
jsonb_delete jsonb={"a":1,"b":2} text=a
jsonb_delete jsonb=["a","b","a"] text=a
jsonb_delete jsonb=[1,2,3] int4=-1
jsonb_delete jsonb={"a":1} int4=0
jsonb_delete jsonb=1 text=a
jsonb_delete_path jsonb={"a":[1,{"b":2}]} text[]={a,1,b}
jsonb_delete_path jsonb={"a":[1,2]} text[]={a,-1}
jsonb_set jsonb={"a":1} text[]={b} jsonb=2
jsonb_set jsonb={"a":1} text[]={b} jsonb=2 bool=f
jsonb_set jsonb={"a":{"b":1}} text[]={a,b} jsonb=[1]
jsonb_set jsonb=[1,2,3] text[]={1} jsonb=9
jsonb_set jsonb=[1,2,3] text[]={10} jsonb=9
jsonb_set jsonb=[1,2,3] text[]={-5} jsonb=9
jsonb_set jsonb=[1,2,3] text[]={x} jsonb=9
jsonb_set jsonb=1 text[]={x} jsonb=9
jsonb_set jsonb={"a":1} text[]={a,b} jsonb=9
jsonb_set jsonb={"bb":1} text[]={a} jsonb=9
jsonb_insert jsonb={"a":[0,1,2]} text[]={a,1} jsonb="new"
jsonb_insert jsonb={"a":[0,1,2]} text[]={a,1} jsonb="new" bool=t
jsonb_insert jsonb={"a":1} text[]={a} jsonb=2
jsonb_pretty jsonb={"a":[1,{"b":2}],"c":{}}
jsonb_strip_nulls jsonb={"a":null,"b":[null,{"c":null}]}
json_strip_nulls json={"a":null,_"b":[null,1]}
to_jsonb int4=5
to_jsonb numeric=1.50
to_jsonb float8=0.1
to_jsonb float8=NaN
to_jsonb text=a"b
to_jsonb timestamp=2024-05-17_12:00
to_jsonb timestamptz=2024-05-17_12:00:00.5+00
to_jsonb date=2024-05-17
to_jsonb int4[]={{1,2},{3,4}}
to_jsonb json={"b":1,_"a":2}
to_jsonb bool=t
to_jsonb interval=1_day
to_jsonb bytea=\\x01
to_json json={"b":1,_"a":2}
to_json int4[]={1,2}
to_json text=a
to_json timestamptz=2024-05-17_12:00:00.5+00
array_to_json int4[]={{1,2},{3,4}}
jsonb_build_object text=a int4=1 text=b json={"x":_1}
jsonb_build_object text=a
jsonb_build_object text int4=1
json_build_object text=a int4=1 text=b json={"x":_1}
json_build_object text int4=1
jsonb_build_array int4=1 text=a text
json_build_array int4=1 text=a text
jsonb_object text[]={a,1,b,2}
jsonb_object text[]={a,1,b}
json_object text[]={a,b} text[]={1,NULL}
jsonb_set_lax jsonb={"a":1} text[]={a} jsonb bool=t text=delete_key
"""

AGGREGATES = """
count int4 1|2|NULL
sum int4 1|2|NULL
sum int8 9223372036854775807|1
sum int8 NULL
sum numeric 1.10|2.2|3
sum numeric NaN|1
sum float8 0.1|0.2|0.3
sum float4 0.1|0.2
sum interval 1_day|2_hours
avg int4 1|2|4
avg int4 1|2
avg numeric 1.5|2.25
avg float8 1|2
avg interval 1_day|3_days
min text b|a|NULL
max date 2024-01-01|2024-02-01
max numeric 1|NaN
bool_and bool t|f
bool_or bool t|f
every bool t|NULL
bit_and int4 7|3
bit_or int4 4|3
bit_xor int4 7|3
stddev int4 1|2|3|4
stddev_pop int4 1|2|3|4
variance numeric 1.5|2.5|4
var_pop float8 1|2|4
stddev float8 1|2|4
stddev int4 1
var_samp int4 5|5|5
array_agg int4 1|NULL|2
array_agg text a|b
string_agg text,text a;,|b;-|NULL;,|c;,
jsonb_agg text a|NULL
json_agg json {"b":_1}|2
json_agg int4 1|2
jsonb_object_agg text,int4 a;1|b;2|a;3
json_object_agg text,int4 a;1|b;2
corr float8,float8 1;2|2;4.1|3;6
covar_pop float8,float8 1;2|2;4.1|3;6
regr_slope float8,float8 1;2|2;4.1|3;6
regr_intercept float8,float8 1;2|2;4.1|3;6
regr_r2 float8,float8 1;2|2;4.1|3;6
regr_count float8,float8 1;2|NULL;4
"""


def quote(s):
    return "'" + s.replace("'", "''") + "'"


def value(cell):
    ty, has, text = cell.partition("=")
    text = text.replace("\\\\", "\x00").replace("_", " ").replace("\x00", "\\")
    if ty in ("text", "name", "bytea") or ty.endswith("[]"):
        pass
    return (f"{quote(text)}::{ty}" if has else f"null::{ty}"), (f"{ty}={text}" if has else ty)


def main():
    rows = []
    for line in CALLS.strip().splitlines():
        name, *cells = line.split(" ")
        values = [value(c) for c in cells]
        call = f'{name}({", ".join(v for v, _ in values)})'
        if name in ("extract", "position", "overlay", "substring", "timezone", "timestamp", "timestamptz", "time", "date", "int4", "int2", "int8",
                    "float4", "float8", "numeric", "bool", "varchar", "text", "name"):
            call = f'pg_catalog."{name}"({", ".join(v for v, _ in values)})'
        if name.endswith("extract_path") or name.endswith("extract_path_text"):
            call = f'{name}({values[0][0]}, variadic {values[1][0]})'
        rows.append(([name, *[c for _, c in values]], f"select {call}::text"))
    for line in AGGREGATES.strip().splitlines():
        name, types, data = line.split(" ")
        types = types.split(",")
        tuples = []
        cells = []
        for row in data.split("|"):
            items = row.split(";")
            vs = [value(t if i == "NULL" else f"{t}={i}") for t, i in zip(types, items)]
            tuples.append("(" + ", ".join(v for v, _ in vs) + ")")
            cells.append("|".join(c for _, c in vs))
        names = ", ".join(f"c{i}" for i in range(len(types)))
        rows.append(([f"agg:{name}", *cells], f"select {name}({names})::text from (values {', '.join(tuples)}) v({names})"))
    script = "set client_min_messages = error; set timezone = 'UTC';" + TRY + "\n" + "\n".join(
        f"select encode(convert_to(pg_temp.try({quote(q)}), 'UTF8'), 'hex');" for _, q in rows)
    out = subprocess.run(["psql", sys.argv[1], "-XqAt", "-v", "ON_ERROR_STOP=1"], input=script, capture_output=True, text=True, check=True)
    lines = out.stdout.splitlines()
    assert len(lines) == len(rows)
    escape = lambda s: s.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    with open(Path(__file__).with_name("cases.tsv"), "w") as f:
        for (cells, _), line in zip(rows, lines):
            f.write("\t".join(escape(c) for c in [*cells, bytes.fromhex(line).decode()]) + "\n")


main()
